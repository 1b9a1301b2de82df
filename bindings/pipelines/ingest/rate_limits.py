"""The rate limits of one stream: so much a second, with one second's worth saved up, for all processes together.

What is saved up stands in a small file of the state folder. Every request takes a turn at it, for microseconds; a
process that dies lets go. Nothing is synced: after a power cut a second's worth is there again.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from ..._shared.sqlite import backend_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_STATE = struct.Struct("=dd")
"""A bucket's level and time."""
_FULL = (inf, 0.0)
_NO_LIMIT = 1e300


@dataclass(slots=True)
class TokenBucket:
    """One limit. More than it can hold may be taken from a full one, and is then owed. Pure: the time is given."""

    per_second: float
    level: float = inf
    """What is saved up; more than it can hold is full."""
    at: float = 0.0
    """When that was, Unix seconds."""

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 when it may be now."""
        capacity = max(self.per_second, 1.0)
        self.level = min(capacity, self.level + max(0.0, now - self.at) * self.per_second)
        self.at = now
        return max(0.0, min(amount, capacity) - self.level) / self.per_second

    def take(self, amount: float) -> None:
        self.level -= amount


class RateLimits:
    """Limits side by side: a request takes from all of them, or from none."""

    def __init__(self, path: Path, rates: Sequence[float | None]) -> None:
        """`rates`: so much a second, None for no limit; each keeps its place among them."""
        self._path = path
        self._rates = tuple(rates)

    def take(self, amounts: Sequence[float], now: float) -> float:
        """Take an amount from each limit; returns 0, or in how many seconds there is enough, and nothing was taken.

        Raises:
            BackendError: the file cannot be written.
        """
        with self._turn() as file:
            text = os.pread(file, _STATE.size * len(self._rates), 0)
            states = [*_STATE.iter_unpack(text)] if len(text) == _STATE.size * len(self._rates) else []
            buckets = [
                TokenBucket(rate or _NO_LIMIT, *state)
                for rate, state in zip(self._rates, states or [_FULL] * len(self._rates), strict=True)
            ]
            wait_s = max(bucket.wait_s(amount, now) for bucket, amount in zip(buckets, amounts, strict=True))
            if wait_s:
                return wait_s
            for bucket, amount in zip(buckets, amounts, strict=True):
                bucket.take(amount)
            os.pwrite(file, b"".join(_STATE.pack(one.level, one.at) for one in buckets), 0)
        return 0.0

    @contextmanager
    def _turn(self) -> Iterator[int]:
        try:
            file = self._open()
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise backend_error(error, self._path) from error

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
