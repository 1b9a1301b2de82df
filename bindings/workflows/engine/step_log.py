"""What the journal has of an instance's steps, as one pass of it reads that and adds to it."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from ....runtime.core.errors import BackendError
from ..errors import Interrupted
from ..journal.records import Progress, Status, StepKey, StepRecord, StepState
from .user_code import depth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from ..errors import ErrorRecord
    from ..journal.journal import Journal
    from ..journal.records import ChunkKey, Lease
    from .instance_pass import InstancePass
    from .timers import Timers

T = TypeVar("T")

START_ROW_DELAY_S = 0.02
"""An attempt that takes longer is recorded when it starts, so that its number survives a crash."""


class Loss(Enum):
    """Why a pass cannot tell the journal anything any more."""

    LEASE = "the instance belongs to somebody else now"
    DISK = "the journal could not be written; the next pass tries again"


class StepLog:
    """Of one pass, which every loss ends."""

    def __init__(
        self, pass_: InstancePass, lease: Lease, recorded: Iterable[StepRecord], journal: Journal, timers: Timers
    ) -> None:
        self._pass = pass_
        self._lease = lease
        self._journal = journal
        self._timers = timers
        self._records = {step.key: step for step in recorded}
        self._next_order = max((step.order for step in self._records.values()), default=-1) + 1
        self._unsaved: dict[StepKey, StepRecord] = {}
        self._unsaved_at = 0.0
        self._timed_for = 0.0
        self._is_flush_timed = False
        self.is_shown_waiting = False
        """Whether the journal was told that all is waiting, and nothing since."""
        self._shown_due_ms = 0

    @property
    def running(self) -> Sequence[StepRecord]:
        """The steps whose functions run."""
        return [record for record in self._records.values() if record.state is StepState.RUNNING]

    def find(self, key: StepKey) -> StepRecord | None:
        """A step as it stands; None: no pass called it before."""
        return self._records.get(key)

    def current(self, record: StepRecord) -> StepRecord:
        """A step as it stands now."""
        return self._records.get(record.key, record)

    def new(self, key: StepKey, **values: Any) -> StepRecord:
        """The record of a step that no pass called before."""
        record = StepRecord(key, self._next_order, is_nested=depth.get() > 0, **values)
        self._next_order += 1
        return record

    async def save(self, *records: StepRecord) -> None:
        """Record steps, with what is not saved yet; durable on return."""
        self._pass.check_open()
        for record in records:
            self._unsaved[record.key] = record
        steps, self._unsaved = tuple(self._unsaved.values()), {}
        status = Status.RUNNING if self.is_shown_waiting else None
        self.is_shown_waiting = False
        found = await self._held(self._journal.save(self._lease, Progress(steps, status), self._pass.now_ms()))
        self._pass.check_open()
        for step in steps:
            if step.key not in self._unsaved:
                self._records[step.key] = step
        self._pass.saved(found)

    def save_soon(self, record: StepRecord) -> None:
        """Record that an attempt began, with whatever is saved next."""
        if not self._unsaved:
            self._unsaved_at = self._pass.host.now()
        self._unsaved[record.key] = self._records[record.key] = record

    def flush_soon(self) -> None:
        """Record what is not saved yet with whatever is saved next, or a little later."""
        if self._unsaved and not self._is_flush_timed:
            self._time_flush(self._pass.host.now())

    async def take_event(self, record: StepRecord, *, otherwise: StepRecord) -> StepRecord:
        """Complete a wait with the oldest event of its type, or record `otherwise`; and what is not saved yet."""
        self._pass.check_open()
        begun, self._unsaved = tuple(self._unsaved.values()), {}
        taken = await self._held(
            self._journal.take_event(self._lease, record, otherwise=otherwise, now_ms=self._pass.now_ms(), begun=begun)
        )
        self._pass.check_open()
        self._records[taken.key] = taken
        if begun or taken.state is not StepState.PENDING:
            self.is_shown_waiting = False
        return taken

    async def show_waiting(self, due_ms: int) -> Status:
        """Say that all is waiting until then; the instance's status."""
        if self.is_shown_waiting and self._shown_due_ms == due_ms:
            return Status.WAITING
        # Said before it is kept: what begins meanwhile is written behind this, and has to say that it runs.
        self.is_shown_waiting, self._shown_due_ms = True, due_ms
        waiting = Progress(status=Status.WAITING, ready_ms=due_ms)
        return await self._held(self._journal.save(self._lease, waiting, self._pass.now_ms()))

    async def show_rolling_back(self, error: ErrorRecord) -> None:
        """Say that steps are to be undone from now on."""
        progress = Progress(status=Status.ROLLING_BACK, error=error)
        await self._held(self._journal.save(self._lease, progress, self._pass.now_ms()))

    async def put_chunk(self, key: ChunkKey, content: bytes) -> None:
        """Keep a piece of a stream."""
        self._pass.check_open()
        await self._held(self._journal.put_chunk(self._lease, key, content))

    async def chunk(self, key: ChunkKey) -> bytes | None:
        return await self._journal.chunk(self._lease.number, key)

    async def _held(self, answer: Awaitable[T | None]) -> T:
        """The journal's answer. A lost lease and a failing disk end the pass, and are not user code's."""
        try:
            found = await answer
        except BackendError as error:
            self._pass.host.log.error("workflow_progress_not_saved", **self._pass.named, exc_info=error)
            self._pass.stop(Loss.DISK)
            raise Interrupted from error
        if found is None:
            self._pass.stop(Loss.LEASE)
            raise Interrupted
        return found

    def _time_flush(self, now: float) -> None:
        """One timer for all steps of the pass: most are saved long before it, and each would leave one behind.

        At whole multiples of the delay, so that the passes of many instances wake the clock's task together.
        """
        self._is_flush_timed = True
        self._timed_for = self._unsaved_at
        ticks = math.ceil((now + START_ROW_DELAY_S) / START_ROW_DELAY_S)
        self._timers.at(ticks * START_ROW_DELAY_S, self._flush_late)

    def _flush_late(self) -> None:
        self._is_flush_timed = False
        if not self._unsaved or self._pass.is_ended:
            return
        if self._timed_for != self._unsaved_at:  # what was unsaved then is saved: this has its own time
            self._time_flush(self._pass.host.now())
        else:
            self._pass.work_beside(self.save, "flush")
