"""Functions that make as much as a number tells them, held to a limit: one record must not take all memory.

`repeat(name, n)` with a hostile n asks for a terabyte, and the engine's memory limit does not cover what functions
make. So the argument that says how much passes through a check, which fails before anything is made: over many
records the batch is then halved like after any failure, and one record that wants too much by itself dies alone.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from datafusion import udf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datafusion import SessionContext

MADE_BYTES_MAX = 16 * 1024 * 1024
"""What one call may make of the records it is given together: so much text, or 2,097,152 items of a list."""
MADE_TOO_MUCH = "A function would make more than 16 MiB of text or list items of one record."
"""Said by the check, through the engine, to `engine_errors.py`."""

_COUNT_CHECK, _RANGE_CHECK = "__edge_count", "__edge_range"
_ITEM_BYTES = 8
_CHARACTER_BYTES = 4


def bounded_arguments(name: str, arguments: Sequence[str]) -> Sequence[str]:
    """The arguments of a call, checked where they say how much it makes; as they are for any other function.

    Raises:
        ValueError: a range between numbers in the SQL itself is too long.
    """
    bound, counts = _BOUNDED.get(name, (None, ()))
    return bound(*arguments) if bound is not None and len(arguments) in counts else arguments


def register_checks(context: SessionContext) -> None:
    """Make the checks known to the engine."""
    count = udf(_checked_count, [pa.int64(), pa.int64()], pa.int64(), "immutable", _COUNT_CHECK)
    range_ = udf(_checked_range, [pa.string()] * 3, pa.bool_(), "immutable", _RANGE_CHECK)
    context.register_udf(count)
    context.register_udf(range_)


def _repeat(text: str, count: str) -> Sequence[str]:
    return text, _count(count, f"octet_length({text})")


def _pad(text: str, count: str, *fill: str) -> Sequence[str]:
    return text, _count(count, f"{_CHARACTER_BYTES}"), *fill


def _array_repeat(item: str, count: str) -> Sequence[str]:
    return item, _count(count, _item_size(item))


def _array_resize(array: str, count: str, *item: str) -> Sequence[str]:
    return array, _count(count, _item_size(*item) if item else f"{_ITEM_BYTES}"), *item


def _range(start: str, stop: str | None = None, step: str = "1") -> Sequence[str]:
    """The check is inside the argument, whose type (a number, a date, a timestamp) stays what it is."""
    if stop is None:
        return (_range_end("0", start, step),)
    return (start, _range_end(start, stop, step), *([] if step == "1" else [step]))


def _replace(text: str, part: str, by: str) -> Sequence[str]:
    """Every byte may become `by`: more than there will be, and enough to tell."""
    checked = _count(f"octet_length({text})", f"octet_length({by})")
    return f"CASE WHEN {checked} >= 0 THEN {text} END", part, by


_BOUNDED: dict[str, tuple[Callable[..., Sequence[str]], tuple[int, ...]]] = {
    "repeat": (_repeat, (2,)),
    "lpad": (_pad, (2, 3)),
    "rpad": (_pad, (2, 3)),
    "replace": (_replace, (3,)),
    "array_repeat": (_array_repeat, (2,)),
    "list_repeat": (_array_repeat, (2,)),
    "array_resize": (_array_resize, (2, 3)),
    "list_resize": (_array_resize, (2, 3)),
    "range": (_range, (1, 2, 3)),
    "generate_series": (_range, (1, 2, 3)),
}
"""Name -> how its arguments are checked, and the numbers of arguments for which that holds."""


def _count(count: str, size: str) -> str:
    return f"{_COUNT_CHECK}(CAST({count} AS BIGINT), CAST({size} AS BIGINT))"


def _item_size(item: str) -> str:
    return f"{_ITEM_BYTES} + coalesce(octet_length(CAST({item} AS VARCHAR)), 0)"


def _range_end(start: str, stop: str, step: str) -> str:
    if all(map(_WHOLE_NUMBER.fullmatch, (start, stop, step))):  # the engine would make it while planning
        _require(_length(start, stop, step) * _ITEM_BYTES)
    texts = ", ".join(f"CAST({each} AS VARCHAR)" for each in (start, stop, step))
    return f"CASE WHEN {_RANGE_CHECK}({texts}) THEN {stop} END"


def _checked_count(counts: pa.Array, sizes: pa.Array) -> pa.Array:
    """`counts` with 0 for negative ones, on which the engine breaks; raises if so many of these sizes are too much."""
    counts = pc.if_else(pc.less(counts, 0), pa.scalar(0, pa.int64()), counts)
    wanted = pc.multiply(counts.cast(pa.float64(), safe=False), sizes.cast(pa.float64()))
    _require(pc.sum(wanted).as_py() or 0.0)
    return counts


def _checked_range(starts: pa.Array, stops: pa.Array, steps: pa.Array) -> pa.Array:
    """True for every range; raises if together they are too long."""
    ends = zip(starts.to_pylist(), stops.to_pylist(), steps.to_pylist(), strict=True)
    _require(sum(_length(*each) for each in ends if None not in each) * _ITEM_BYTES)
    return pa.repeat(pa.scalar(True), len(starts))


def _require(size_bytes: float) -> None:
    if size_bytes > MADE_BYTES_MAX:
        raise ValueError(MADE_TOO_MUCH)


def _length(start: str, stop: str, step: str) -> float:
    """About how many items there are from `start` to `stop`; of dates and timestamps in the engine's own text."""
    try:
        span, each = float(int(stop) - int(start)), float(int(step))
    except ValueError:
        span, each = _seconds(stop) - _seconds(start), _interval_seconds(step)
    if each == 0:
        return math.inf
    return max(0.0, span / each + 1)


def _seconds(moment: str) -> float:
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return math.inf  # no date a calendar has
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()


_WHOLE_NUMBER = re.compile(r"-?\d+")
_INTERVAL_PART = re.compile(r"(-?[\d.]+) (year|mon|day|hour|min|sec)")
_UNIT_S = {"year": 365 * 86_400, "mon": 28 * 86_400, "day": 86_400, "hour": 3600, "min": 60, "sec": 1}


def _interval_seconds(text: str) -> float:
    """0 where it is not one direction: "1 mons -28 days" may stand still."""
    parts = [float(number) * _UNIT_S[unit] for number, unit in _INTERVAL_PART.findall(text)]
    return sum(parts) if all(part >= 0 for part in parts) or all(part <= 0 for part in parts) else 0.0
