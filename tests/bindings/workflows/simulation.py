"""One seed, one life of a few workflows on a few processes, in which everything goes wrong that may.

EDGE_SEED=123 pytest tests/bindings/workflows/test_simulation.py       # replays a seed
python -m workflows.simulation 123                                     # in tests/bindings: prints what happened
python -m workflows.simulation 0 100000                                # a line for each seed that breaks a promise
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.bindings.workflows import values
from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.journal.records import Status
from edge.runtime.core.entrypoints import WorkflowEntrypoint
from edge.runtime.core.errors import BackendError, BindingError

from .simulation_loop import StuckError
from .simulation_programs import EVENT_TYPES, Fail, draw_program, run_program, steps_of
from .simulation_world import SimulatedHost, SimulatedJournal, Site, World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from .simulation_loop import SimulatedProcess

INSTANCES = 3
TROUBLE_S = 25.0
"""How long things go wrong."""
PATIENCE_S = 1800.0
"""How long everything may take to end once nothing goes wrong any more."""
CLOCK_JUMPS_S = (-90, -7, 7, 600)
"""A pause that is committed after a jump with a time read before it moves what waits by as much: within PATIENCE_S."""
FAULTS = ("kill", "stall", "reload", "restart", "clock", "disk")
ACTIONS = ("pause", "resume", "terminate", "undo", "restart", "restart_from", "delete")


class Life(NamedTuple):
    """What became of a seed."""

    broken: list[str]
    """Each `promise N: what happened`."""
    trace: list[tuple[Any, ...]]
    """`(moment, what, *about)`, in order."""


def simulate(
    seed: int,
    journal_type: type[SimulatedJournal] = SimulatedJournal,
    host_type: type[SimulatedHost] = SimulatedHost,
) -> Life:
    """Run a seed; the types are those of a broken process, in controls."""

    def new_site(world: World, name: str) -> Site:
        return Site(world, name, entrypoint(world), journal_type=journal_type, host_type=host_type)

    simulation = Simulation(World(seed), new_site)
    with closing(simulation.world.connection):
        simulation.world.loop.run(simulation.live(), simulation.end)
    return Life(simulation.world.promises.broken, simulation.world.trace)


def entrypoint(world: World) -> type[WorkflowEntrypoint]:
    """A class that runs the world's programs, and tells what its code sees."""

    class Order(WorkflowEntrypoint):
        async def run(self, event: dict[str, Any], step: Any) -> Any:
            output = await run_program(world.programs[event["instanceId"]], event, step, world.promises)
            world.promises.ended(step._pass, output)
            return output

    return Order


