"""Dotted paths into a record: "user.email", "items.0.sku". A backslash before a dot makes it part of the name."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"(?:[^.\\]|\\.)+")
_ABSENT = object()


def parse_path(text: str) -> tuple[str, ...]:
    """The steps of a path.

    Raises:
        ValueError: it is empty, or a step is.
    """
    steps = tuple(re.sub(r"\\(.)", r"\1", step) for step in _STEP.findall(text))
    if not steps or ".".join(_STEP.findall(text)) != text:
        raise ValueError(f'"{text}" is no path. Write names with dots between them, as "user.email".')
    return steps


def find(record: Any, path: tuple[str, ...]) -> Any:
    """The value there; None when there is none."""
    value = _walk(record, path)
    return None if value is _ABSENT else value


def put(record: dict[str, Any], path: tuple[str, ...], value: Any, *, overwrite: bool = True) -> bool:
    """Set the value there, making objects on the way; False when something else is in the way or was there first."""
    parent: Any = record
    for step in path[:-1]:
        if isinstance(parent, dict):
            parent = parent.setdefault(step, {})
        elif (index := _index(parent, step)) is not None:
            parent = parent[index]
        else:
            return False
    if isinstance(parent, dict):
        if not overwrite and path[-1] in parent:
            return False
        parent[path[-1]] = value
        return True
    if (index := _index(parent, path[-1])) is not None and overwrite:
        parent[index] = value
        return True
    return False


def remove(record: dict[str, Any], path: tuple[str, ...]) -> None:
    parent = _walk(record, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
    elif (index := _index(parent, path[-1])) is not None:
        parent[index] = None


def _walk(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, _ABSENT)
        elif (index := _index(value, step)) is not None:
            value = value[index]
        else:
            return _ABSENT
    return value


def _index(value: Any, step: str) -> int | None:
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return int(step)
    return None
