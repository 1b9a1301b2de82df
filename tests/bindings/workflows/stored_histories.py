"""What 500 finished instances left in the journal, kept in the repository, and replayed on the engine of today.

    python -m workflows.stored_histories        # in tests/bindings: records them anew, with the engine of today

Each history is a line of JSON: the program, which `run` gets as its params, every step as the journal had it, and how
the instance ended. They were recorded in simulated lives, with kills, stalls, retries and restarts in them. One is
replayed by giving its steps to a new instance that has not ended: `run` must call the same steps, run none of their
callbacks, and come to the same end.
"""

from __future__ import annotations

import json
import lzma
from base64 import b64decode, b64encode
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.bindings.workflows import values
from edge.bindings.workflows.errors import ErrorRecord
from edge.bindings.workflows.journal.records import (
    Kind,
    NewInstance,
    Pause,
    Progress,
    Status,
    StepKey,
    StepRecord,
    StepState,
)
from edge.runtime.core.entrypoints import WorkflowEntrypoint

from .simulation import Simulation, entrypoint
from .simulation_programs import Do, Fail, Sleep, Together, Wait, run_program
from .simulation_world import SimulatedJournal, SimulatedProcess, Site, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .simulation_programs import Op

FILE = Path(__file__).parent / "histories" / "500.jsonl.xz"
COUNT = 500
OPS = {op.__name__: op for op in (Do, Sleep, Wait, Together, Fail)}
END = "status, output, error_name, error_message"


class History(NamedTuple):
    """A finished instance."""

    program: list[Any]
    steps: Sequence[StepRecord]
    end: list[Any]
    """Status, output, the error's name and message."""


class Replayed(NamedTuple):
    """What became of the histories when they were replayed."""

    ends: list[list[Any]]
    ran: list[str]
    """Steps whose callback ran again, as `started ID STEP`."""
    warnings: list[str]


def read_histories() -> list[History]:
    """All that are stored."""
    with lzma.open(FILE, "rt") as lines:
        return [_history(**json.loads(line)) for line in lines]


def replay(histories: Sequence[History]) -> Replayed:
    """Let the engine of today go through them, in one process."""
    world = World(0)
    world.is_calm = True
    site: list[Site] = []

    async def live() -> None:
        loader = SimulatedProcess("loader", world.loop)
        await loader.spawn(_load(SimulatedJournal(world, loader), histories, round(world.wall_s() * 1000)))
        site.append(Site(world, "replay", _entrypoint(world)))
        while world.connection.execute("SELECT 1 FROM instance WHERE ended_ms IS NULL").fetchone():
            await _pause(world)

    def end() -> None:
        world.is_over = True

    world.loop.run(live(), end)
    ends = world.connection.execute(f"SELECT {END} FROM instance ORDER BY number").fetchall()
    world.connection.close()
    ran = [" ".join(map(str, row[1:4])) for row in world.trace if row[1] == "started"]
    warnings = [row[2] for row in world.trace if row[1] == "replay" and str(row[2]).startswith("workflow_replay")]
    return Replayed([_shown(*row) for row in ends], ran, warnings)


def program_of(ops: Sequence[Any]) -> tuple[Op, ...]:
    """The program that `_plain` wrote."""
    return tuple(
        Together(tuple(program_of(branch) for branch in fields["branches"]))
        if name == "Together"
        else OPS[name](**fields)
        for name, fields in ops
    )


def record(count: int) -> Iterator[str]:
    """Lines of so many histories, of instances of simulated lives."""
    seed = 0
    while count:
        life = Simulation(World(seed), lambda world, name: Site(world, name, entrypoint(world)))
        life.world.loop.run(life.live(), life.end)
        rows = life.world.connection.execute(
            f"SELECT id, {END} FROM instance WHERE status IN ('complete', 'errored') ORDER BY number"
        ).fetchall()
        for instance_id, *ended in rows[:count]:
            count -= 1
            yield _line(life.world, instance_id, _shown(*ended))
        life.world.connection.close()
        seed += 1


async def _pause(world: World) -> None:
    waiting = world.loop.create_future()
    world.loop.call_later(1, waiting.set_result, None)
    await waiting


async def _load(journal: SimulatedJournal, histories: Sequence[History], now_ms: int) -> None:
    """Make instances of the histories, which are to go on."""
    new = [
        NewInstance(f"h{number}", values.encode(one.program), 10**14, 10**14) for number, one in enumerate(histories)
    ]
    await journal.create("orders", new, now_ms)
    await journal.renew("loader", now_ms + 10**6)
    claims = await journal.claim("loader", "orders", len(histories), now_ms)
    for claimed in claims.claimed:
        steps = histories[int(claimed.instance.id[1:])].steps
        await journal.save(claimed.lease, Progress(steps), now_ms)
        await journal.release(claimed.lease, Pause(Status.RUNNING, now_ms), now_ms)


def _entrypoint(world: World) -> type[WorkflowEntrypoint]:
    class Order(WorkflowEntrypoint):
        async def run(self, event: dict[str, Any], step: Any) -> Any:
            return await run_program(program_of(event["payload"]), event, step, world.promises)

    return Order


def _shown(status: str, output: bytes | None, *error: str | None) -> list[Any]:
    return [status, None if output is None else values.decode(output), *error]


def _plain(ops: Sequence[Op]) -> list[Any]:
    plain: list[Any] = []
    for op in ops:
        fields = {"branches": [_plain(branch) for branch in op.branches]} if isinstance(op, Together) else asdict(op)
        plain.append([type(op).__name__, fields])
    return plain


def _line(world: World, instance_id: str, end: list[Any]) -> str:
    rows = world.connection.execute(
        "SELECT kind, name, count, place, state, attempt, is_nested, event_type, error_name, error_message, result"
        " FROM step WHERE instance = (SELECT number FROM instance WHERE id = ?) ORDER BY place",
        (instance_id,),
    ).fetchall()
    steps = [[*row, None if result is None else b64encode(result).decode()] for *row, result in rows]
    return json.dumps({"program": _plain(world.programs[instance_id]), "steps": steps, "end": end})


def _history(program: list[Any], steps: list[list[Any]], end: list[Any]) -> History:
    return History(program, [_step(*step) for step in steps], end)


def _step(
    kind: str, name: str, count: int, place: int, state: str, attempt: int, is_nested: int, *rest: Any
) -> StepRecord:
    event_type, error_name, error_message, result = rest
    return StepRecord(
        StepKey(Kind(kind), name, count),
        place,
        StepState(state),
        attempt,
        is_nested=bool(is_nested),
        event_type=event_type,
        error=None if error_name is None else ErrorRecord(error_name, error_message),
        result=None if result is None else b64decode(result),
    )


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    with lzma.open(FILE, "wt", preset=9) as out:
        out.writelines(f"{line}\n" for line in record(COUNT))
