"""The port: what a workflow engine remembers. Which change is allowed when is in `decisions.py`.

Times are Unix milliseconds. Every call that changes something is durable on return; it may raise BackendError, then
nothing was changed and it is safe to call again.

An instance is advanced by one owner at a time. Claiming it raises its fence, and so does taking it away (pause,
terminate, restart, delete, recovery); every write of an owner carries the fence it was given, and one that no longer
matches changes nothing and answers None: the owner has lost the instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ....runtime.core.host import Host
    from ..errors import ErrorRecord
    from .history import HistoryEvent, HistoryPage
    from .records import (
        Acted,
        Change,
        ChunkKey,
        Claims,
        Finish,
        Instance,
        InstanceFilter,
        InstancePage,
        Lease,
        NewInstance,
        Pause,
        Progress,
        Status,
        StepRecord,
        TakenOver,
        TerminationOrder,
        Terminator,
        Version,
        WorkflowRow,
    )


class Journal(Protocol):
    """See the module's docstring for what holds of every call."""

    async def create(self, workflow: str, instances: Sequence[NewInstance], now_ms: int) -> Sequence[bool]:
        """Add queued instances; False where the id is taken, and that one is not changed."""

    async def find(self, workflow: str, instance_id: str) -> Instance | None: ...

    async def held_parent(self, child: int) -> Sequence[Acted]:
        """The parent of an instance (its number), when somebody holds it: none or one."""

    async def number_of(self, workflow: str, instance_id: str) -> int | None:
        """The number of an instance, which is never given twice; None when there is none."""

    async def steps(self, workflow: str, instance_id: str) -> Sequence[StepRecord]:
        """What is recorded, in order of first call."""

    async def steps_named(self, workflow: str, instance_id: str, name: str, occurrence: int) -> Sequence[StepRecord]:
        """What is recorded under one name, of each kind that has it: a child is a step and a wait. No rollback."""

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

    async def begin_termination(self, workflow: str, statuses: Sequence[Status], terminator: Terminator) -> bool:
        """Order that all instances there are end that have one of the statuses. False: that is ordered already."""

    async def terminations(self) -> Sequence[TerminationOrder]:
        """What is ordered and not done, in order."""

    async def terminate_some(
        self,
        order: TerminationOrder,
        decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
        count_max: int,
        now_ms: int,
    ) -> Sequence[Acted]:
        """Change up to `count_max` of them as `decide` says, in one commit; none: nothing is left."""

    async def end_termination(self, order: TerminationOrder) -> None:
        """Say that it is done."""

    async def delete(self, workflow: str, instance_id: str, now_ms: int) -> Acted | None:
        """Forget an instance with all it has; None when there is none."""

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: bytes, now_ms: int
    ) -> Acted | None:
        """Keep an event until a wait takes it; dropped when the instance is finished. None when there is none."""

    async def claim(
        self,
        owner: str,
        workflow: str,
        count_max: int,
        now_ms: int,
        *,
        version: str = "",
        only_scheduled: bool = False,
    ) -> Claims:
        """Give `owner` up to `count_max` instances that are ready: those that ran or waited before, then queued.

        `version`: of those that were created where no code was loaded, from now on.
        `only_scheduled`: of those that a schedule made.
        """

    async def park(self, workflow: str, reason: ErrorRecord, count_max: int, now_ms: int) -> Sequence[str]:
        """Pause up to `count_max` instances that are ready, because they cannot run; their ids.

        The reason is their error until they are resumed.
        """

    async def owned_count(self, workflow: str, scheduled_until_ms: int) -> int:
        """How many instances of a workflow have an owner; of those that a schedule made, which started until then."""

    async def save(self, lease: Lease, progress: Progress, now_ms: int) -> Status | None:
        """Record steps; the instance's status then, which tells of a pause that was asked for. None: lease lost."""

    async def take_event(
        self,
        lease: Lease,
        step: StepRecord,
        *,
        otherwise: StepRecord,
        now_ms: int,
        begun: Sequence[StepRecord] = (),
    ) -> StepRecord | None:
        """Complete a wait with the oldest event of its type, or record `otherwise` when there is none.

        `begun`: attempts that began before, to be recorded before it.
        The result of a completed wait is the encoded event, made by `decisions.event_result`. None: lease lost.
        """

    async def put_chunk(self, lease: Lease, key: ChunkKey, content: bytes) -> Status | None:
        """Keep a piece of a stream for the attempt that makes it; the instance's status then. None: lease lost."""

    async def chunk(self, number: int, key: ChunkKey) -> bytes | None:
        """A piece of a stream of the instance with that number."""

    async def release(self, lease: Lease, pause: Pause, now_ms: int) -> bool:
        """Let an instance go. False: lease lost.

        What came in meanwhile wins: one with an event for a pending wait is ready at once, one that was to be paused is
        paused, and one that was resumed is not.
        """

    async def finish(self, lease: Lease, finish: Finish, now_ms: int) -> bool:
        """End an instance; its buffered events are dropped. False: lease lost."""

    async def held_status(self, lease: Lease) -> Status | None:
        """The instance's status. None: lease lost."""

    async def renew(self, owner: str, until_ms: int) -> None:
        """Say that an owner is alive until then."""

    def renew_aside(self, owner: str, until_ms: int) -> None:
        """The same of an owner that is listed, from any thread, which it blocks; no other owner is made by it."""

    async def owners(self) -> Sequence[tuple[str, int]]:
        """Every owner and until when it is said to be alive."""

    async def take_over(self, owner: str, crash_count_max: int, now_ms: int) -> Sequence[TakenOver]:
        """Forget an owner; what it held is ready again. One that it ran too often while dying is parked as paused."""

    async def purge(self, now_ms: int, count_max: int) -> int:
        """Forget finished instances whose retention ended; how many."""

    async def purge_ended(self, workflow: str, before_ms: int, statuses: Sequence[Status], count_max: int) -> int:
        """Forget up to `count_max` instances that ended before then with one of the statuses; how many."""

    async def list(
        self, workflow: str, wanted: InstanceFilter, *, after: tuple[int, int] | None, offset: int, count_max: int
    ) -> InstancePage:
        """Instances in order of creation: those behind `after` (a page's `next`), without the first `offset`."""

    async def counts(self, workflow: str) -> Mapping[Status, int]:
        """How many instances there are, by status; one that none has is left out."""

    async def last_created_ms(self, workflow: str) -> int | None:
        """When its newest instance was created."""

    async def fire(self, workflow: str, cron: str, at_ms: int, new: NewInstance, now_ms: int) -> bool:
        """Take a time of a schedule and create its instance. False: that time, or a later one, was taken before."""

    async def last_fire_ms(self, workflow: str, cron: str) -> int | None:
        """The latest time of a schedule that was taken."""

    async def history(
        self, workflow: str, instance_id: str, *, after: int, count_max: int, with_values: bool = True
    ) -> Sequence[HistoryEvent] | None:
        """What happened to an instance since event `after` (0: from the beginning); None when there is none.

        `with_values`: with its params, its output and those of its steps.
        """

    async def history_named(
        self, workflow: str, instance_id: str, name: str, occurrence: int
    ) -> Sequence[HistoryEvent]:
        """What happened to the instance as a whole and to what has that name, without values."""

    async def history_of(self, number: int, *, after: int, count_max: int) -> HistoryPage | None:
        """The same of the instance with this number: fewer than `count_max` where they are large."""

    def listen(self, number: int, host: Host) -> AbstractContextManager[asyncio.Event]:
        """An event that is set whenever something may have happened to the instance with this number.

        By this process: at once; by another one: within 250 ms.
        """

    async def put_workflow(self, row: WorkflowRow) -> None:
        """Keep a workflow as it is now; the time its name was first seen stays."""

    async def workflows(self) -> Sequence[WorkflowRow]:
        """All that are known, by name."""

    async def forget_workflow(self, name: str, now_ms: int) -> Sequence[Acted]:
        """Forget a workflow with all its instances, versions and fired times; each instance goes as by `delete`.

        Answers the instances that had an owner, or whose parent or children have one.
        It goes in many small transactions: when it fails, the workflow is still there, and it is safe to call again.
        """

    async def put_version(self, version: Version) -> None:
        """Keep a version, unless it is known."""

    async def versions(self, workflow: str) -> Sequence[Version]:
        """All that are known, the newest first."""
