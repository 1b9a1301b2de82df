"""A rate limit: so much a second, with one second's worth saved up. Pure: the time is given."""

from __future__ import annotations


class TokenBucket:
    """Starts full. More than it can hold may be taken from a full one, and is then owed."""

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._capacity = max(per_second, 1.0)
        self._level = self._capacity
        self._at = now

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 when it may be now."""
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._per_second)
        self._at = now
        return max(0.0, min(amount, self._capacity) - self._level) / self._per_second

    def take(self, amount: float) -> None:
        self._level -= amount
