"""C4 for workflows: the wall clock jumps while instances sleep, and nothing ends early or never."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from .simulation import entrypoint
from .simulation_programs import Do, Sleep, Wait
from .simulation_world import SimulatedHost, Site, World

if TYPE_CHECKING:
    from .simulation_programs import Op

HOUR_S = 3600
YEAR_S = 365 * 24 * HOUR_S
LOOK_S = 30
"""The clock is read again at least this often."""


def seconds_to_end(program: tuple[Op, ...], jump_s: float, host_type: type[SimulatedHost] = SimulatedHost) -> float:
    """How long an instance takes that ran for 5 s when the clock jumped; AssertionError when a promise is broken."""
    world = World(0)
    world.is_calm = True
    site = Site(world, "p0", entrypoint(world), host_type=host_type)
    world.programs["a"] = program

    async def live() -> None:
        instance = await site.process.spawn(site.workflow.create(id="a"))
        await asyncio.sleep(5)
        world.move_clock(jump_s)
        while (await site.process.spawn(instance.status()))["status"] != "complete":  # noqa: ASYNC110 - a user has nothing else
            await asyncio.sleep(0.5)

    def end() -> None:
        world.is_over = True

    world.loop.run(live(), end)
    world.connection.close()
    assert world.promises.broken == []
    return next(at for at, what, *_ in reversed(world.trace) if what in {"woke", "returned"})


@pytest.mark.parametrize("waits", [Sleep("nap", 60_000), Wait("wait", "go", 60_000)], ids=["sleep", "wait"])
@pytest.mark.parametrize(
    ("jump_s", "least_s", "most_s"),
    [
        (0, 60, 61),
        (HOUR_S, 5, 5 + LOOK_S + 1),
        (YEAR_S, 5, 5 + LOOK_S + 1),
        (30, 30, 31 + LOOK_S),
        (-HOUR_S, HOUR_S + 60, HOUR_S + 62 + LOOK_S),
    ],
    ids=["none", "hour", "year", "half-a-minute", "hour-back"],
)
def test_what_waits_ends_when_the_clock_says_so(waits: Op, jump_s: float, least_s: float, most_s: float) -> None:
    assert least_s <= seconds_to_end((Do("before"), waits), jump_s) <= most_s


class CountingFromTheStart(SimulatedHost):
    """The control: a clock that is set once never notices a jump."""

    def now(self) -> float:
        return super().now() - self._world._clock_error_s


def test_control_a_clock_that_is_never_read_again_is_late() -> None:
    assert seconds_to_end((Do("before"), Sleep("nap", 60_000)), HOUR_S, CountingFromTheStart) > 5 + LOOK_S + 1
