"""Every decision of the engine, as functions of what is recorded and of the time. No disk, no clock, no tasks.

A pass calls the user's `run` from the top. Each step asks here what to do next with its record; what comes out is
recorded before user code sees it, so that any later pass gets the same answer: a crash at any point gives the same
result.
Source: spec "Workflows", 3.1, 3.3, 4 and 5.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import values
from ..errors import ErrorRecord, WorkflowError, recorded
from ..errors import StepInterruptedError as Interrupted
from ..journal.records import Change, Kind, Status, StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..journal.records import Instance
    from .retries import StepConfig


class Replay(NamedTuple):
    """The step is finished: give its value."""

    result: bytes | None


class Raise(NamedTuple):
    """The step failed for good: raise its error."""

    error: ErrorRecord


class Attempt(NamedTuple):
    """Run the callback."""

    number: int


class WaitUntil(NamedTuple):
    """Ask again then."""

    due_ms: int


class Interruption(NamedTuple):
    """An attempt of an at-most-once step was cut short: record this failure in place of another attempt."""

    error: ErrorRecord


class Start(NamedTuple):
    """The step that a restart begins from; of no kind: a `do`, or else the only one of that name."""

    kind: Kind | None
    name: str
    occurrence: int


KIND_WORDS = {Kind.DO: "do", Kind.SLEEP: "sleep", Kind.WAIT: "waitForEvent"}
"""What kinds are called by who restarts from a step."""


def decide_step(
    record: StepRecord | None, config: StepConfig, now_ms: int
) -> Replay | Raise | Attempt | WaitUntil | Interruption:
    """What to do with a `do` or a rollback step."""
    if record is None:
        return Attempt(1)
    if record.state is StepState.DONE:
        return Replay(record.result)
    if record.state is StepState.FAILED:
        assert record.error is not None, "a failed step has its error"
        return Raise(record.error)
    if record.state is StepState.PENDING and record.due_ms is not None and record.due_ms > now_ms:
        return WaitUntil(record.due_ms)
    if record.state is StepState.RUNNING and config.is_at_most_once:
        step = f"{record.key.name}-{record.key.occurrence}"
        message = f'Attempt {record.attempt} of step "{step}" was running when its process ended.'
        return Interruption(recorded(Interrupted(message)))
    # An attempt that was in flight at a crash runs again even when the limit is 0: nobody saw it fail.
    return Attempt(record.attempt + 1)


def started(record: StepRecord, attempt: int, now_ms: int) -> StepRecord:
    return record._replace(state=StepState.RUNNING, attempt=attempt, started_ms=now_ms, due_ms=None)


def succeeded(record: StepRecord, result: bytes) -> StepRecord:
    return record._replace(state=StepState.DONE, result=result, error=None, due_ms=None)


def may_retry(record: StepRecord, config: StepConfig) -> bool:
    """Whether a failed attempt has another one behind it: `limit` counts retries, so attempts are one more."""
    return record.attempt <= config.limit


def failed(record: StepRecord, error: ErrorRecord, *, retry_at_ms: int | None) -> StepRecord:
    """A failed attempt: the last one, or one that is repeated then."""
    if retry_at_ms is None:
        return record._replace(state=StepState.FAILED, error=error, due_ms=None)
    return record._replace(state=StepState.PENDING, error=error, due_ms=retry_at_ms)


def finished(record: StepRecord) -> StepRecord:
    """A sleep that is over."""
    return record._replace(state=StepState.DONE)


def event_result(event_type: str, payload: bytes, sent_ms: int) -> bytes:
    """What a completed wait keeps: the event as user code gets it."""
    timestamp = datetime.fromtimestamp(sent_ms / 1000, UTC)
    event: dict[str, Any] = {"payload": values.decode(payload), "timestamp": timestamp, "type": event_type}
    return values.encode(event, bytes_max=2 * values.VALUE_BYTES_MAX)


def decide_pause(instance: Instance) -> Change | None:
    """A step that runs is let finish; what only waits stops at once."""
    if instance.status is Status.RUNNING:
        return Change(Status.WAITING_FOR_PAUSE, keeps_owner=True)
    return Change(Status.PAUSED) if instance.status is Status.WAITING else None


def decide_resume(instance: Instance, now_ms: int) -> Change | None:
    """Time stood still meanwhile: what is pending has as much left as when it was paused."""
    if instance.status is Status.WAITING_FOR_PAUSE:
        return Change(Status.RUNNING, keeps_owner=True)
    if instance.status is not Status.PAUSED:
        return None
    paused_ms = now_ms if instance.paused_ms is None else instance.paused_ms
    return Change(
        Status.ROLLING_BACK if instance.is_undoing else Status.RUNNING,
        resumed_after_ms=max(now_ms - paused_ms, 0),
        is_terminating=instance.is_terminating,
    )


def decide_terminate(instance: Instance, steps: Sequence[StepRecord] = (), *, is_undoing: bool = False) -> Change:
    """End it now, or once the steps it called are rolled back.

    Raises:
        WorkflowError: it has ended.
    """
    if instance.status.is_final:
        raise WorkflowError("instance.cannot_terminate", "Cannot terminate instance since its on a finite state")
    if is_undoing and steps:
        return Change(Status.ROLLING_BACK, is_terminating=True)
    return Change(Status.TERMINATED)


def decide_restart(steps: Sequence[StepRecord], start: Start | None) -> Change:
    """Begin again from the top, or from a step: earlier ones keep their results.

    Raises:
        WorkflowError: the step was never called, or it is not said which of two is meant.
    """
    if start is None:
        return Change(Status.QUEUED, restart_from=0, forgets_events=True)
    named = {step.key.kind: step for step in steps if step.key[1:] == start[1:] and step.key.kind in KIND_WORDS}
    found = named.get(start.kind or Kind.DO)
    if found is None and start.kind is None and len(named) == 1:
        (found,) = named.values()
    if found is None:
        hint = _restart_hint(steps, start, named)
        raise WorkflowError("instance.cannot_restart", f'Step "{start.name}" not found in execution history{hint}')
    return Change(Status.QUEUED, restart_from=found.order)


def _restart_hint(steps: Sequence[StepRecord], start: Start, named: Iterable[Kind]) -> str:
    """What was probably meant."""
    if words := " or ".join(KIND_WORDS[kind] for kind in named):
        return f": what has that name is of type {words}, so give the type."
    base, _, counter = start.name.rpartition("-")
    if any((step.key.name, str(step.key.occurrence)) == (base, counter) for step in steps):
        return f': {counter} is its counter, so give the name "{base}" and the count {counter}.'
    called_count = sum(step.key.name == start.name and step.key.kind in KIND_WORDS for step in steps)
    return f": its count goes up to {called_count}." if called_count else ""
