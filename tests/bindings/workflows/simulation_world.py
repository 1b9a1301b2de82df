"""What simulated processes live in: one clock, one journal, doorbells, and a log of all that happens."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, contextmanager, suppress
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.engine.doorbell import Heard
from edge.bindings.workflows.engine.runner import WorkflowRunner
from edge.bindings.workflows.journal.sqlite_journal import MIGRATIONS, Call, SqliteJournal
from edge.bindings.workflows.workflow import Workflow, WorkflowTools
from edge.runtime.core.env import Env
from edge.runtime.core.errors import BackendError
from edge.runtime.core.worker import Worker
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer

from .simulation_loop import SimulatedLoop, SimulatedProcess
from .simulation_promises import Promises

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from edge.runtime.core.entrypoints import WorkflowEntrypoint
    from edge.runtime.core.host import Logger

    from .simulation_programs import Op

T = TypeVar("T")

BEGINNING_S = 1_767_225_600.0
FOREVER_MS = 10**14
CRASHES_MAX = 1_000_000
"""The simulation kills, not the instances: none of them is to be parked for it."""


class World:
    """Everything random is drawn from `chance`, in the order in which it happens."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.loop = SimulatedLoop()
        self.loop.set_exception_handler(self._failed)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.deserialize(_empty_journal())
        self.trace: list[tuple[Any, ...]] = []
        self.promises = Promises(self)
        self.programs: dict[str, tuple[Op, ...]] = {}
        self.bells: dict[str, tuple[SimulatedProcess, Callable[[], None]]] = {}
        self.is_over = False
        self.is_disk_full = False
        self.is_calm = False
        """Whether answers and doorbells come as they should."""
        self.latest_wall_s = BEGINNING_S
        self._clock_error_s = 0.0
        self._id_count = 0

    def _failed(self, _: object, context: dict[str, Any]) -> None:
        if "handle" in context:  # a callback, and not a task that nobody asks
            self.promises.breaks(6, f"{context['message']}: {context.get('exception')!r}")

    def tell(self, what: str, *about: object) -> None:
        self.trace.append((round(self.loop.time(), 6), what, *about))

    def wall_s(self) -> float:
        now = BEGINNING_S + self.loop.time() + self._clock_error_s
        self.latest_wall_s = max(self.latest_wall_s, now)
        return now

    def move_clock(self, seconds: float) -> None:
        self._clock_error_s += seconds
        if seconds < 0:
            self.promises.clock_went_back(-seconds * 1000)

    def new_id(self) -> str:
        self._id_count += 1
        return f"{self._id_count:032x}"

    def latency_s(self) -> float:
        """How long a call of the journal takes on its way, there or back."""
        if self.is_calm:
            return 0.0005
        kind = self.chance.random()
        if kind < 0.8:
            return self.chance.random() * 0.002
        return self.chance.random() * (0.05 if kind < 0.98 else 4.0)


@cache
def _empty_journal() -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in MIGRATIONS:
            connection.execute(statement)
        return connection.serialize()


def name_of(job: Call) -> str:
    """The statement's name."""
    name: str = getattr(job.statement, "func", job.statement).__name__
    return name


class SimulatedLane:
    """A journal's way to the database in memory that all processes share.

    Writes of a process are done in the order of its calls, as its writer thread does; those of others come in between.
    Answers take their time, and overtake each other.
    """

    is_busy = False

    def __init__(
        self, world: World, process: SimulatedProcess, apply: Callable[[Call], Any], *, is_writer: bool
    ) -> None:
        self._world = world
        self._process = process
        self._apply = apply
        self._is_writer = is_writer
        self._done_at = 0.0

    def submit(self, job: Call, *, size_bytes: int = 0) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._world.loop.create_future()
        at = self._world.loop.time() + self._world.latency_s()
        if self._is_writer:
            at = self._done_at = max(at, self._done_at + 1e-6)
        if self._world.is_over:
            answer.cancel()
        else:
            self._world.loop.call_at(at, self._do, job, answer)
        return answer

    def _do(self, job: Call, answer: asyncio.Future[Any]) -> None:
        if self._world.is_over:
            return
        told: Callable[[Any], None]
        try:
            if self._world.is_disk_full and self._is_writer:
                raise BackendError("the disk is full")
            told, outcome = answer.set_result, self._apply(job)
        except Exception as error:  # noqa: BLE001 - the caller is told
            told, outcome = answer.set_exception, error
        self._world.tell(self._process.name, name_of(job), type(outcome).__name__)
        self._world.loop.call_later(self._world.latency_s(), _deliver, answer, told, outcome)


