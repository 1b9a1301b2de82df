"""What an instance waits for, in words: why it does not become what a test wants it to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ...bindings.workflows.child_instances import is_child_wait, recorded_child
from ...bindings.workflows.journal.records import Kind, Status, StepState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...bindings.workflows.child_instances import Child
    from ...bindings.workflows.journal.records import Instance, StepKey, StepRecord

UNRECORDED = "it runs code outside of its steps, or one that is not awaited"


def outlook(instance: Instance, steps: Sequence[StepRecord], running: Sequence[StepRecord], now_ms: int) -> str:
    """One line for each thing that an unfinished instance waits for; `running`: steps whose functions run."""
    if instance.status is Status.PAUSED:
        reason = f" ({instance.error.message})" if instance.error else ""
        return f"- it is paused{reason}: resume it"
    if instance.status is Status.QUEUED:
        return "- it has not begun: its workflow has no room (concurrency.limit), or its class could not be loaded"
    lines = [f"- the function of step {_named(one.key)} (attempt {one.attempt}) has not returned" for one in running]
    behind = {one.key for one in running}
    children: dict[str | None, Child] = {
        child.ended: child for step in steps if (child := recorded_child(step)) is not None
    }
    pending = (step for step in steps if step.state is StepState.PENDING and step.key not in behind)
    lines += [line for step in pending for line in _pending(step, children, now_ms)]
    return "\n".join(lines or [f"- {UNRECORDED}"])


def called(steps: Sequence[StepRecord]) -> str:
    """The steps that an instance called, in order."""
    own = (one for one in steps if one.key.kind is not Kind.ROLLBACK and not is_child_wait(one))
    return ", ".join(_named(one.key) for one in own) or "none"


def _pending(step: StepRecord, children: Mapping[str | None, Child], now_ms: int) -> Iterator[str]:
    if step.due_ms is None:
        return
    at = datetime.fromtimestamp(step.due_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    until = f"until {at} (in {timedelta(milliseconds=max(step.due_ms - now_ms, 0))})"
    if step.key.kind is Kind.SLEEP:
        yield f"- it sleeps in {_named(step.key)} {until}"
    elif step.event_type in children:
        yield f"- it waits in {_named(step.key)} for the end of {children[step.event_type]} {until}"
    elif step.key.kind is Kind.WAIT:
        yield f"- it waits in {_named(step.key)} for an event of type {step.event_type!r} {until}"
    else:
        failure = f", which failed with {step.error.name}: {step.error.message}" if step.error else ""
        yield f"- it waits to try step {_named(step.key)} again {until}, after attempt {step.attempt}{failure}"


def _named(key: StepKey) -> str:
    return f'"{key.name}"' if key.occurrence == 1 else f'"{key.name}" ({key.occurrence})'
