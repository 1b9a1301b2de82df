"""What happened to an instance, in the order it happened: a pure function of how its records changed.

Each change is derived from the record before and after it, and kept in the commit that makes it. Changes that come
together are one entry: a step that ran at once is a single row, which reads as `step_started`, `attempt_started`,
`attempt_completed`, `step_completed`. So the journal can write 10,000 steps per second with their history.

Ids begin at 1 and never go back, also over a restart, which forgets what it undoes: cursors stay valid.
Source: @cloudflare/workers-types 5.20261117.1, `WorkflowInstanceEvent`; spec "Workflows", 5.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from .records import Kind, Status, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..errors import ErrorRecord
    from .records import StepKey, StepRecord

REDACTED = "[REDACTED]"
"""In place of the output of a step whose config says `sensitive: "output"`."""

INTERRUPTED = {
    "name": "WorkflowInternalError",
    "message": "Attempt failed due to internal workflows error",
}
"""Of an attempt that was running when its process died."""


class HistoryEvent(NamedTuple):
    """One event. `data` holds what its type tells beside, in Cloudflare's words; values are decoded."""

    number: int
    at_ms: int
    type: str
    step: StepKey | None
    attempt: int | None
    data: dict[str, Any]


class Entry(NamedTuple):
    """Events that are kept as one row: they share what they tell. Those that start something have their own time."""

    types: tuple[str, ...]
    at_ms: int
    started_ms: int | None = None
    step: StepKey | None = None
    attempt: int | None = None
    told: str | None = None
    """What the events tell, as JSON; each shows its own part of it."""


TOLD: dict[str, tuple[str, ...]] = {
    "workflow_started": ("params",),
    "workflow_completed": ("output",),
    "workflow_errored": ("error",),
    "step_started": ("config",),
    "step_completed": ("output",),
    "attempt_errored": ("error", "retryDelayMs"),
    "sleep_started": ("durationMs",),
    "wait_started": ("eventType",),
    "rollback_step_started": ("config",),
    "rollback_step_errored": ("error",),
    "rollback_attempt_errored": ("error", "retryDelayMs"),
}
"""Type -> what it shows of what its entry tells."""

FINAL = frozenset({"workflow_completed", "workflow_errored", "workflow_terminated"})
TYPES = frozenset(
    {f"workflow_{what}" for what in ("queued", "started", "running", "paused", "waiting_for_pause", "waiting")}
    | FINAL
    | {f"{of}_{what}" for of in ("step", "attempt") for what in ("started", "completed", "errored")}
    | {f"rollback_{of}_{what}" for of in ("step", "attempt") for what in ("started", "completed", "errored")}
    | {f"rollback_{what}" for what in ("started", "completed", "errored")}
    | {"sleep_started", "sleep_completed", "wait_started", "wait_completed", "wait_timed_out"}
)

_BECAME: dict[Status, tuple[str, ...]] = {
    Status.QUEUED: ("workflow_queued",),
    Status.RUNNING: ("workflow_running",),
    Status.WAITING: ("workflow_waiting",),
    Status.PAUSED: ("workflow_paused",),
    Status.WAITING_FOR_PAUSE: ("workflow_waiting_for_pause",),
    Status.ROLLING_BACK: ("rollback_started",),
    Status.COMPLETE: ("workflow_completed",),
    Status.ERRORED: ("workflow_errored",),
    Status.TERMINATED: ("workflow_terminated",),
}


def instance_entry(
    before: Status | None,
    after: Status,
    at_ms: int,
    *,
    error: ErrorRecord | None = None,
    is_undone: bool = True,
) -> Entry | None:
    """What a change of status is told as; None when there is none.

    Args:
        is_undone: of an instance that was rolling back and ends: whether every handler was run, and well.
    """
    if before is after:
        return None
    types = _BECAME[after]
    if before is Status.QUEUED and after is Status.RUNNING:
        types = ("workflow_started", *types)
    if before is Status.ROLLING_BACK and after.is_final:
        types = ("rollback_completed" if is_undone else "rollback_errored", *types)
    return Entry(types, at_ms, told=None if error is None else _told({"error": error._asdict()}))


