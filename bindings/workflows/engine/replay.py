"""Whether a pass calls again what earlier passes recorded.

A deterministic run calls, in every pass, each step that an earlier pass finished: nothing it depends on is missing. It
need not call them in the same order: branches that run in parallel take turns as their steps end, and recorded steps
end at once. So order proves nothing. What proves a divergence is a finished step that is still not called when the
pass has nothing left to call it from: everything waits, or `run` is over.

- By default such a step is told of in a warning, with the first new step that was called in its place.
- With `strict_replay`, a step that is not finished waits until all that are have been called, and the instance ends
  with NonDeterminismError when they are not: nothing runs that does not belong to the recorded run.

A step that a callback of another step called is left out: once that one is finished, nobody calls it again.
Source: spec "Workflows", 4.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from ..errors import NonDeterminismError
from ..journal.records import Kind, StepKey, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ....runtime.core.host import Host
    from ..journal.records import StepRecord
    from .timers import Timers

STRICT_WAIT_SECONDS = 5.0
"""How long a strict pass waits for a branch that does something else than steps."""

_OVER = frozenset({StepState.DONE, StepState.FAILED})


class ReplayCheck:
    """Of one pass."""

    __slots__ = ("_left", "_requested", "_waiting")

    def __init__(self, recorded: Iterable[StepRecord]) -> None:
        over = (step for step in recorded if step.state in _OVER and not step.is_nested)
        self._left = {step.key: step for step in over if step.key.kind is not Kind.ROLLBACK}
        self._requested: StepKey | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def is_behind(self) -> bool:
        """Whether a finished step has not been called yet."""
        return bool(self._left)

    def visit(self, key: StepKey, *, is_new: bool) -> None:
        """A step is called; a new one has no record."""
        self._left.pop(key, None)
        if not self._left:
            self._requested = None
            for one in self._waiting:
                _wake(one)
        elif is_new and self._requested is None:
            self._requested = key

    @property
    def recorded_step(self) -> str | None:
        """The first finished step that was not called."""
        first = min(self._left.values(), key=lambda step: step.order, default=None)
        return None if first is None else shown_key(first.key)

    @property
    def requested_step(self) -> str | None:
        """The first new step that was called in its place; None: none was."""
        return None if self._requested is None else shown_key(self._requested)

    async def caught_up(self, host: Host, timers: Timers) -> bool:
        """Wait until every finished step has been called; False: for STRICT_WAIT_SECONDS none of them was."""
        while self._left:
            left_count = len(self._left)
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            timer = timers.at(host.now() + STRICT_WAIT_SECONDS, partial(_wake, woken))
            self._waiting.append(woken)
            try:
                await woken
            finally:
                timer.cancel()
                self._waiting.remove(woken)
            if len(self._left) == left_count:
                return False
        return True

    def error(self) -> NonDeterminismError:
        """What ends a strict instance."""
        called = "called no other" if self._requested is None else f'called the new step "{self.requested_step}"'
        return NonDeterminismError(
            f'The run differs from what is recorded: it did not call the finished step "{self.recorded_step}" again, '
            f"and {called}. Read clocks and random numbers inside of steps, and put the code back that the instance "
            f"began under, or restart it."
        )


def shown_key(key: StepKey) -> str:
    """A step as messages call it: "charge-1", "sleep nap-1"."""
    name = f"{key.name}-{key.occurrence}"
    return name if key.kind is Kind.DO else f"{key.kind} {name}"


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
