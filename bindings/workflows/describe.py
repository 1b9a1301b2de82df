"""The steps of an instance as REST and the CLI show them: what is recorded, with the times of its history.

A step that Cloudflare's clients draw is one of
    step, rollback   {name, type, start, end, success, output, config, attempts[{start, end, success, error}]}
    sleep            {name, type, start, end, finished, error}
    waitForEvent     {name, type, start, end, finished, event_type, output, error, child?}
    termination      {type, trigger{source}}
Times are Unix milliseconds, values are as user code sees them; None stands for what is not there yet.
A wait for the end of a child instance has it as `child`, "workflow/id"; the step that made it has the same name.
Source: spec "Cloudflare API", 2; spec "Workflows", 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import values
from .journal.history import REDACTED
from .journal.records import ENDED_PREFIX, Kind, Status, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .journal.history import HistoryEvent
    from .journal.records import Instance, StepKey, StepRecord


def step_name(key: StepKey) -> str:
    """With its counter, as `charge-1`. A rollback is named after the step that it undoes."""
    return key.name if key.kind is Kind.ROLLBACK else f"{key.name}-{key.occurrence}"


def steps_shown(
    instance: Instance,
    steps: Sequence[StepRecord],
    history: Iterable[HistoryEvent],
    *,
    output_bytes_max: int | None = None,
) -> list[dict[str, Any]]:
    """The steps in the order they were first called, and the termination when somebody ended the instance.

    An output that takes more than `output_bytes_max` as it is kept is the beginning of its text, and says so.
    """
    told: dict[StepKey, list[HistoryEvent]] = {}
    for event in history:
        if event.step is not None:
            told.setdefault(event.step, []).append(event)
    children = _children(steps)
    shown = [_shown(step, told.get(step.key, []), children.get(step.event_type), output_bytes_max) for step in steps]
    if instance.status is Status.TERMINATED:
        shown.append({"type": "termination", "trigger": {"source": "user"}})
    return shown


def rollback_shown(steps: Sequence[StepRecord], history: Iterable[HistoryEvent]) -> dict[str, Any] | None:
    """`{outcome: complete or failed, error}`; None when nothing was rolled back, or that is not over."""
    outcome = None
    for event in history:
        if event.type in {"rollback_completed", "rollback_errored"}:
            outcome = "complete" if event.type == "rollback_completed" else "failed"
    if outcome is None:
        return None
    failed = (step.error for step in steps if step.key.kind is Kind.ROLLBACK and step.state is StepState.FAILED)
    error = next(failed, None)
    return {"outcome": outcome, "error": None if error is None else error._asdict()}


def _children(steps: Sequence[StepRecord]) -> dict[str | None, str]:
    """Each child that is waited for, as "workflow/id", by the type of the event that tells of its end."""
    made = {step.key: step.result for step in steps if step.key.kind is Kind.DO and step.result is not None}
    found: dict[str | None, str] = {}
    for step in steps:
        if step.event_type is None or not step.event_type.startswith(ENDED_PREFIX):
            continue
        result = made.get(step.key._replace(kind=Kind.DO))
        child = None if result is None else values.decode(result)
        if isinstance(child, dict) and "id" in child:
            found[step.event_type] = "/".join(str(child[part]) for part in ("workflow", "id") if part in child)
    return found


def _shown(
    step: StepRecord, events: Sequence[HistoryEvent], child: str | None, output_bytes_max: int | None
) -> dict[str, Any]:
    start = next((event.at_ms for event in events if event.type.endswith("_started")), None)
    is_over = step.state in {StepState.DONE, StepState.FAILED}
    head = {
        "name": step_name(step.key),
        "type": _TYPES[step.key.kind],
        "start": start,
        "end": events[-1].at_ms if is_over and events else None,
    }
    error = None if step.error is None else step.error._asdict()
    if step.key.kind is Kind.SLEEP:
        return {**head, "finished": is_over, "error": error}
    output = _output(step, events, output_bytes_max)
    if step.key.kind is Kind.WAIT:
        shown = {**head, "finished": is_over, "event_type": step.event_type, "output": output, "error": error}
        return shown if child is None else {**shown, "child": child}
    return {
        **head,
        "success": step.state is StepState.DONE if is_over else None,
        "output": output,
        "config": next((event.data.get("config") for event in events if "config" in event.data), None),
        "attempts": _attempts(events),
    }


_TYPES = {Kind.DO: "step", Kind.ROLLBACK: "rollback", Kind.SLEEP: "sleep", Kind.WAIT: "waitForEvent"}


def _output(step: StepRecord, events: Sequence[HistoryEvent], bytes_max: int | None) -> Any:
    if step.state is not StepState.DONE or step.result is None:
        return None
    if any(event.data.get("output") == REDACTED for event in events):
        return REDACTED
    if bytes_max is not None and len(step.result) > bytes_max:  # not decoded first: there may be thousands
        return f"{step.result[:bytes_max].decode(errors='ignore')}... (cut: it has {len(step.result):,} bytes)"
    return values.decode(step.result)


def _attempts(events: Sequence[HistoryEvent]) -> list[dict[str, Any]]:
    attempts: dict[int, dict[str, Any]] = {}
    for event in events:
        if event.attempt is None:
            continue
        one = attempts.setdefault(event.attempt, {"start": None, "end": None, "success": None, "error": None})
        if event.type.endswith("attempt_started"):
            one["start"] = event.at_ms
        else:
            one.update(end=event.at_ms, success=event.type.endswith("attempt_completed"), error=event.data.get("error"))
    return list(attempts.values())
