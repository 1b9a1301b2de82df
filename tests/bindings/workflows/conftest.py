"""Workflows on a real journal and a clock moved by hand."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.admission import Admission
from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.engine.doorbell import Doorbells
from edge.bindings.workflows.engine.runner import WorkflowRunner
from edge.bindings.workflows.engine.step_log import Loss
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.bindings.workflows.workflow import Workflow, WorkflowTools
from edge.runtime.core.entrypoints import WorkflowEntrypoint
from edge.runtime.core.env import Env
from edge.runtime.core.worker import Worker
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from edge.bindings.workflows.journal.records import StepRecord
    from edge.bindings.workflows.journal.sqlite_journal import SqliteJournal
    from edge.bindings.workflows.workflow import WorkflowInstance

PATIENCE_S = 60.0
POLL_S = 0.001
"""Between two looks at the journal: who looks without a pause takes the interpreter from the journal's threads, and on
a busy machine a second becomes a minute."""
SPIN_COUNT = 100
"""So many turns of the loop are waited for without a pause."""


class Site:
    """One process: a runner over a journal, with a Worker whose `run` a test may change."""

    def __init__(self, host: FakeHost, journal: SqliteJournal, definition: Definition, **limits: Any) -> None:
        self.host = host
        self.journal = journal
        self.definition = definition
        self.live = LiveWorker(host, plain_answer)
        doorbells = Doorbells(host.state_dir / "runners")
        self.runner = WorkflowRunner(journal, [definition], self.live, host, doorbells, **limits)
        admission = Admission(journal, host)
        self._tools = WorkflowTools(journal, host, self.runner.tell, self.runner.versions.current, admission)
        self.workflow = Workflow(definition, self._tools)
        self._task: asyncio.Task[None] | None = None

    def use(self, definition: Definition) -> None:
        """Change the definition while the runner runs."""
        self.definition = self.runner.definitions[definition.name] = definition
        self.workflow = Workflow(definition, self._tools)

    def load(self, run: Callable[..., Any], *, name: str = "Order", **members: Any) -> None:
        """Load code whose class has this `run(self, event, step)`, and these members, as a reload does."""
        made = Generation(Env({}), self.host)
        entrypoint = type(name, (WorkflowEntrypoint,), {"run": run, **members})
        made.worker = Worker("entry.py", "class", {}, {name: entrypoint})
        old = self.live.swap(made)
        if old is not None:
            self.host.spawn(old.drain(), name="retire")

    def start(self) -> None:
        self._task = self.host.spawn(self.runner.run(), name="runner")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def crash(self) -> None:
        """End the runner as a kill does: its passes stop, and nothing is told to the journal."""
        assert self._task is not None, "it runs"
        passes, doorbell = tuple(self.runner._passes.values()), self.doorbell
        for one in passes:
            one.stop(Loss.LEASE)
        await asyncio.gather(*self.runner._tasks, return_exceptions=True)
        self._task.cancel()
        told, self.journal.take_over = self.journal.take_over, _tell_nobody  # type: ignore[method-assign]
        await asyncio.gather(self._task, return_exceptions=True)
        self.journal.take_over = told  # type: ignore[method-assign]
        os.mkfifo(doorbell)  # as a kill leaves it: nobody reads it

    @property
    def doorbell(self) -> Path:
        """By which other processes wake this one."""
        return self.host.state_dir / "runners" / str(self.runner._owner)

    async def create(self, params: Any = None, **options: Any) -> WorkflowInstance:
        return await self.workflow.create({"params": params or {}, **options})

    async def reach(self, instance: WorkflowInstance, *statuses: str) -> dict[str, Any]:
        """Its status, once it is one of these."""
        async with asyncio.timeout(PATIENCE_S):
            while (found := await instance.status())["status"] not in statuses:
                assert found["status"] not in {"errored", "complete", "terminated"}, found
                await asyncio.sleep(POLL_S)
        return found

    async def output(self, instance: WorkflowInstance) -> Any:
        return (await self.reach(instance, "complete"))["output"]

    async def error(self, instance: WorkflowInstance) -> dict[str, str]:
        return (await self.reach(instance, "errored"))["error"]

    async def steps(self, instance: WorkflowInstance) -> dict[str, StepRecord]:
        found = await self.journal.steps(self.definition.name, instance.id)
        return {f"{step.key.name}-{step.key.occurrence}": step for step in found}

    async def until(self, is_so: Callable[[], object]) -> None:
        """Let everything run until something is so."""
        async with asyncio.timeout(PATIENCE_S):
            spin_count = 0
            while not is_so():  # the parts under test tell nobody
                await asyncio.sleep(0 if spin_count < SPIN_COUNT else POLL_S)
                spin_count += 1


async def _tell_nobody(*_: Any) -> list[Any]:
    return []


@asynccontextmanager
async def open_site(
    host: FakeHost, run: Callable[..., Any], *, limits: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Site]:
    """`limits` are the runner's, `options` those of the workflow."""
    definition = Definition("orders", "Order", **options)
    async with open_journal(host.state_dir / "workflows.sqlite") as journal:
        site = Site(host, journal, definition, **(limits or {}))
        site.load(run)
        site.start()
        try:
            yield site
        finally:
            await site.stop()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    host = FakeHost(tmp_path)
    yield host
    await host.aclose()


@pytest.fixture
def opening() -> Callable[..., Any]:
    """`open_site`, for tests that open many on hosts of their own."""
    return open_site


@pytest.fixture(params=["resident", pytest.param("always", marks=pytest.mark.slow)])
async def start(host: FakeHost, request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Any]]:
    """`await start(run)`: a site that runs this function. With `make slow` also one that never stays for a wait."""
    async with AsyncExitStack() as stack:

        async def start(run: Callable[..., Any], **options: Any) -> Site:
            options.setdefault("is_resident", request.param == "resident")
            return await stack.enter_async_context(open_site(host, run, **options))

        yield start
