"""What the journal keeps and is told, as values. Times are Unix milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..errors import ErrorRecord


class Status(StrEnum):
    """Of an instance, in Cloudflare's words."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    WAITING_FOR_PAUSE = "waitingForPause"
    ERRORED = "errored"
    TERMINATED = "terminated"
    COMPLETE = "complete"
    ROLLING_BACK = "rollingBack"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({Status.ERRORED, Status.TERMINATED, Status.COMPLETE})


class Kind(StrEnum):
    """Of a step."""

    DO = "do"
    SLEEP = "sleep"
    WAIT = "wait"
    ROLLBACK = "rollback"


class StepState(StrEnum):
    """RUNNING: an attempt has begun. PENDING: waits for `due_ms` (a sleep, an event, the next attempt)."""

    RUNNING = "running"
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class StepKey(NamedTuple):
    """What a step is found by again in another pass."""

    kind: Kind
    name: str
    occurrence: int
    """1 for the first call with this name in a pass, 2 for the second ..."""


class StepRecord(NamedTuple):
    """A step as it stands. `order` counts the steps of an instance as they were first called."""

    key: StepKey
    order: int
    state: StepState
    attempt: int = 0
    started_ms: int | None = None
    """When the current attempt, or what is waited for, began."""
    due_ms: int | None = None
    event_type: str | None = None
    result: bytes | None = None
    error: ErrorRecord | None = None
    config: Mapping[str, Any] | None = None
    """As `ctx["config"]` shows it, of a step that was called in this pass: for the history, not for replays."""
    is_nested: bool = False
    """Whether the callback of another step called it: once that one is finished, nobody calls it again."""


class ChunkKey(NamedTuple):
    """Where a piece of a result lies that is a stream."""

    step: StepKey
    attempt: int
    place: int


class Trigger(StrEnum):
    """What created an instance, in Cloudflare's words."""

    UNKNOWN = "unknown"
    API = "api"
    BINDING = "binding"
    EVENT = "event"
    CRON = "cron"


class Terminator(StrEnum):
    """Who ended an instance."""

    API = "api"
    CLI = "cli"
    BINDING = "binding"
    PARENT = "parent"
    """It ended with the instance that made it."""


class Fire(NamedTuple):
    """One time of a schedule."""

    cron: str
    at_ms: int


class NewInstance(NamedTuple):
    """What `create` stores. Retention: how long a finished instance is kept, by success and by error."""

    id: str
    params: bytes
    success_retention_ms: int
    error_retention_ms: int
    version: str = ""
    """Of the code it is created for; see `versions.py`."""
    trigger: Trigger = Trigger.BINDING
    fire: Fire | None = None
    parent: int | None = None
    """The instance (its number) that is told of the end of this one, by an event of `ended_event_type`."""
    is_cascading: bool = False
    """Whether it is terminated with its parent."""


class Instance(NamedTuple):
    """An instance as it stands."""

    workflow: str
    id: str
    status: Status
    generation: int
    params: bytes
    created_ms: int
    output: bytes | None = None
    error: ErrorRecord | None = None
    paused_ms: int | None = None
    is_terminating: bool = False
    """Whether it is to be terminated once its steps are rolled back."""
    undoing: ErrorRecord | None = None
    """The error of its run, once that has begun to be rolled back."""
    version: str = ""
    trigger: Trigger = Trigger.BINDING
    fire: Fire | None = None
    started_ms: int | None = None
    """When it was first claimed."""
    ended_ms: int | None = None
    modified_ms: int = 0
    parent: int | None = None
    """The instance (its number) that is told of its end."""

    @property
    def is_undoing(self) -> bool:
        """Whether all that is left to do is to roll its steps back."""
        return self.is_terminating or self.undoing is not None


class Claimed(NamedTuple):
    """An instance that an owner may advance, with what its earlier passes recorded."""

    lease: Lease
    instance: Instance
    steps: Sequence[StepRecord]


