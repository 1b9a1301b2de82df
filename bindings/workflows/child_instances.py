"""A child instance as its parent records it: a step that makes it, then a wait for its end, both under one name.

Whoever looks at the parent is shown one step, which is over when the child is, with what that gave or why it failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from . import values
from .errors import WorkflowFatalError, recorded
from .journal.records import ENDED_PREFIX, Kind, Status, ended_event_type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .errors import ErrorRecord
    from .journal.records import StepKey, StepRecord

RESULT_BYTES_MAX = 512
"""Of what the step that makes a child returns: anything longer is somebody else's and need not be decoded."""
_MARK = f'"{ENDED_PREFIX}'.encode()


class ChildFailedError(WorkflowFatalError):
    """Raised in the parent when a child ended other than complete."""


class Child(NamedTuple):
    """A child that was made. `ended` is the type of the event that tells of its end, that child's alone."""

    workflow: str
    id: str
    ended: str

    def __str__(self) -> str:
        return f"{self.workflow}/{self.id}"


def made_result(workflow: str, instance_id: str, number: int) -> dict[str, Any]:
    """What the step returns that made a child (its number in the journal)."""
    return Child(workflow, instance_id, ended_event_type(number))._asdict()


def child_in(result: object) -> Child | None:
    """The child that a step made, by its result; None for any other."""
    if not isinstance(result, Mapping) or result.keys() != set(Child._fields):
        return None
    child = Child(**result)
    return child if isinstance(child.ended, str) and child.ended.startswith(ENDED_PREFIX) else None


def recorded_child(step: StepRecord) -> Child | None:
    """The child that a recorded step made."""
    content = step.result
    if step.key.kind is not Kind.DO or content is None or len(content) > RESULT_BYTES_MAX or _MARK not in content:
        return None
    return child_in(values.decode(content))


def is_child_wait(step: StepRecord) -> bool:
    """Whether it is a wait for the end of a child."""
    return step.event_type is not None and step.event_type.startswith(ENDED_PREFIX)


def wait_of(key: StepKey, steps: Iterable[StepRecord]) -> StepRecord | None:
    """The wait for the end of a child that the step of that key made."""
    wanted = key._replace(kind=Kind.WAIT)
    return next((step for step in steps if step.key == wanted and is_child_wait(step)), None)


def outcome(child: Child, event: Mapping[str, Any]) -> tuple[Any, ErrorRecord | None]:
    """What the event that tells of its end says: the child's output, or why there is none."""
    ended = event["payload"]
    if ended["status"] == Status.COMPLETE:
        return ended["output"], None
    why = ": {}: {}".format(*ended["error"]) if ended["error"] else "."
    text = f'Workflow "{child.workflow}", instance "{child.id}", is {ended["status"]}{why}'
    return None, recorded(ChildFailedError(text))


def recorded_outcome(child: Child, wait: StepRecord) -> tuple[Any, ErrorRecord | None]:
    """The same of a recorded wait that is over; one that timed out has its own error."""
    if wait.error is not None or wait.result is None:
        return None, wait.error
    return outcome(child, values.decode(wait.result))
