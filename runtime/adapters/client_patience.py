"""How long one client may keep a server waiting. Pure: told what happens, asked at every tick, no clock of its own.

Source: spec "Reliability", section 4, "slow headers, slow body, slow reader".
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...wrangler_config.worker_config import Limits

LINGER_SECONDS = 2.0
"""How long a closed connection still takes bytes, so that the client sees the answer and no reset."""


class Cut(Enum):
    """What is to be done with a client."""

    NOTHING = auto()
    CLOSE = auto()
    """It is idle, and owed nothing."""
    HEAD_LATE = auto()
    BODY_SLOW = auto()
    ABORT = auto()
    """It does not take what it is sent."""


class Patience:
    """One client's times, as the server's tick knows them."""

    __slots__ = (
        "_body_bytes",
        "_body_since",
        "_idle_seconds_max",
        "_limits",
        "_linger_since",
        "_stall_bytes",
        "_stall_since",
        "_waiting_since",
        "has_head_begun",
    )

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self.has_head_begun = False
        """Part of a request's head came, but not all of it."""
        self._waiting_since = now
        # A fresh connection has the header timeout; keep-alive is for clients that have asked something.
        self._idle_seconds_max = limits.header_timeout_seconds
        self._body_since = 0.0
        self._body_bytes = 0
        self._stall_since: float | None = None
        self._stall_bytes = 0
        self._linger_since: float | None = None

    def begin_idle(self, now: float) -> None:
        """A request was answered and no other has begun."""
        self._waiting_since = now
        self._idle_seconds_max = self._limits.keep_alive_seconds

    def begin_head(self, now: float) -> None:
        if not self.has_head_begun:
            self.has_head_begun = True
            self._waiting_since = now

    def begin_body(self, now: float) -> None:
        self._body_since = now
        self._body_bytes = 0

    def count_body(self, size_bytes: int) -> None:
        self._body_bytes += size_bytes

    def begin_stall(self, now: float, unsent_bytes: int) -> None:
        """More is waiting to be sent than the transport likes."""
        self._stall_since = now
        self._stall_bytes = unsent_bytes

    def end_stall(self) -> None:
        self._stall_since = None

    def begin_linger(self, now: float, unsent_bytes: int) -> None:
        """The last answer was written; what the transport holds of it is still to be taken."""
        self._linger_since = now
        self._stall_bytes = unsent_bytes

    def decide(
        self,
        now: float,
        *,
        is_answering: bool,
        is_body_open: bool,
        is_body_paused: bool,
        is_draining: bool,
        unsent_bytes: int,
    ) -> Cut:
        """
        Args:
            is_body_paused: the handler reads more slowly than the client sends.
            unsent_bytes: what the transport still holds.
        """
        if self._linger_since is not None:
            return self._decide_linger(now, self._linger_since, unsent_bytes)
        if self._stall_since is not None:
            return self._decide_stall(now, self._stall_since, unsent_bytes)
        if is_body_open:
            return self._decide_body(now, is_body_paused=is_body_paused)
        if is_answering:
            return Cut.NOTHING
        waited = now - self._waiting_since
        if self.has_head_begun:
            return Cut.HEAD_LATE if waited >= self._limits.header_timeout_seconds else Cut.NOTHING
        if not is_draining and waited < self._idle_seconds_max:
            return Cut.NOTHING
        # Closing would wait for what it does not take.
        return Cut.ABORT if unsent_bytes and not is_draining else Cut.CLOSE

    def _decide_linger(self, now: float, since: float, unsent_bytes: int) -> Cut:
        if unsent_bytes < self._stall_bytes:
            self.begin_linger(now, unsent_bytes)
            return Cut.NOTHING
        limit = self._limits.write_stall_seconds if unsent_bytes else LINGER_SECONDS
        return Cut.ABORT if now - since >= limit else Cut.NOTHING

    def _decide_stall(self, now: float, since: float, unsent_bytes: int) -> Cut:
        """Any byte taken starts the time anew."""
        if unsent_bytes < self._stall_bytes:
            self.begin_stall(now, unsent_bytes)
            return Cut.NOTHING
        return Cut.ABORT if now - since >= self._limits.write_stall_seconds else Cut.NOTHING

    def _decide_body(self, now: float, *, is_body_paused: bool) -> Cut:
        """Each window of the grace time must bring its share, unless the handler was the slow one."""
        elapsed = now - self._body_since
        if not is_body_paused:
            if elapsed < self._limits.body_grace_seconds:
                return Cut.NOTHING
            if self._body_bytes < self._limits.body_bytes_per_second * elapsed:
                return Cut.BODY_SLOW
        self.begin_body(now)
        return Cut.NOTHING
