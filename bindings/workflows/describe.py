"""The steps of an instance as REST and the CLI show them: what is recorded, with the times of its history.

A step that Cloudflare's clients draw is one of
    step, rollback   {.., success, output, config, attempts[{start, end, success, error}], child?}
    sleep            {.., finished, error}
    waitForEvent     {.., finished, event_type, output, error}
    termination      {type, trigger{source}}
with {name, type, status, start, end} before that, where `status` is running, waiting, paused, complete, errored, or
terminated: what was going on when its instance ended, however that did. It has no error, and its `success` is False.
Times are Unix milliseconds, values are as user code sees them; None stands for what is not there yet.
A child instance is one step, with it as `child`, "workflow/id": its last attempt is over when the child is.
Source: spec "Cloudflare API", 2; spec "Workflows", 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import values
from .child_instances import is_child_wait, recorded_child, recorded_outcome
from .journal.history import REDACTED
from .journal.records import Kind, Status, StepState, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .child_instances import Child
    from .journal.history import HistoryEvent
    from .journal.records import Instance, StepKey, StepRecord


COUNTER_DIGITS_MAX = 9
"""More than an instance may have steps."""


def step_name(key: StepKey) -> str:
    """With its counter, as `charge-1`. A rollback is named after the step that it undoes."""
    return key.name if key.kind is Kind.ROLLBACK else f"{key.name}-{key.occurrence}"


def read_step_name(shown: str) -> tuple[str, int] | None:
    """The name and the counter of a step that is no rollback; None when no step can be shown so."""
    name, _, counter = shown.rpartition("-")
    if len(counter) > COUNTER_DIGITS_MAX or not counter.isdecimal() or f"{name}-{int(counter)}" != shown:
        return None
    return name, int(counter)


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
    drawn = _Steps(instance, steps, history, output_bytes_max)
    shown = [drawn.shown(step) for step in steps if not is_child_wait(step)]
    if instance.status is Status.TERMINATED:
        shown.append({"type": "termination", "trigger": {"source": drawn.terminator}})
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


class _Steps:
    """The steps of an instance as they are shown."""

    def __init__(
        self,
        instance: Instance,
        steps: Sequence[StepRecord],
        history: Iterable[HistoryEvent],
        output_bytes_max: int | None,
    ) -> None:
        self._instance = instance
        self._output_bytes_max = output_bytes_max
        self._waits = {step.event_type: step for step in steps if is_child_wait(step)}
        self._told: dict[StepKey, list[HistoryEvent]] = {}
        self._run_ended_ms = instance.ended_ms
        self.terminator = str(Trigger.UNKNOWN)
        """Who ended the instance: a `Terminator`, as far as that was told."""
        for event in history:
            self.terminator = event.data.get("source", self.terminator)
            if event.step is not None:
                self._told.setdefault(event.step, []).append(event)
            elif event.type == "rollback_started":
                self._run_ended_ms = event.at_ms

    def shown(self, step: StepRecord) -> dict[str, Any]:
        child = recorded_child(step)
        return self._own(step) if child is None else self._child(step, child)

    def _own(self, step: StepRecord) -> dict[str, Any]:
        events = self._told.get(step.key, [])
        status = self._status(step)
        end_ms = self._end_ms(step, status)
        head = {
            "name": step_name(step.key),
            "type": _TYPES[step.key.kind],
            "status": status,
            "start": next((event.at_ms for event in events if event.type.endswith("_started")), None),
            "end": end_ms,
        }
        is_over = status in {Status.COMPLETE, Status.ERRORED}
        error = None if step.error is None else step.error._asdict()
        if step.key.kind is Kind.SLEEP:
            return {**head, "finished": is_over, "error": error}
        output = _output(step, events, self._output_bytes_max)
        if step.key.kind is Kind.WAIT:
            return {**head, "finished": is_over, "event_type": step.event_type, "output": output, "error": error}
        return {
            **head,
            "success": _SUCCESS.get(status),
            "output": output,
            "config": next((event.data.get("config") for event in events if "config" in event.data), None),
            "attempts": _attempts(events, end_ms if status is Status.TERMINATED else None),
        }

    def _child(self, step: StepRecord, child: Child) -> dict[str, Any]:
        """The step that made a child, and the wait for its end, which may not have begun."""
        made = self._own(step)
        wait = self._waits.get(child.ended)
        if wait is None:
            wait = step._replace(key=step.key._replace(kind=Kind.WAIT), state=StepState.PENDING, result=None)
        output, error = recorded_outcome(child, wait)
        status = self._status(wait)
        if status is Status.COMPLETE and error is not None:  # the wait went well: it told of a failure
            status = Status.ERRORED
        end_ms, success = self._end_ms(wait, status), _SUCCESS.get(status)
        *earlier, last = made["attempts"]
        last = {**last, "end": end_ms, "success": success, "error": None if error is None else error._asdict()}
        return {
            **made,
            "status": status,
            "end": end_ms,
            "success": success,
            "output": _child_output(output, wait, self._output_bytes_max),
            "attempts": [*earlier, last],
            "child": str(child),
        }

    def _status(self, step: StepRecord) -> Status:
        if step.state in _ENDED:
            return _ENDED[step.state]
        if self._instance.status.is_final or (self._instance.is_undoing and step.key.kind is not Kind.ROLLBACK):
            return Status.TERMINATED
        if self._instance.status is Status.PAUSED:
            return Status.PAUSED
        return Status.RUNNING if step.state is StepState.RUNNING else Status.WAITING

    def _end_ms(self, step: StepRecord, status: Status) -> int | None:
        if status is Status.TERMINATED:
            return self._instance.ended_ms if step.key.kind is Kind.ROLLBACK else self._run_ended_ms
        events = self._told.get(step.key)
        return events[-1].at_ms if events and step.state in _ENDED else None


_ENDED = {StepState.DONE: Status.COMPLETE, StepState.FAILED: Status.ERRORED}
_SUCCESS = {Status.COMPLETE: True, Status.ERRORED: False, Status.TERMINATED: False}
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
    if output is None or bytes_max is None or kept_bytes <= bytes_max:
        return output
    content = values.encode(output, bytes_max=kept_bytes)
    return output if len(content) <= bytes_max else _cut(content, bytes_max)


def _cut(content: bytes, bytes_max: int) -> str:
    return f"{content[:bytes_max].decode(errors='ignore')}... (cut: it has {len(content):,} bytes)"


def _attempts(events: Sequence[HistoryEvent], cut_off_ms: int | None) -> list[dict[str, Any]]:
    """Each attempt; one that was cut off ended then."""
    attempts: dict[int, dict[str, Any]] = {}
    for event in events:
        if event.attempt is None:
            continue
        one = attempts.setdefault(event.attempt, {"start": None, "end": None, "success": None, "error": None})
        if event.type.endswith("attempt_started"):
            one["start"] = event.at_ms
        else:
            one.update(end=event.at_ms, success=event.type.endswith("attempt_completed"), error=event.data.get("error"))
    for one in attempts.values():
        if cut_off_ms is not None and one["success"] is None:
            one.update(end=cut_off_ms, success=False)
    return list(attempts.values())