class Lease(NamedTuple):
    """The right to advance an instance: its number in the journal, and the fence that was given."""

    number: int
    fence: int


class Claims(NamedTuple):
    """What a claim yields, and when something is ready next (None: nothing is timed)."""

    claimed: Sequence[Claimed]
    next_ready_ms: int | None


class Event(NamedTuple):
    """What `send_event` left for a wait."""

    payload: bytes
    sent_ms: int


class Change(NamedTuple):
    """What an action does to an instance. It takes the instance from its owner unless `keeps_owner`."""

    status: Status
    keeps_owner: bool = False
    resumed_after_ms: int | None = None
    """Move what is pending later by this much: its time stood still."""
    is_terminating: bool = False
    restart_from: int | None = None
    """Forget the steps from this order on (0: all), and begin a new generation."""
    forgets_events: bool = False
    """Forget what no wait took yet, too."""
    terminator: Terminator | None = None
    """Who ends it, for its history; None: nobody knows, or it does not end by this."""


class Acted(NamedTuple):
    """What became of an action: the owner that held the instance then, and its number, to be told about it."""

    owner: str | None
    number: int
    also: tuple[Acted, ...] = ()
    """Children that were terminated with it, and its parent that was told of its end, as far as they are held."""


class TakenOver(NamedTuple):
    """An instance whose owner died while it ran, and how often that happened since it finished a step."""

    workflow: str
    id: str
    crash_count: int
    is_parked: bool


class Pause(NamedTuple):
    """How a pass ends without an end of its instance: `ready_ms` is when it is wanted again (None: not by time)."""

    status: Status
    ready_ms: int | None
    event_types: tuple[str, ...] = ()
    """What it waits for: an event of these types that has come already makes it ready at once."""


class Finish(NamedTuple):
    """How an instance ends."""

    status: Status
    output: bytes | None = None
    error: ErrorRecord | None = None
    is_undone: bool = True
    """Of one that was rolled back: whether every step was called again that could have to be undone."""


class Progress(NamedTuple):
    """Steps to keep, and what the instance does then; no status leaves it as it is."""

    steps: Sequence[StepRecord] = ()
    status: Status | None = None
    ready_ms: int | None = None
    error: ErrorRecord | None = None
    """Why its steps are rolled back from now on."""


class TerminationOrder(NamedTuple):
    """What is to be terminated: instances with these statuses, up to the one that was `newest` (its number) then."""

    number: int
    workflow: str
    statuses: tuple[Status, ...]
    newest: int
    terminator: Terminator | None
    """Who ordered it; None: an earlier Edge did not keep that."""


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances, the newest first unless `is_ascending`; both times are included."""

    status: Status | None = None
    created_from_ms: int | None = None
    created_to_ms: int | None = None
    is_ascending: bool = False


class InstancePage(NamedTuple):
    """Some instances, without their `params` and `output`, which may be large."""

    items: Sequence[Instance]
    total_count: int
    """Of the filter, on all pages."""
    next: tuple[int, int] | None
    """What to give as `after` for the next page; None: this is the last one."""


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow as it was last configured, deployed or applied; None: the default."""

    name: str
    class_name: str
    script_name: str
    version: str
    steps_max: int | None = None
    concurrency_max: int | None = None
    success_retention_ms: int | None = None
    error_retention_ms: int | None = None
    schedules: tuple[str, ...] = ()
    """Cron expressions."""
    manifest: str | None = None
    created_ms: int = 0
    """When its name was first seen; kept by every later change."""
    modified_ms: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a workflow's code. It never changes: the first one of an id is kept."""

    id: str
    workflow: str
    class_name: str
    language: str
    code_hash: str
    manifest: str | None = None
    graph: str | None = None
    """As JSON."""
    created_ms: int = 0


ENDED_PREFIX = "$ended:"


def ended_event_type(number: int) -> str:
    """The type of the event that tells a parent of the end of its child."""
    return f"{ENDED_PREFIX}{number}"
