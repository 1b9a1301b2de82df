"""The steps of an instance as REST and the CLI show them: what is recorded, with the times of its history.

A step that Cloudflare's clients draw is one of
    step, rollback   {name, type, start, end, success, output, config, attempts[{start, end, success, error}], child?}
    sleep            {name, type, start, end, finished, error}
    waitForEvent     {name, type, start, end, finished, event_type, output, error}
    termination      {type, trigger{source}}
Times are Unix milliseconds, values are as user code sees them; None stands for what is not there yet.
A child instance is one step, with it as `child`, "workflow/id": its last attempt is over when the child is.
Source: spec "Cloudflare API", 2; spec "Workflows", 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import values
from .child_instances import is_child_wait, recorded_child, recorded_outcome
from .journal.history import REDACTED
from .journal.records import Kind, Status, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .child_instances import Child
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
    waits = {step.event_type: step for step in steps if is_child_wait(step)}
    shown = []
    for step in steps:
        if step.event_type in waits:
            continue
        one = _shown(step, told.get(step.key, []), output_bytes_max)
        if (child := recorded_child(step)) is not None:
            wait = waits.get(child.ended)
            one |= _child_shown(child, wait, told.get(wait.key, []) if wait else [], one, output_bytes_max)
        shown.append(one)
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


def _shown(step: StepRecord, events: Sequence[HistoryEvent], output_bytes_max: int | None) -> dict[str, Any]:
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
        return {**head, "finished": is_over, "event_type": step.event_type, "output": output, "error": error}
    return {
        **head,
        "success": step.state is StepState.DONE if is_over else None,
        "output": output,
        "config": next((event.data.get("config") for event in events if "config" in event.data), None),
        "attempts": _attempts(events),
    }


def _child_shown(
    child: Child,
    wait: StepRecord | None,
    events: Sequence[HistoryEvent],
    made: Mapping[str, Any],
    output_bytes_max: int | None,
) -> dict[str, Any]:
    """What differs in the step that made a child, as it is shown, once the wait for its end is part of it."""
    is_over = wait is not None and wait.state in {StepState.DONE, StepState.FAILED}
    output, error = recorded_outcome(child, wait) if wait is not None else (None, None)
    end = events[-1].at_ms if is_over and events else None
    success = error is None if is_over else None
    *earlier, last = made["attempts"]
    last = {**last, "end": end, "success": success, "error": None if error is None else error._asdict()}
    return {
        "end": end,
        "success": success,
        "output": output if wait is None else _child_output(output, wait, output_bytes_max),
        "attempts": [*earlier, last],
        "child": str(child),
    }


_TYPES = {Kind.DO: "step", Kind.ROLLBACK: "rollback", Kind.SLEEP: "sleep", Kind.WAIT: "waitForEvent"}


def _output(step: StepRecord, events: Sequence[HistoryEvent], bytes_max: int | None) -> Any:
    if step.state is not StepState.DONE or step.result is None:
        return None
    if any(event.data.get("output") == REDACTED for event in events):
        return REDACTED
    if bytes_max is not None and len(step.result) > bytes_max:  # not decoded first: there may be thousands
        return _cut(step.result, bytes_max)
    return values.decode(step.result)


def _child_output(output: Any, wait: StepRecord, bytes_max: int | None) -> Any:
    """The output of a child, which its wait keeps inside of an event."""
    kept_bytes = len(wait.result or b"")
    if bytes_max is None or kept_bytes <= bytes_max:
        return output
    content = values.encode(output, bytes_max=kept_bytes)
    return output if len(content) <= bytes_max else _cut(content, bytes_max)


def _cut(content: bytes, bytes_max: int) -> str:
    return f"{content[:bytes_max].decode(errors='ignore')}... (cut: it has {len(content):,} bytes)"


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
