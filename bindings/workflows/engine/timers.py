"""Many due times, one sleeping task: calls functions when the host's clock reaches their time."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....runtime.core.host import Host

SLEEP_SECONDS_MAX = 30.0
"""The wall clock is read again at least this often, so that a jump is seen."""
DEAD_COUNT_MIN = 1024


def now_ms(host: Host) -> int:
    """The host's clock in whole milliseconds. A timer that fires at its time finds that time reached: a float of
    seconds may lie a hair before the millisecond it was made from."""
    return int(host.now() * 1000 + 0.001)


class Timer:
    """One due time; `cancel` may be called at any time, also after it fired."""

    __slots__ = ("_timers", "call", "is_over")

    def __init__(self, timers: Timers, call: Callable[[], None]) -> None:
        self._timers = timers
        self.call = call
        self.is_over = False

    def cancel(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._timers.forget_one()


class Timers:
    """Close with `aclose`; nothing fires after that."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._order = count()
        self._heap: list[tuple[float, int, Timer]] = []
        self._dead_count = 0
        self._task: asyncio.Task[None] | None = None
        self._wakes_at = 0.0

    def at(self, due: float, call: Callable[[], None]) -> Timer:
        """Call a function at a time (Unix seconds), never before; at once, in a later turn, when that is past."""
        timer = Timer(self, call)
        heapq.heappush(self._heap, (due, next(self._order), timer))
        if self._task is None or due < self._wakes_at:
            self._start()
        return timer

    def forget_one(self) -> None:
        """A timer was cancelled: most are (a step's timeout), so the heap is swept when half of it is dead."""
        self._dead_count += 1
        if self._dead_count > max(DEAD_COUNT_MIN, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapq.heapify(self._heap)
            self._dead_count = 0

    async def aclose(self) -> None:
        self._heap.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self) -> None:
        if self._task is not None:
            self._task.cancel()
        # Said at once and not by the task, which has not begun: else every timer of this turn would start another.
        self._wakes_at = min(self._heap[0][0], self._host.now() + SLEEP_SECONDS_MAX)
        self._task = self._host.spawn(self._run(), name="workflow_timers")

    async def _run(self) -> None:
        while self._heap:
            now = self._host.now()
            self._wakes_at = min(self._heap[0][0], now + SLEEP_SECONDS_MAX)
            await self._host.sleep(self._wakes_at - now)
            now = self._host.now()
            while self._heap and self._heap[0][0] <= now:
                timer = heapq.heappop(self._heap)[2]
                if timer.is_over:
                    self._dead_count -= 1
                else:
                    timer.is_over = True
                    timer.call()
        self._task = None
