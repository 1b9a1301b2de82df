"""Functions whose documented result differs from the engine's, or that it does not have: one row each.

A row is how to write the documented result with the engine's own functions; deleting it gives the engine's result back
(or, for `array_fill` and `trim_array`, refuses the function). What the hosted service really answers for these is
unverified. Source: Cloudflare docs, Pipelines SQL reference, "Math", "Array" and "Time and date" functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .growing_calls import bounded_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLATTEN_DEPTH_MAX = 8
_SECOND_NS = 1_000_000_000
_DAY_S = 86_400


def _signum(x: str) -> str:
    """1 for zero, where the engine has 0. `x` is written once: it may be random()."""
    return f"signum(signum({x}) + 0.5)"


def _flatten(x: str) -> str:
    """Every level; the engine takes away one, and leaves a flat list as it is."""
    for _ in range(FLATTEN_DEPTH_MAX - 1):
        x = f"flatten({x})"
    return x


def _empty(x: str) -> str:
    """0 or 1, where the engine has a boolean."""
    return f"CAST(empty({x}) AS INT)"


def _from_unixtime(x: str, zone: str | None = None) -> str:
    """Nanoseconds, where the engine takes seconds."""
    time = f"to_timestamp_nanos({x})"
    if zone is None:
        return time
    if zone.startswith("'"):
        zone = f"'Timestamp(Nanosecond, Some(\"{zone[1:-1]}\"))'"
    return f"arrow_cast({time}, {zone})"


def _array_fill(x: str, lengths: str) -> str:
    """Deprecated; the engine has `array_repeat`. One length: more of them go through nested calls."""
    return f"array_repeat({', '.join(bounded_arguments('array_repeat', (x, f'array_element({lengths}, 1)')))})"


def _trim_array(array: str, count: str) -> str:
    """Deprecated; without the last `count` items. A slice's end counts from the back when it is negative."""
    return f"array_slice({array}, 1, -1 - ({count}))"


DOCUMENTED: dict[str, tuple[Callable[..., str], tuple[int, ...]]] = {
    "signum": (_signum, (1,)),
    "flatten": (_flatten, (1,)),
    "empty": (_empty, (1,)),
    "array_empty": (_empty, (1,)),
    "list_empty": (_empty, (1,)),
    "from_unixtime": (_from_unixtime, (1, 2)),
    "array_fill": (_array_fill, (2,)),
    "trim_array": (_trim_array, (2,)),
}
"""Name -> how to write it, and the numbers of arguments for which that holds."""


def documented_call(name: str, arguments: Sequence[str]) -> str | None:
    """The call written so that it gives the documented result; None where the engine's own is as documented."""
    write, counts = DOCUMENTED.get(name, (None, ()))
    return write(*arguments) if write is not None and len(arguments) in counts else None


def clock_call(name: str, started_at: float) -> str | None:
    """now() and its kin as literals: fixed at the pipeline's start. None for any other function.

    Source: Cloudflare docs, Pipelines "Time and date functions", now().
    """
    ns = round(started_at * 1e6) * 1000
    if name in ("now", "current_timestamp"):
        return f"arrow_cast({ns}, 'Timestamp(Nanosecond, None)')"
    if name in ("current_date", "today"):
        return f"arrow_cast({ns // (_DAY_S * _SECOND_NS)}, 'Date32')"
    if name == "current_time":
        return f"arrow_cast({ns % (_DAY_S * _SECOND_NS)}, 'Time64(Nanosecond)')"
    return None
