"""What the service answers, as values. Times are Unix milliseconds; values of user code are decoded.

Source: spec "Cloudflare API", 2; spec "Workflows", 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from .errors import ErrorRecord
    from .journal.records import Instance, Status


class Action(StrEnum):
    """What may be done to an instance, in Cloudflare's words."""

    PAUSE = "pause"
    RESUME = "resume"
    TERMINATE = "terminate"
    RESTART = "restart"


class ScheduleTime(NamedTuple):
    """A schedule, and when it fires next (None: never)."""

    cron: str
    next_ms: int | None


@dataclass(frozen=True, slots=True)
class WorkflowDetail:
    """A workflow, and how its instances are."""

    id: str
    name: str
    class_name: str
    script_name: str
    version: str
    """Id of the newest version; empty while no code was loaded."""
    created_ms: int
    modified_ms: int
    triggered_ms: int | None
    """When the newest instance was created."""
    counts: Mapping[Status, int]
    schedules: Sequence[ScheduleTime]
    steps_max: int
    concurrency_max: int | None
    success_retention_ms: int
    error_retention_ms: int
    is_terminating_all: bool
    notes: Sequence[str] = ()
    """What keeps its instances from running, or a step from succeeding, a sentence each."""


class InstanceList(NamedTuple):
    """Some instances of many. `cursor` asks for what follows them; None at the end."""

    items: Sequence[Instance]
    total_count: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class BatchError:
    """Why one of a batch was not made: `code` and `key` are Cloudflare's."""

    index: int
    id: str
    code: int
    key: str


class BatchCreated(NamedTuple):
    """What became of a batch: the new instances, and the others by their place in it."""

    created: Sequence[Instance]
    errors: Sequence[BatchError]


class BatchDeleted(NamedTuple):
    """What became of ids that were to be deleted: an answer for each, in order within both lists."""

    deleted: Sequence[str]
    errors: Sequence[BatchError]


@dataclass(frozen=True, slots=True)
class InstanceDetail:
    """An instance with its steps."""

    instance: Instance
    params: Any
    output: Any
    """None until it is complete."""
    steps: Sequence[Mapping[str, Any]]
    """As `describe.steps_shown` gives them, oldest first, values decoded."""
    step_count: int
    rollback: Mapping[str, Any] | None
    """`{outcome: complete or failed, error}` when it rolled back."""


@dataclass(frozen=True, slots=True)
class StepDetail:
    """How a step is, or one attempt of it; `describe` says which statuses."""

    status: Status
    output: Any = None
    error: ErrorRecord | None = None
    event_type: str | None = None
    """Of a wait for an event."""
    stream: AsyncIterator[bytes] | None = None
    """The output of a step that returned a stream, in place of `output`."""


class EventReceipt(NamedTuple):
    """An event that was taken. One for a finished instance is dropped."""

    sent_ms: int
    is_dropped: bool


class Termination(StrEnum):
    """What asking to terminate all instances began."""

    STARTED = "ok"
    ALREADY_RUNNING = "already_running"


def workflow_id(name: str) -> str:
    """A UUID, always the same for a name."""
    return str(uuid5(NAMESPACE_URL, f"edge:workflow:{name}"))