class Simulation:
    """A life while it is lived."""

    def __init__(self, world: World, new_site: Callable[[World, str], Site]) -> None:
        self.world = world
        self._chance = world.chance
        self._new_site = new_site
        self._sites: list[Site] = []
        self._all_sites: list[Site] = []
        self._asked: dict[str, set[str]] = {}
        """The actions that were asked for, by instance; whether they happened may be unknown."""

    async def live(self) -> None:
        for slot in range(self._chance.choice((1, 2, 2, 3))):
            self._start_site(slot)
        clients = [self._client(f"i{number}") for number in range(INSTANCES)]
        faults = [self._fault() for _ in range(self._chance.randint(1, 6))]
        await asyncio.gather(*clients, *faults)
        await self._calm_down()

    def end(self) -> None:
        self.world.is_over = True
        for site in self._all_sites:
            site.process.go_on()

    def _start_site(self, slot: int) -> None:
        site = self._new_site(self.world, f"p{len(self._all_sites)}")
        self._all_sites.append(site)
        self._sites[slot : slot + 1] = [site]

    # What goes wrong.

    async def _fault(self) -> None:
        await asyncio.sleep(self._chance.random() * TROUBLE_S)
        slot = self._chance.randrange(len(self._sites))
        site = self._sites[slot]
        fault = self._chance.choices(FAULTS, (6, 4, 2, 1, 1, 1))[0]
        self.world.tell("fault", fault, site.process.name)
        if fault == "kill":
            await self._kill(slot)
        elif fault == "stall":
            await self._stall(slot)
        elif fault == "reload":
            site.process.context.copy().run(site.load)
        elif fault == "restart":
            site.process.context.copy().run(site.restart_runner)
        elif fault == "clock":
            self.world.move_clock(self._chance.choice(CLOCK_JUMPS_S))
        else:
            self.world.is_disk_full = True
            await asyncio.sleep(self._chance.random() * 6)
            self.world.is_disk_full = False

    async def _stall(self, slot: int) -> None:
        """Stop a process some turns from now, mostly for longer than its lease; many a one does not live long then."""
        process = self._sites[slot].process
        await self._some_turns(process, process.stop)
        await asyncio.sleep(self._chance.choice((2, 17, 17, 40)))
        if not process.is_dead:
            process.go_on()
            if self._chance.random() < 0.4:
                await self._kill(slot)

    async def _kill(self, slot: int) -> None:
        """Kill a process some turns from now, and start another a little later."""
        process = self._sites[slot].process
        await self._some_turns(process, process.kill)
        await asyncio.sleep(self._chance.choice((0, 0.3, 6)))
        if self._sites[slot].process is process:
            self._start_site(slot)

    async def _some_turns(self, process: SimulatedProcess, strike: Callable[[], None]) -> None:
        """Let it happen between two turns of the process, or while it has nothing to do."""
        is_over = asyncio.Event()

        def struck() -> None:
            strike()
            is_over.set()

        process.strike_after(self._chance.randint(1, 300), struck)
        with suppress(TimeoutError):
            await asyncio.wait_for(is_over.wait(), timeout=self._chance.choice((0.5, 5)))
        struck()
        self.world.tell("struck", process.name)

    async def _calm_down(self) -> None:
        """Nothing goes wrong any more: everything must come to its end by itself."""
        self.world.is_calm = True
        self.world.is_disk_full = False
        for slot, site in enumerate(self._sites):
            if site.process.is_dead:
                self._start_site(slot)
            elif site.process.is_stopped:
                site.process.go_on()
        until = self.world.loop.time() + PATIENCE_S
        while unfinished := [row for row in self._rows() if not row[2].is_final]:
            if self.world.loop.time() > until:
                for _, instance_id, status in unfinished:
                    self.world.promises.breaks(6, f"{instance_id} never ended: it is {status}")
                return
            await asyncio.sleep(2)
            for _, instance_id, status in unfinished:
                if status is Status.PAUSED:
                    await self._ask(instance_id, "resume")
        self._check_ends()

    def _rows(self) -> list[tuple[int, str, Status]]:
        rows = self.world.connection.execute("SELECT number, id, status FROM instance ORDER BY number").fetchall()
        return [(number, instance_id, Status(status)) for number, instance_id, status in rows]

    def _check_ends(self) -> None:
        promises = self.world.promises
        for number, instance_id, status in self._rows():
            self.world.tell("ended", instance_id, str(status))
            asked = self._asked[instance_id]
            fails = any(isinstance(op, Fail) for op in self.world.programs[instance_id])
            expected = {Status.ERRORED if fails else Status.COMPLETE}
            if asked & {"terminate", "undo"}:
                expected.add(Status.TERMINATED)
            if status not in expected:
                promises.breaks(6, f"{instance_id} is {status} and not {' or '.join(sorted(expected))}")
            if status is Status.COMPLETE:
                (output,) = self.world.connection.execute(
                    "SELECT output FROM instance WHERE number = ?", (number,)
                ).fetchone()
                promises.finished(instance_id, number, values.decode(output))
        there = {instance_id for _, instance_id, _ in self._rows()}
        for instance_id, asked in self._asked.items():
            if instance_id not in there and "delete" not in asked:
                promises.breaks(4, f"{instance_id} was created, and is gone")
            if promises.created[instance_id] > 1:
                promises.breaks(4, f"{instance_id} was created {promises.created[instance_id]} times")

    # What users do.

    async def _client(self, instance_id: str) -> None:
        self.world.programs[instance_id] = draw_program(self._chance)
        self._asked[instance_id] = set()
        await asyncio.sleep(self._chance.random() * 5)
        creators = [self._create(instance_id) for _ in range(self._chance.choice((1, 1, 2)))]
        await asyncio.gather(*creators)
        for number in range(self._chance.randint(0, 5)):
            await asyncio.sleep(self._chance.choice((0, 0.2, 3)))
            event_type = self._chance.choice(EVENT_TYPES)
            await self._in_a_process(lambda site, n=number, kind=event_type: _send(site, instance_id, kind, n))
            if self._chance.random() < 0.2:
                await self._ask(instance_id, self._chance.choices(ACTIONS, (4, 3, 1, 1, 1, 2, 0.3))[0])

    async def _create(self, instance_id: str) -> None:
        while True:
            outcome = await self._in_a_process(lambda site: site.workflow.create(id=instance_id))
            if isinstance(outcome, WorkflowError):
                return
            if outcome is not None and not isinstance(outcome, Exception):
                self.world.promises.created[instance_id] += 1
                self.world.tell("created", instance_id)
                return

    async def _ask(self, instance_id: str, action: str) -> None:
        self._asked[instance_id].add(action)
        self.world.tell("asked", instance_id, action)
        step = self._chance.choice(steps_of(self.world.programs[instance_id]) or ["0"])

        async def ask(site: Site) -> None:
            instance = await site.workflow.get(instance_id)
            if action == "undo":
                await instance.terminate(rollback=True)
            elif action == "restart_from":
                await instance.restart({"from": {"name": step}})
            else:
                await getattr(instance, action)()

        await self._in_a_process(ask)

    async def _in_a_process(self, call: Callable[[Site], Coroutine[Any, Any, Any]]) -> Any:
        """What a call gave in some process, an error too; None when the process died before it answered."""
        while not (living := [site for site in self._sites if not site.process.is_stopped]):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(1)
        site = self._chance.choice(living)
        task = site.process.spawn(_outcome(call, site))
        while not task.done() and not site.process.is_dead:
            await asyncio.wait({task}, timeout=1)
        return task.result() if task.done() else None


async def _send(site: Site, instance_id: str, event_type: str, number: int) -> None:
    instance = await site.workflow.get(instance_id)
    await instance.send_event(type=event_type, payload=f"{instance_id} {event_type} {number}")


async def _outcome(call: Callable[[Site], Coroutine[Any, Any, Any]], site: Site) -> Any:
    try:
        return await call(site) or True
    except (BackendError, BindingError) as error:
        return error


def broken_seeds(seeds: Iterable[int]) -> list[str]:
    """A line for each seed that breaks a promise, with how to see it again."""
    lines = []
    for seed in seeds:
        try:
            broken = simulate(seed).broken
        except StuckError as error:
            broken = [str(error)]
        if broken:
            lines.append(f"EDGE_SEED={seed}: {broken[0]}")
    return lines


if __name__ == "__main__":
    first, *last = map(int, sys.argv[1:])
    if last:
        told = broken_seeds(range(first, *last))
        print(*told, sep="\n")  # noqa: T201 - a command
        sys.exit(bool(told))
    life = simulate(first)
    print(*life.trace, *life.broken, sep="\n")  # noqa: T201 - a command
