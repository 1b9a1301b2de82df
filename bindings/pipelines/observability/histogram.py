"""A histogram cheap enough for every frame: bounds are powers of two, so a value's bucket is its length in bits."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BITS_MAX = 64


class Histogram:
    """Counts whole numbers: microseconds, frames, bytes. One thread adds; any may read, and sees sums a moment old."""

    def __init__(self) -> None:
        self.sum = 0
        self._counts = [0] * (BITS_MAX + 1)

    def add(self, values: Sequence[int]) -> None:
        """Count values. One below zero, of a clock that was set back, counts as zero."""
        counts = self._counts
        for value in values:
            counts[(value - 1).bit_length() if value > 0 else 0] += 1
        self.sum += max(0, sum(values))

    @property
    def count(self) -> int:
        return sum(self._counts)

    def at_most(self, bits: Sequence[int]) -> list[int]:
        """How many values were at most 2 to the power of each of `bits`."""
        totals = list(accumulate(self._counts))
        return [totals[one] for one in bits]
