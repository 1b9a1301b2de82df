"""Durations as Cloudflare writes them: milliseconds, or "<number> <unit>".

Source: spec "Workflows", 3.3.
"""

from __future__ import annotations

import math
import re

from .errors import WorkflowFatalError

SECOND_MS = 1000
DAY_MS = 24 * 60 * 60 * SECOND_MS
DURATION_MS_MAX = 365 * DAY_MS

_UNITS_MS = {
    "ms": 1,
    "millisecond": 1,
    "second": SECOND_MS,
    "minute": 60 * SECOND_MS,
    "hour": 60 * 60 * SECOND_MS,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
    "month": 30 * DAY_MS,
    "year": DURATION_MS_MAX,
}
_TEXT = re.compile(r"(-?\d+(?:\.\d+)?)(?: ([a-z]+))?", re.IGNORECASE)


def parse_duration_ms(value: object, what: str) -> int:
    """A duration in whole milliseconds; zero and negatives are 0.

    Raises:
        WorkflowFatalError: no duration, or more than 365 days; the text names `what` and the value.
    """
    duration_ms = _milliseconds(value)
    if duration_ms is None:
        msg = f'{what} is {shown(value)}: write milliseconds, or a text as "10 seconds", "24 hours", "7 days".'
        raise WorkflowFatalError(msg)
    if duration_ms > DURATION_MS_MAX:
        msg = f"{what} is {shown(value)}: the longest duration is 365 days."
        raise WorkflowFatalError(msg)
    return math.ceil(max(duration_ms, 0))


def shown(value: object) -> str:
    """A value that somebody gave for a time, for a message."""
    try:
        return f"{value!r:.200}"
    except ValueError:  # an integer of more digits than Python writes
        return "an integer of thousands of digits"


def parse_retention_ms(value: object, what: str) -> int:
    """How long something is kept, as `parse_duration_ms`.

    Raises:
        WorkflowFatalError: it says no duration, or that it is gone at once.
    """
    retention_ms = parse_duration_ms(value, what)
    if retention_ms == 0:
        raise WorkflowFatalError(f"{what} is {value!r}: it must be longer than nothing.")
    return retention_ms


def _milliseconds(value: object) -> float | None:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, int | float):
        return value
    match = _TEXT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    number, unit = match.groups()
    unit_ms = _UNITS_MS.get((unit or "ms").lower()) or _UNITS_MS.get((unit or "").lower().removesuffix("s"))
    return None if unit_ms is None else float(number) * unit_ms
