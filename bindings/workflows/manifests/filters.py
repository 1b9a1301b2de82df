"""The filters of expressions: a closed set, each a function of values alone. None makes more than a value may be."""

from __future__ import annotations

import json
import math
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from ..values import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable


def as_text(value: Any) -> str:
    """A value inside a text: null is nothing, and what is no text is JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def is_true(value: Any) -> bool:
    """What `if` makes of a value: null, false, 0 and whatever is empty are false."""
    return bool(value)


def _join(value: Any, separator: str = ", ") -> str:
    items, separator = [as_text(item) for item in _list(value)], _text(separator)
    if sum(map(len, items)) + len(separator) * len(items) > VALUE_BYTES_MAX:
        msg = "the text is larger than 1 MiB"
        raise ValueError(msg)
    return separator.join(items)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        msg = "it is no list"
        raise TypeError(msg)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        msg = "it is no text"
        raise TypeError(msg)
    return value


def _map(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        msg = "it is no map"
        raise TypeError(msg)
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        msg = "it is no number"
        raise TypeError(msg)
    if not isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        msg = "it is no number that can be kept"
        raise ValueError(msg)
    return int(value) if value.strip().lstrip("+-").isdigit() else number


FILTERS: dict[str, Callable[..., Any]] = {
    "default": lambda value, other: other if value is None else value,
    "eq": lambda value, other: value == other,
    "ne": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "le": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "ge": lambda value, other: value >= other,
    "not": lambda value: not is_true(value),
    "and": lambda value, other: is_true(value) and is_true(other),
    "or": lambda value, other: is_true(value) or is_true(other),
    "in": lambda value, *others: value in (others[0] if len(others) == 1 and isinstance(others[0], list) else others),
    "contains": lambda value, part: part in value,
    "length": len,
    "first": lambda value: _list(value)[0] if value else None,
    "last": lambda value: _list(value)[-1] if value else None,
    "keys": lambda value: [as_text(key) for key in _map(value)],
    "values": lambda value: list(_map(value).values()),
    "join": _join,
    "split": lambda value, separator: _text(value).split(separator),
    "lower": lambda value: _text(value).lower(),
    "upper": lambda value: _text(value).upper(),
    "trim": lambda value: _text(value).strip(),
    "text": as_text,
    "number": _number,
    "json": lambda value: json.dumps(value, ensure_ascii=False, default=str),
}

OPERANDS_MAX = 16


def _argument_counts(function: Callable[..., Any]) -> tuple[int, int]:
    """How many arguments a filter takes beside its value: at least, at most."""
    if function is len:
        return 0, 0
    parameters = list(signature(function).parameters.values())[1:]
    if any(one.kind is Parameter.VAR_POSITIONAL for one in parameters):
        return 1, OPERANDS_MAX
    return sum(one.default is Parameter.empty for one in parameters), len(parameters)


ARGUMENTS = {name: _argument_counts(function) for name, function in FILTERS.items()}
