"""What happened to an instance, in the order it happened: a pure function of how its records changed.

Each change is derived from the record before and after it, and kept in the commit that makes it. Changes that come
together are one entry: a step that ran at once is a single row, which reads as `step_started`, `attempt_started`,
`attempt_completed`, `step_completed`. So the journal can write 10,000 steps per second with their history.

Ids begin at 1 and never go back, also over a restart, which forgets what it undoes: cursors stay valid.
Source: @cloudflare/workers-types 5.20261117.1, `WorkflowInstanceEvent`; spec "Workflows", 5.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ErrorRecord
from .records import Kind, Status, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .records import StepKey, StepRecord, Terminator

_encode = json.JSONEncoder(default=lambda _: "[dynamic]", separators=(",", ":")).encode
"""A step's config may hold a delay function: Cloudflare's word stands for it."""

REDACTED = "[REDACTED]"
"""In place of the output of a step whose config says `sensitive: "output"`."""

INTERRUPTED = ErrorRecord("WorkflowInternalError", "Attempt failed due to internal workflows error")
"""Of an attempt that was running when its process died."""
_INTERRUPTED = _encode({"error": INTERRUPTED._asdict()})


class HistoryEvent(NamedTuple):
    """One event. `data` holds what its type tells beside, in Cloudflare's words; values are decoded."""

    number: int
    at_ms: int
    type: str
    step: StepKey | None
    attempt: int | None
    data: dict[str, Any]


class HistoryPage(NamedTuple):
    """Some events, whether there may be more, and whether the instance has ended."""

    events: Sequence[HistoryEvent]
    has_more: bool
    is_over: bool


class Entry(NamedTuple):
    """Events that are kept as one row: they share what they tell. Those that start something have their own time."""

    types: str
    """In order, with blanks between."""
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
    "workflow_terminated": ("source",),
    "step_started": ("config",),
    "step_completed": ("output",),
    "attempt_errored": ("error", "retryDelayMs"),
    "sleep_started": ("durationMs",),
    "wait_started": ("eventType",),
    "rollback_started": ("source",),
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

_BECAME = {
    Status.QUEUED: "workflow_queued",
    Status.RUNNING: "workflow_running",
    Status.WAITING: "workflow_waiting",
    Status.PAUSED: "workflow_paused",
    Status.WAITING_FOR_PAUSE: "workflow_waiting_for_pause",
    Status.ROLLING_BACK: "rollback_started",
    Status.COMPLETE: "workflow_completed",
    Status.ERRORED: "workflow_errored",
    Status.TERMINATED: "workflow_terminated",
}


def instance_entry(
    before: Status | None,
    after: Status,
    at_ms: int,
    *,
    error: ErrorRecord | None = None,
    is_undone: bool = True,
    terminator: Terminator | None = None,
) -> Entry | None:
    """What a change of status is told as; None when there is none.

    Args:
        terminator: who ended it, or asked for that.
        is_undone: of an instance that was rolling back and ends: whether every handler was run, and well.
    """
    if before is after:
        return None
    types = _BECAME[after]
    if before is Status.QUEUED and after is Status.RUNNING:
        types = f"workflow_started {types}"
    if before is Status.ROLLING_BACK and after.is_final:
        types = f"{'rollback_completed' if is_undone else 'rollback_errored'} {types}"
    told: dict[str, Any] = {} if error is None else {"error": error._asdict()}
    if terminator is not None:
        told["source"] = terminator
    return Entry(types, at_ms, told=_encode(told) if told else None)


def step_entries(before: StepRecord | None, after: StepRecord, at_ms: int) -> Sequence[Entry]:
    """What a change of a step is told as."""
    kind = after.key.kind
    if kind is Kind.SLEEP or kind is Kind.WAIT:
        return _wait_entries(before, after, at_ms)
    is_new = before is None
    is_again = before is not None and before.attempt != after.attempt
    types = _step_types(kind, is_new, is_new or is_again, after.state)
    entry = Entry(types, at_ms, after.started_ms, after.key, after.attempt, _step_told(after, at_ms, is_new=is_new))
    if is_again and before is not None and before.state is StepState.RUNNING:  # its process died
        at_ms = at_ms if after.started_ms is None else after.started_ms
        dead = _step_types(kind, False, False, StepState.PENDING)
        return Entry(dead, at_ms, None, after.key, before.attempt, _INTERRUPTED), entry
    return (entry,) if types else ()


_OUTCOMES = {
    StepState.RUNNING: (),
    StepState.PENDING: ("attempt_errored",),
    StepState.FAILED: ("attempt_errored", "step_errored"),
    StepState.DONE: ("attempt_completed", "step_completed"),
}


@cache
def _step_types(kind: Kind, is_new: bool, is_new_attempt: bool, state: StepState) -> str:
    begun = ("step_started",) * is_new + ("attempt_started",) * is_new_attempt
    prefix = "rollback_" if kind is Kind.ROLLBACK else ""
    return " ".join(prefix + type_ for type_ in begun + _OUTCOMES[state])


def _step_told(after: StepRecord, at_ms: int, *, is_new: bool) -> str | None:
    config = after.config
    if is_new and config is not None and after.state is StepState.DONE and "sensitive" not in config:
        return _config_told(config)  # as nearly all are
    told: dict[str, Any] = {}
    if is_new:
        told["config"] = config
    if after.state is StepState.DONE:
        if config is not None and "sensitive" in config:
            told["output"] = REDACTED
    elif after.state is not StepState.RUNNING:
        told["error"] = None if after.error is None else after.error._asdict()
        if after.state is StepState.PENDING:
            told["retryDelayMs"] = max((after.due_ms or 0) - at_ms, 0)
    return _encode(told) if told else None


def _config_told(config: Mapping[str, Any]) -> str:
    """Encoded once for all steps with the same one: those that give none share the default."""
    global _last_told  # noqa: PLW0603 - what is kept is a pair of what is asked and its answer: whoever reads it checks
    last, told = _last_told
    if config is not last:
        told = _encode({"config": config})
        _last_told = config, told
    return told


_last_told: tuple[Mapping[str, Any] | None, str] = None, ""


def _wait_entries(before: StepRecord | None, after: StepRecord, at_ms: int) -> Sequence[Entry]:
    is_sleep = after.key.kind is Kind.SLEEP
    types = []
    told: dict[str, Any] = {}
    if before is None and is_sleep:
        types.append("sleep_started")
        told["durationMs"] = (after.due_ms or 0) - (after.started_ms or 0)
    elif before is None:
        types.append("wait_started")
        told["eventType"] = after.event_type
    if after.state is StepState.DONE:
        types.append("sleep_completed" if is_sleep else "wait_completed")
    elif after.state is StepState.FAILED:
        types.append("wait_timed_out")
    if not types:
        return ()
    return (Entry(" ".join(types), at_ms, after.started_ms, after.key, None, _encode(told) if told else None),)


def events_of(entry: Entry, last_number: int) -> Iterable[HistoryEvent]:
    """The events of an entry whose last one has this number."""
    told: Mapping[str, Any] = {} if entry.told is None else json.loads(entry.told)
    started_ms = entry.at_ms if entry.started_ms is None else entry.started_ms
    types = entry.types.split()
    number = last_number - len(types)
    for type_ in types:
        number += 1
        at_ms = started_ms if type_.endswith("_started") else entry.at_ms
        data = {name: told[name] for name in TOLD.get(type_, ()) if told.get(name) is not None}
        attempt = entry.attempt if "attempt" in type_ else None
        yield HistoryEvent(number, at_ms, type_, entry.step, attempt, data)
