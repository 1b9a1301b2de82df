"""Renews a runner's lease while code blocks its event loop: a thread that does nothing else.

The loop renews the lease and says so by `beat`. When half of it went by without that, and a little more for a loop
that only wakes with its machine, the thread renews in its place: else another process would take over instances that
are at work, and run their steps a second time at once. It does so for a bounded time, as a loop that is blocked for
good would hold its instances for ever. A process that was stopped has its threads stopped too; what was taken from it
meanwhile is not listed as its own any more, and the fences of what it held are past.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....runtime.core.host import Host

BLOCKED_SECONDS_MAX = 600.0
"""So long may code block the loop until its instances are given away: as long as an attempt may take by default."""


class LeaseThread:
    """From `start` until `stop`."""

    def __init__(
        self,
        renew: Callable[[], None],
        host: Host,
        *,
        lease_s: float,
        blocked_s_max: float = BLOCKED_SECONDS_MAX,
    ) -> None:
        """`renew` is called in the thread, and may raise BackendError. No thread is made for a bound of 0."""
        self._renew = renew
        self._host = host
        self._lease_s = lease_s
        self._blocked_s_max = blocked_s_max
        self._beat_at = self._renewed_at = host.now()
        self._is_doubtful = False
        self._is_over = Event()

    def start(self) -> None:
        if self._blocked_s_max:
            Thread(target=self._run, name="workflow-lease", daemon=True).start()

    def beat(self) -> None:
        """The loop goes round, and has renewed the lease."""
        self._beat_at = self._host.now()

    def stop(self) -> None:
        """Nobody waits for the thread: it may be in a write, which does no harm then."""
        self._is_over.set()

    def look(self) -> float:
        """Renew the lease if it is time to; in how many seconds to look again."""
        now, beat_at = self._host.now(), self._beat_at
        due_in_s = max(beat_at, self._renewed_at) + self._lease_s / 2 - now
        was_doubtful, self._is_doubtful = self._is_doubtful, due_in_s <= 0
        if not self._is_doubtful:
            return min(due_in_s, self._lease_s / 2)  # the clock may have gone back
        if not was_doubtful:
            return self._lease_s / 6
        if now - beat_at < self._blocked_s_max:
            if self._renewed_at <= beat_at:
                remedy = "let functions that compute or block run in asyncio.to_thread()"
                self._host.log.warning("workflows_blocked", for_s=round(now - beat_at, 1), remedy=remedy)
            try:
                self._renew()
            except BackendError as error:
                self._host.log.error("workflow_lease_not_renewed", exc_info=error)
                return self._lease_s / 6  # so that there are two attempts until it is over
            self._renewed_at = now
        return self._lease_s / 2

    def _run(self) -> None:
        wait_s = self._lease_s / 2
        while not self._is_over.wait(wait_s):
            wait_s = self.look()
