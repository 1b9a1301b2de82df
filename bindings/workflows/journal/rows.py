"""Rows of the journal's tables as records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ErrorRecord
from .records import Fire, Instance, Kind, Status, StepKey, StepRecord, StepState, Trigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import StrEnum

Parameters: TypeAlias = "tuple[str | int | bytes | None, ...]"

INSTANCE_FACTS = (
    "workflow, id, status, generation, created_ms, started_ms, ended_ms, modified_ms, paused_ms, is_terminating,"
    " version, created_by, cron, fired_ms, parent, error_name, error_message, undoing_name, undoing_message"
)
INSTANCE = f"{INSTANCE_FACTS}, params, output"
STEP = "kind, name, count, place, state, attempt, is_nested, due_ms, event_type, error_name, error_message, result"


def plain(word: StrEnum) -> str:
    """A word as a parameter of a statement that runs often: sqlite3 takes a microsecond to adapt a subclass of str."""
    return word._value_


def read_instance(row: Sequence[Any]) -> Instance:
    """Of the columns INSTANCE, or INSTANCE_FACTS."""
    workflow, instance_id, status, generation, created_ms, started_ms, ended_ms, modified_ms, paused_ms = row[:9]
    is_terminating, version, trigger, cron, fired_ms, parent, error_name, error_message, *rest = row[9:]
    undoing_name, undoing_message, *content = rest
    params, output = content or (b"", None)
    return Instance(
        workflow,
        instance_id,
        Status(status),
        generation,
        params,
        created_ms,
        output=output,
        error=read_error(error_name, error_message),
        paused_ms=paused_ms,
        is_terminating=bool(is_terminating),
        undoing=read_error(undoing_name, undoing_message),
        version=version,
        trigger=Trigger(trigger),
        fire=None if cron is None else Fire(cron, fired_ms),
        started_ms=started_ms,
        ended_ms=ended_ms,
        modified_ms=modified_ms,
        parent=parent,
    )


def read_step(row: Sequence[Any]) -> StepRecord:
    """Of the columns STEP."""
    kind, name, count, place, state, attempt, is_nested, due_ms, event_type, error_name, error_message, result = row
    return StepRecord(
        StepKey(Kind(kind), name, count),
        place,
        StepState(state),
        attempt,
        due_ms=due_ms,
        event_type=event_type,
        result=result,
        error=read_error(error_name, error_message),
        is_nested=bool(is_nested),
    )


def read_error(name: str | None, message: str) -> ErrorRecord | None:
    return None if name is None else ErrorRecord(name, message)
