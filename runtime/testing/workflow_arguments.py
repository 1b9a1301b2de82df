"""What a test writes when it looks into workflows, checked where it is written: a slip is told, not passed over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...bindings.workflows.journal.records import Status
from ...bindings.workflows.workflow import ID_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

Step = tuple[str, int]
"""Name, and which of that name."""

_ID = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9-_]{{0,{ID_CHARS_MAX - 1}}}")
_SCHEDULED_ID = re.compile(r"\S+( \S+){4}-\d.*")
"""Begins with the five fields of a schedule and its time."""


def require_step(step: object) -> Step:
    """A StepSelector as name and index.

    Raises:
        TypeError: no `{"name": ..., "index"?: ...}`.
        ValueError: an index below 1.
    """
    given: Mapping[Any, Any] = step if isinstance(step, Mapping) and step.keys() <= {"name", "index"} else {}
    name, index = given.get("name"), given.get("index", 1)
    if not isinstance(name, str) or type(index) is not int:
        shape = '{"name": "charge"}, or {"name": "charge", "index": 2} for the second of that name'
        msg = f"A step is {shape}, not {step!r:.200}."
        raise TypeError(msg)
    if index < 1:
        msg = f"Steps of one name are counted from 1; the index of step {name!r:.200} is {index}."
        raise ValueError(msg)
    return (name, index)


def require_steps(steps: Iterable[object]) -> set[Step]:
    """A list of StepSelectors as names and indexes.

    Raises:
        TypeError: no list, or something in it is no step.
        ValueError: an index below 1.
    """
    if isinstance(steps, str | Mapping) or not hasattr(steps, "__iter__"):
        msg = f'Several steps are a list, as [{{"name": "charge"}}], not {steps!r:.200}.'
        raise TypeError(msg)
    return {require_step(step) for step in steps}


def require_event(event: object) -> Mapping[str, Any]:
    """A MockedEvent; its type and its payload are looked at by who stores them.

    Raises:
        TypeError: no `{"type": ..., "payload"?: ...}`.
    """
    if not isinstance(event, Mapping) or "type" not in event or not event.keys() <= {"type", "payload"}:
        msg = f'mock_event takes {{"type": "approved", "payload": ...}}, the payload if any, not {event!r:.200}.'
        raise TypeError(msg)
    return event


def require_error(error: object) -> Exception:
    """What a step fails with.

    Raises:
        TypeError: no exception.
    """
    if not isinstance(error, Exception):
        msg = f'A step fails with an exception, as ValueError("no card"), not {error!r:.200}.'
        raise TypeError(msg)
    return error


def require_times(times: object) -> int | None:
    """How many attempts; None: all.

    Raises:
        ValueError: no whole number from 1 on.
    """
    if times is None:
        return None
    if type(times) is not int or times < 1:
        msg = f"`times` is how many attempts fail, 1 or more, or None for all of them, not {times!r:.200}."
        raise ValueError(msg)
    return times


def require_change(change: object) -> None:
    """Check what `modify` is to call.

    Raises:
        TypeError: no function.
    """
    if not callable(change):
        msg = f"Give a function of the modifier, as lambda m: m.disable_sleeps(), not {change!r:.200}."
        raise TypeError(msg)


def require_status(status: object) -> Status:
    """A status by its name.

    Raises:
        ValueError: there is none of that name.
    """
    if not isinstance(status, str) or status not in set(Status):
        msg = f"No instance becomes {status!r:.200}: wait for one of {', '.join(Status)}."
        raise ValueError(msg)
    return Status(status)


def require_instance_id(instance_id: object) -> str:
    """An id that an instance may have: one that was given, or one that a schedule made.

    Raises:
        ValueError: no instance can have it.
    """
    if not isinstance(instance_id, str) or not (_ID.fullmatch(instance_id) or _SCHEDULED_ID.fullmatch(instance_id)):
        msg = (
            f"The id of an instance is 1 to {ID_CHARS_MAX} letters, digits, - and _ (not first -), or a schedule's "
            f'"0 * * * *-1767225600000", not {instance_id!r:.200}.'
        )
        raise ValueError(msg)
    return instance_id
