"""The port: what a workflow engine remembers. Which change is allowed when is in `engine.py`.

Times are Unix milliseconds. Every call that changes something is durable on return; it may raise BackendError, then
nothing was changed and it is safe to call again.

An instance is advanced by one owner at a time. Claiming it raises its fence, and so does taking it away (pause,
terminate, restart, delete, recovery); every write of an owner carries the fence it was given, and one that no longer
matches changes nothing and answers None: the owner has lost the instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .errors import ErrorRecord


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


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step as it stands. `order` counts the steps of an instance as they were first called."""

    key: StepKey
    order: int
    state: StepState
    attempt: int = 0
    due_ms: int | None = None
    event_type: str | None = None
    result: bytes | None = None
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class NewInstance:
    """What `create` stores. Retention: how long a finished instance is kept, by success and by error."""

    id: str
    params: bytes
    success_retention_ms: int
    error_retention_ms: int


@dataclass(frozen=True, slots=True)
class Instance:
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


@dataclass(frozen=True, slots=True)
class Claimed:
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


class Acted(NamedTuple):
    """What became of an action: the owner that held the instance then, and its number, to be told about it."""

    owner: str | None
    number: int


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


@dataclass(frozen=True, slots=True)
class Finish:
    """How an instance ends."""

    status: Status
    output: bytes | None = None
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps to keep, and what the instance does then; no status leaves it as it is."""

    steps: Sequence[StepRecord] = field(default_factory=tuple)
    status: Status | None = None
    ready_ms: int | None = None


class Journal(Protocol):
    """See the module's docstring for what holds of every call."""

    async def create(self, workflow: str, instances: Sequence[NewInstance], now_ms: int) -> Sequence[bool]:
        """Add queued instances; False where the id is taken, and that one is not changed."""

    async def find(self, workflow: str, instance_id: str) -> Instance | None: ...

    async def steps(self, workflow: str, instance_id: str) -> Sequence[StepRecord]:
        """What is recorded, in order of first call."""

    async def act(
        self,
        workflow: str,
        instance_id: str,
        decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
        now_ms: int,
    ) -> Acted | None:
        """Change an instance as `decide` says (None: not at all), with nothing in between; None when there is none.

        What `decide` raises is raised, and nothing was changed. It may be called more than once.
        """

    async def delete(self, workflow: str, instance_id: str) -> Acted | None:
        """Forget an instance with all it has; None when there is none."""

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: bytes, now_ms: int
    ) -> Acted | None:
        """Keep an event until a wait takes it; dropped when the instance is finished. None when there is none."""

    async def claim(self, owner: str, workflow: str, count_max: int, now_ms: int) -> Claims:
        """Give `owner` up to `count_max` instances that are ready: those that ran or waited before, then queued."""

    async def owned_count(self, workflow: str) -> int:
        """How many instances of a workflow have an owner."""

    async def save(self, lease: Lease, progress: Progress) -> Status | None:
        """Record steps; the instance's status then, which tells of a pause that was asked for. None: lease lost."""

    async def take_event(self, lease: Lease, step: StepRecord, *, otherwise: StepRecord) -> StepRecord | None:
        """Complete a wait with the oldest event of its type, or record `otherwise` when there is none.

        The result of a completed wait is the encoded event, made by `engine.event_result`. None: lease lost.
        """

    async def release(self, lease: Lease, pause: Pause, now_ms: int) -> bool:
        """Let an instance go. False: lease lost.

        What came in meanwhile wins: one with an event for a pending wait is ready at once, one that was to be paused is
        paused, and one that was resumed is not.
        """

    async def finish(self, lease: Lease, finish: Finish, now_ms: int) -> bool:
        """End an instance; its buffered events are dropped. False: lease lost."""

    async def is_held(self, lease: Lease) -> bool: ...

    async def renew(self, owner: str, until_ms: int) -> None:
        """Say that an owner is alive until then."""

    async def owners(self) -> Sequence[tuple[str, int]]:
        """Every owner and until when it is said to be alive."""

    async def take_over(self, owner: str, crash_count_max: int, now_ms: int) -> Sequence[TakenOver]:
        """Forget an owner; what it held is ready again. One that it ran too often while dying is parked as paused."""

    async def purge(self, now_ms: int, count_max: int) -> int:
        """Forget finished instances whose retention ended; how many."""
