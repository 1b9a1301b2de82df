"""The port on SQLite: one file for all workflows, shared by every process that holds the state folder.

Each call is a job of a Lane, a function of the connection: what callers ask at the same time is committed, and synced,
together. A job checks before it changes anything, so one that is refused does not undo its neighbours.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from ..._shared.sqlite import Database, Lane
from . import (
    catalogue_statements,
    chunk_statements,
    history_statements,
    instance_statements,
    owner_statements,
    step_statements,
    termination_statements,
)
from .inbox import held_parent
from .listeners import Listeners
from .records import Acted, Event, Fire
from .schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ....runtime.core.host import Host
    from ..._shared.sqlite_facts import Connection
    from ..errors import ErrorRecord
    from .history import HistoryEvent, HistoryPage
    from .records import (
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


T = TypeVar("T")
Durability: TypeAlias = Literal["power", "process"]

FORGET_COUNT = 1000
"""Instances forgotten in one transaction: others write between them."""


@asynccontextmanager
async def open_journal(path: Path, durability: Durability = "power") -> AsyncIterator[SqliteJournal]:
    """The journal in a file, made when absent. What is told survives a power cut, or the end of the process alone.

    Raises:
        BackendError: the file cannot be used.
    """
    database = Database(path, MIGRATIONS, "FULL" if durability == "power" else "NORMAL")
    await asyncio.to_thread(database.prepare)
    journal = SqliteJournal(Lane(database, run_jobs, is_writer=True), Lane(database, run_jobs, is_writer=False))
    try:
        yield journal
    finally:
        await journal.aclose()


class Call(NamedTuple):
    """A job: one of `statements`, and what it is called with."""

    statement: Callable[..., Any]
    arguments: tuple[object, ...]
    is_shared: bool = False
    """Whether it takes the arguments of many calls, and answers each: those that follow each other are made as one."""

    def __call__(self, connection: Connection) -> Any:
        """Make it alone."""
        return run_jobs(connection, [self])[0]


def run_jobs(connection: Connection, jobs: Sequence[Call]) -> list[Any]:
    """Make calls, in their order, inside a transaction; what each answers."""
    answers: list[Any] = []
    for (statement, is_shared), calls in groupby(jobs, key=attrgetter("statement", "is_shared")):
        if is_shared:
            answers += statement(connection, [call.arguments for call in calls])
        else:
            answers += [statement(connection, *call.arguments) for call in calls]
    return answers


class SqliteJournal:
    """Journal on one SQLite file. Reads see every write that returned, in this process or another."""

    def __init__(self, writes: Lane[Call, Any], reads: Lane[Call, Any]) -> None:
        self._writes = writes
        self._reads = reads
        self._listeners = Listeners(lambda numbers, version: self._read(history_statements.news, numbers, version))

    @property
    def is_busy(self) -> bool:
        """Whether a call is on its way."""
        return self._writes.is_busy or self._reads.is_busy

    async def aclose(self) -> None:
        await asyncio.gather(self._reads.aclose(), self._writes.aclose())

    async def create(self, workflow: str, instances: Sequence[NewInstance], now_ms: int) -> Sequence[bool]:
        size_bytes = sum(len(one.params) for one in instances)
        return await self._write_shared(instance_statements.create, workflow, instances, now_ms, size_bytes=size_bytes)

    async def find(self, workflow: str, instance_id: str) -> Instance | None:
        found = await self._read(instance_statements.find, workflow, instance_id)
        return None if found is None else found[1]

    async def held_parent(self, child: int) -> Sequence[Acted]:
        return await self._read(held_parent, child)

    async def number_of(self, workflow: str, instance_id: str) -> int | None:
        found = await self._read(instance_statements.find, workflow, instance_id)
        return None if found is None else found[0]

    async def steps(self, workflow: str, instance_id: str) -> Sequence[StepRecord]:
        return await self._read(instance_statements.steps_of, workflow, instance_id)

    async def steps_named(self, workflow: str, instance_id: str, name: str, occurrence: int) -> Sequence[StepRecord]:
        return await self._read(step_statements.steps_named, workflow, instance_id, name, occurrence)

    async def act(
        self,
        workflow: str,
        instance_id: str,
        decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
        now_ms: int,
    ) -> Acted | None:
        outcome = await self._write(instance_statements.act, workflow, instance_id, decide, now_ms)
        if isinstance(outcome, Exception):
            raise outcome
        self._tell(outcome)
        return outcome

    async def begin_termination(self, workflow: str, statuses: Sequence[Status], terminator: Terminator) -> bool:
        return await self._write(termination_statements.begin_termination, workflow, statuses, terminator)

    async def terminations(self) -> Sequence[TerminationOrder]:
        return await self._read(termination_statements.terminations)

    async def terminate_some(
        self,
        order: TerminationOrder,
        decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
        count_max: int,
        now_ms: int,
    ) -> Sequence[Acted]:
        some = await self._write(termination_statements.terminate_some, order, decide, count_max, now_ms)
        for acted in some:
            self._tell(acted)
        return some

    async def end_termination(self, order: TerminationOrder) -> None:
        await self._write(termination_statements.end_termination, order)

    async def delete(self, workflow: str, instance_id: str, now_ms: int) -> Acted | None:
        acted = await self._write(instance_statements.delete, workflow, instance_id, now_ms)
        self._tell(acted)
        return acted

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: bytes, now_ms: int
    ) -> Acted | None:
        event = Event(payload, now_ms)
        return await self._write(
            instance_statements.send_event, workflow, instance_id, event_type, event, size_bytes=len(payload)
        )

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
        claim = partial(owner_statements.claim, version=version, only_scheduled=only_scheduled)
        claims = await self._write(claim, owner, workflow, count_max, now_ms)
        for one in claims.claimed:
            self._listeners.tell(one.lease.number)
        return claims

    async def park(self, workflow: str, reason: ErrorRecord, count_max: int, now_ms: int) -> Sequence[str]:
        return await self._write(owner_statements.park, workflow, reason, count_max, now_ms)

    async def owned_count(self, workflow: str, scheduled_until_ms: int) -> int:
        return await self._read(owner_statements.owned_count, workflow, scheduled_until_ms)

    async def save(self, lease: Lease, progress: Progress, now_ms: int) -> Status | None:
        size_bytes = sum([len(step.result or b"") for step in progress.steps])
        status = await self._write_shared(owner_statements.save, lease, progress, now_ms, size_bytes=size_bytes)
        self._listeners.tell(lease.number)
        return status

    async def take_event(
        self,
        lease: Lease,
        step: StepRecord,
        *,
        otherwise: StepRecord,
        now_ms: int,
        begun: Sequence[StepRecord] = (),
    ) -> StepRecord | None:
        take = partial(owner_statements.take_event, begun=begun)
        return await self._write_as(lease, take, step, otherwise, now_ms)

    async def put_chunk(self, lease: Lease, key: ChunkKey, content: bytes) -> Status | None:
        return await self._write(chunk_statements.put_chunk, lease, key, content, size_bytes=len(content))

    async def chunk(self, number: int, key: ChunkKey) -> bytes | None:
        return await self._read(chunk_statements.chunk, number, key)

    async def release(self, lease: Lease, pause: Pause, now_ms: int) -> bool:
        return await self._write_as(lease, owner_statements.release, pause, now_ms)

    async def finish(self, lease: Lease, finish: Finish, now_ms: int) -> bool:
        size_bytes = len(finish.output or b"")
        is_held = await self._write_shared(owner_statements.finish, lease, finish, now_ms, size_bytes=size_bytes)
        self._listeners.tell(lease.number)
        return is_held

    async def held_status(self, lease: Lease) -> Status | None:
        return await self._read(owner_statements.status_of, lease)

    async def renew(self, owner: str, until_ms: int) -> None:
        await self._write(owner_statements.renew, owner, until_ms)

    def renew_aside(self, owner: str, until_ms: int) -> None:
        self._writes.write_aside(Call(owner_statements.renew_listed, (owner, until_ms)))

    async def owners(self) -> Sequence[tuple[str, int]]:
        return await self._read(owner_statements.owners)

    async def take_over(self, owner: str, crash_count_max: int, now_ms: int) -> Sequence[TakenOver]:
        return await self._write(owner_statements.take_over, owner, crash_count_max, now_ms)

    async def purge(self, now_ms: int, count_max: int) -> int:
        return await self._write(instance_statements.purge, now_ms, count_max)

    async def purge_ended(self, workflow: str, before_ms: int, statuses: Sequence[Status], count_max: int) -> int:
        return await self._write(catalogue_statements.purge_ended, workflow, before_ms, statuses, count_max)

    async def list(
        self, workflow: str, wanted: InstanceFilter, *, after: tuple[int, int] | None, offset: int, count_max: int
    ) -> InstancePage:
        return await self._read(catalogue_statements.list_instances, workflow, wanted, after, (offset, count_max))

    async def counts(self, workflow: str) -> Mapping[Status, int]:
        return await self._read(catalogue_statements.counts, workflow)

    async def last_created_ms(self, workflow: str) -> int | None:
        return await self._read(catalogue_statements.last_created_ms, workflow)

    async def fire(self, workflow: str, cron: str, at_ms: int, new: NewInstance, now_ms: int) -> bool:
        return await self._write(catalogue_statements.fire, workflow, Fire(cron, at_ms), new, now_ms)

    async def last_fire_ms(self, workflow: str, cron: str) -> int | None:
        return await self._read(catalogue_statements.last_fire_ms, workflow, cron)

    async def history(
        self, workflow: str, instance_id: str, *, after: int, count_max: int, with_values: bool = True
    ) -> Sequence[HistoryEvent] | None:
        read = partial(history_statements.history, with_values=with_values)
        return await self._read(read, workflow, instance_id, after, count_max)

    async def history_named(
        self, workflow: str, instance_id: str, name: str, occurrence: int
    ) -> Sequence[HistoryEvent]:
        return await self._read(history_statements.history_named, workflow, instance_id, name, occurrence)

    async def history_of(self, number: int, *, after: int, count_max: int) -> HistoryPage | None:
        return await self._read(history_statements.history_page, number, after, count_max)

    def listen(self, number: int, host: Host) -> AbstractContextManager[asyncio.Event]:
        return self._listeners.listen(number, host)

    async def put_workflow(self, row: WorkflowRow) -> None:
        await self._write(catalogue_statements.put_workflow, row)

    async def workflows(self) -> Sequence[WorkflowRow]:
        return await self._read(catalogue_statements.workflows)

    async def forget_workflow(self, name: str, now_ms: int) -> Sequence[Acted]:
        concerned: list[Acted] = []
        while (some := await self._write(catalogue_statements.forget_some, name, FORGET_COUNT, now_ms)) is not None:
            concerned += some
        for acted in concerned:
            self._tell(acted)
        return concerned

    async def put_version(self, version: Version) -> None:
        await self._write(catalogue_statements.put_version, version)

    async def versions(self, workflow: str) -> Sequence[Version]:
        return await self._read(catalogue_statements.versions, workflow)

    def _tell(self, acted: Acted | None) -> None:
        if acted is not None:
            for one in (acted, *acted.also):
                self._listeners.tell(one.number)

    async def _write_as(self, lease: Lease, job: Callable[..., T], *arguments: object) -> T:
        answer = await self._write(job, lease, *arguments)
        self._listeners.tell(lease.number)
        return answer

    def _write(self, job: Callable[..., T], *arguments: object, size_bytes: int = 0) -> Awaitable[T]:
        return self._writes.submit(Call(job, arguments), size_bytes=size_bytes)

    def _write_shared(
        self, job: Callable[[Connection, Sequence[Any]], Sequence[T]], *arguments: object, size_bytes: int = 0
    ) -> Awaitable[T]:
        return self._writes.submit(Call(job, arguments, is_shared=True), size_bytes=size_bytes)

    def _read(self, job: Callable[..., T], *arguments: object) -> Awaitable[T]:
        return self._reads.submit(Call(job, arguments))