def step_entries(before: StepRecord | None, after: StepRecord, at_ms: int) -> Sequence[Entry]:
    """What a change of a step is told as."""
    if after.key.kind is Kind.SLEEP or after.key.kind is Kind.WAIT:
        return _wait_entries(before, after, at_ms)
    prefix = "rollback_" if after.key.kind is Kind.ROLLBACK else ""
    entries = []
    types: list[str] = []
    told: dict[str, Any] = {}
    if before is None:
        types.append(f"{prefix}step_started")
        told["config"] = after.config
    elif before.state is StepState.RUNNING and before.attempt != after.attempt:  # cut short, and run again
        dead = (f"{prefix}attempt_errored",)
        died_ms = at_ms if after.started_ms is None else after.started_ms
        entries.append(Entry(dead, died_ms, None, after.key, before.attempt, _told({"error": INTERRUPTED})))
    if before is None or before.attempt != after.attempt:
        types.append(f"{prefix}attempt_started")
    for type_, tells in _outcome(after, at_ms):
        types.append(f"{prefix}{type_}")
        told.update(tells)
    if types:
        entries.append(Entry(tuple(types), at_ms, after.started_ms, after.key, after.attempt, _told(told)))
    return entries


def _outcome(after: StepRecord, at_ms: int) -> Sequence[tuple[str, dict[str, Any]]]:
    """Of an attempt, and of the step when that was its last one: types, and what they tell."""
    if after.state is StepState.RUNNING:
        return ()
    if after.state is StepState.DONE:
        is_sensitive = after.config is not None and bool(after.config.get("sensitive"))
        return (("attempt_completed", {}), ("step_completed", {"output": REDACTED} if is_sensitive else {}))
    error = {"error": None if after.error is None else after.error._asdict()}
    if after.state is StepState.FAILED:
        return (("attempt_errored", error), ("step_errored", {}))
    return (("attempt_errored", {**error, "retryDelayMs": max((after.due_ms or 0) - at_ms, 0)}),)


def _wait_entries(before: StepRecord | None, after: StepRecord, at_ms: int) -> Sequence[Entry]:
    is_sleep = after.key.kind is Kind.SLEEP
    types: list[str] = []
    told: dict[str, Any] = {}
    if before is None:
        types.append("sleep_started" if is_sleep else "wait_started")
        told = {"eventType": after.event_type}
        if is_sleep:
            told = {"durationMs": (after.due_ms or 0) - (after.started_ms or 0)}
    if after.state is StepState.DONE:
        types.append("sleep_completed" if is_sleep else "wait_completed")
    elif after.state is StepState.FAILED:
        types.append("wait_timed_out")
    if not types:
        return ()
    return [Entry(tuple(types), at_ms, after.started_ms, after.key, None, _told(told))]


def events_of(entry: Entry, last_number: int) -> Iterable[HistoryEvent]:
    """The events of an entry whose last one has this number."""
    told: Mapping[str, Any] = {} if entry.told is None else json.loads(entry.told)
    number = last_number - len(entry.types)
    for type_ in entry.types:
        number += 1
        is_start = type_.endswith("_started") and entry.started_ms is not None
        at_ms = entry.started_ms if is_start and entry.started_ms is not None else entry.at_ms
        data = {name: told[name] for name in TOLD.get(type_, ()) if told.get(name) is not None}
        attempt = entry.attempt if "attempt" in type_ else None
        yield HistoryEvent(number, at_ms, type_, entry.step, attempt, data)


def _told(told: Mapping[str, Any]) -> str | None:
    if not told:
        return None
    return json.dumps(told, default=_dynamic, separators=(",", ":"))


def _dynamic(_: object) -> str:
    """A delay function of a step's config, in Cloudflare's word."""
    return "[dynamic]"
