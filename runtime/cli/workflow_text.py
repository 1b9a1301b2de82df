"""Times of day and durations of workflows as the commands write them; times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS_MS = (("d", 24 * 3600 * 1000), ("h", 3600 * 1000), ("min", 60 * 1000), ("s", 1000))


def time_of_day(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds")[11:23]


def duration_text(duration_ms: float) -> str:
    """As short as it is still plain: 41 ms, 2.4 s, 3 min 5 s, 2 h 10 min, 3 d 4 h."""
    left_ms = max(round(duration_ms), 0)
    if left_ms < 1000:
        return f"{left_ms} ms"
    if left_ms < 60_000:
        return f"{left_ms / 1000:.3g} s"
    parts = []
    for unit, unit_ms in _UNITS_MS:
        count, left_ms = divmod(left_ms, unit_ms)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