class SimulatedJournal(SqliteJournal):
    """The journal as one process has it: its real calls and statements."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        self._world = world
        lanes: Any = (SimulatedLane(world, process, self.apply, is_writer=is_writer) for is_writer in (True, False))
        super().__init__(*lanes)

    def apply(self, job: Call) -> Any:
        """Commit a job; now and then it is rolled back and done again, as a batch is with one bad job in it."""
        connection = self._world.connection
        connection.execute("BEGIN")
        if not self._world.is_calm and self._world.chance.random() < 0.03:
            job(connection)
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
        try:
            done = self._world.promises.commit(name_of(job), job.arguments, lambda: job(connection))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return done


def _deliver(answer: asyncio.Future[Any], told: Callable[[Any], None], outcome: Any) -> None:
    if not answer.done():  # its caller was not cancelled
        told(outcome)


class SimulatedDoorbells:
    """Rings come late, twice, in another order, or not at all."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        self._world = world
        self._process = process

    @contextmanager
    def listen(self, owner: str, on_ring: Callable[[], None]) -> Iterator[Callable[[], None]]:
        self._world.bells[owner] = (self._process, on_ring)
        try:
            yield lambda: None
        finally:
            self._world.bells.pop(owner, None)

    def ring(self, owner: str) -> Heard:
        process, on_ring = self._world.bells.get(owner, (None, None))
        if process is None or on_ring is None:
            return Heard.UNKNOWN
        if process.is_dead:
            return Heard.NOBODY
        count = 1 if self._world.is_calm else self._world.chance.choices((0, 1, 2), (1, 8, 1))[0]
        for _ in range(count):
            self._world.loop.call_later(self._world.latency_s(), on_ring, context=process.context.copy())
        return Heard.YES

    def ring_all(self) -> None:
        for owner in tuple(self._world.bells):
            self.ring(owner)

    def forget(self, owner: str) -> None:
        self._world.bells.pop(owner, None)


class SimulatedHost:
    """A process's machine. Its clock is the world's."""

    process_slot = 0

    def __init__(self, world: World, log: Logger) -> None:
        self._world = world
        self.log = log

    def now(self) -> float:
        return self._world.wall_s()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    def new_id(self) -> str:
        return self._world.new_id()

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        return self._world.loop.create_task(work, name=name)


class _TracingLog:
    """What the engine logs is a part of the trace."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        self._world = world
        self._name = process.name

    def debug(self, event: str, **values: Any) -> None:
        self._world.tell(self._name, event)

    info = warning = error = debug


class Site:
    """A process that runs workflows."""

    def __init__(
        self,
        world: World,
        name: str,
        entrypoint: type[WorkflowEntrypoint],
        *,
        journal_type: type[SimulatedJournal] = SimulatedJournal,
        host_type: type[SimulatedHost] = SimulatedHost,
    ) -> None:
        self.process = SimulatedProcess(name, world.loop)
        self._world = world
        self._entrypoint = entrypoint
        self._host: Any = host_type(world, _TracingLog(world, self.process))
        self._live = LiveWorker(self._host, plain_answer)
        journal = journal_type(world, self.process)
        definition = Definition(
            "orders", "Order", success_retention_ms=FOREVER_MS, error_retention_ms=FOREVER_MS, delay_ms_default=50
        )
        doorbells: Any = SimulatedDoorbells(world, self.process)
        self._runner = WorkflowRunner(
            journal,
            [definition],
            self._live,
            self._host,
            doorbells,
            crash_count_max=CRASHES_MAX,
            blocked_s_max=0,  # a thread would look at the real clock
        )
        self.workflow = Workflow(
            definition, WorkflowTools(journal, self._host, self._runner.tell, self._runner.versions.current)
        )
        self._running: asyncio.Task[Any] | None = None
        self.process.context.copy().run(self.load)
        self.process.spawn(self._keep_running())

    def load(self) -> None:
        """Load the code anew, as a save of its file does."""
        made = Generation(Env({}), self._host)
        # Of no file: to read the version of its code would take longer than all else in a life.
        order = type("Order", (self._entrypoint,), {"__module__": "simulated"})
        made.worker = Worker("entry.py", "class", {}, {"Order": order})
        old = self._live.swap(made)
        if old is not None:
            self._host.spawn(old.drain(), name="retire")

    def restart_runner(self) -> None:
        """Stop the runner in good order and start another, as a changed config does."""
        if self._running is not None:
            self._running.cancel()

    async def _keep_running(self) -> None:
        """As the environment does with a source."""
        while not self._world.is_over:
            self._running = self._world.loop.create_task(self._runner.run())
            try:
                with suppress(BackendError, asyncio.CancelledError):
                    await self._running
            except Exception as error:  # noqa: BLE001 - a defect of the engine, or of this world
                self._world.promises.breaks(6, f"the runner of {self.process.name} failed: {error!r}")
            await asyncio.sleep(1)
