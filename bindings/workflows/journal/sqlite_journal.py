"""The port on SQLite: one file for all workflows, shared by every process that holds the state folder.

Each call is a job of a Lane, a function of the connection: what callers ask at the same time is committed, and synced,
together. A job checks before it changes anything, so one that is refused does not undo its neighbours.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from ..._shared.sqlite import Database, Lane
from . import statements
from .records import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from ..._shared.sqlite_facts import Connection
    from .records import (
        Acted,
        Change,
        Claims,
        Finish,
        Instance,
        Lease,
        NewInstance,
        Pause,
        Progress,
        Status,
        StepRecord,
        TakenOver,
    )

    Job: TypeAlias = "Callable[[Connection], Any]"

T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE instance (
        number INTEGER PRIMARY KEY,
        workflow TEXT NOT NULL,
        id TEXT NOT NULL,
        status TEXT NOT NULL,
        generation INTEGER NOT NULL DEFAULT 1,
        created_ms INTEGER NOT NULL,
        ended_ms INTEGER,
        paused_ms INTEGER,
        ready_ms INTEGER,
        expires_ms INTEGER,
        success_retention_ms INTEGER NOT NULL,
        error_retention_ms INTEGER NOT NULL,
        owner TEXT,
        fence INTEGER NOT NULL DEFAULT 0,
        crash_count INTEGER NOT NULL DEFAULT 0,
        is_terminating INTEGER NOT NULL DEFAULT 0,
        error_name TEXT,
        error_message TEXT,
        params BLOB NOT NULL,
        output BLOB,
        UNIQUE (workflow, id)
    )
    """,
    """
    CREATE INDEX instance_ready ON instance (workflow, status = 'queued', ready_ms)
        WHERE owner IS NULL AND ready_ms IS NOT NULL
    """,
    "CREATE INDEX instance_owned ON instance (owner, workflow) WHERE owner IS NOT NULL",
    "CREATE INDEX instance_expiring ON instance (expires_ms) WHERE expires_ms IS NOT NULL",
    """
    CREATE TABLE step (
        instance INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        count INTEGER NOT NULL,
        place INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        due_ms INTEGER,
        event_type TEXT,
        error_name TEXT,
        error_message TEXT,
        result BLOB,
        PRIMARY KEY (instance, kind, name, count)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE inbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        instance INTEGER NOT NULL,
        type TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        payload BLOB NOT NULL
    )
    """,
    "CREATE INDEX inbox_by_type ON inbox (instance, type, number)",
    "CREATE TABLE owner (name TEXT PRIMARY KEY, alive_until_ms INTEGER NOT NULL) WITHOUT ROWID",
)


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator[SqliteJournal]:
    """The journal in a file, made when absent.

    Raises:
        BackendError: the file cannot be used.
    """
    database = Database(path, MIGRATIONS)
    await asyncio.to_thread(database.prepare)
    journal = SqliteJournal(database)
    try:
        yield journal
    finally:
        await journal.aclose()


class SqliteJournal:
    """Journal on one SQLite file. Reads see every write that returned, in this process or another."""

    def __init__(self, database: Database) -> None:
        self._writes: Lane[Job, Any] = Lane(database, _run_jobs, is_writer=True)
        self._reads: Lane[Job, Any] = Lane(database, _run_jobs, is_writer=False)

    async def aclose(self) -> None:
        await asyncio.gather(self._reads.aclose(), self._writes.aclose())

    async def create(self, workflow: str, instances: Sequence[NewInstance], now_ms: int) -> Sequence[bool]:
        size_bytes = sum(len(one.params) for one in instances)
        return await self._write(statements.create, workflow, instances, now_ms, size_bytes=size_bytes)

    async def find(self, workflow: str, instance_id: str) -> Instance | None:
        found = await self._read(statements.find, workflow, instance_id)
        return None if found is None else found[1]

    async def steps(self, workflow: str, instance_id: str) -> Sequence[StepRecord]:
        return await self._read(statements.steps_of, workflow, instance_id)

    async def act(
        self,
        workflow: str,
        instance_id: str,
        decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
        now_ms: int,
    ) -> Acted | None:
        outcome = await self._write(statements.act, workflow, instance_id, decide, now_ms)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def delete(self, workflow: str, instance_id: str, now_ms: int) -> Acted | None:
        return await self._write(statements.delete, workflow, instance_id, now_ms)

    async def send_event(
        self, workflow: str, instance_id: str, event_type: str, payload: bytes, now_ms: int
    ) -> Acted | None:
        event = Event(payload, now_ms)
        return await self._write(
            statements.send_event, workflow, instance_id, event_type, event, size_bytes=len(payload)
        )

    async def claim(self, owner: str, workflow: str, count_max: int, now_ms: int) -> Claims:
        return await self._write(statements.claim, owner, workflow, count_max, now_ms)

    async def owned_count(self, workflow: str) -> int:
        return await self._read(statements.owned_count, workflow)

    async def save(self, lease: Lease, progress: Progress, now_ms: int) -> Status | None:
        size_bytes = sum(len(step.result or b"") for step in progress.steps)
        return await self._write(statements.save, lease, progress, now_ms, size_bytes=size_bytes)

    async def take_event(
        self, lease: Lease, step: StepRecord, *, otherwise: StepRecord, now_ms: int
    ) -> StepRecord | None:
        return await self._write(statements.take_event, lease, step, otherwise, now_ms)

    async def release(self, lease: Lease, pause: Pause, now_ms: int) -> bool:
        return await self._write(statements.release, lease, pause, now_ms)

    async def finish(self, lease: Lease, finish: Finish, now_ms: int) -> bool:
        return await self._write(statements.finish, lease, finish, now_ms, size_bytes=len(finish.output or b""))

    async def is_held(self, lease: Lease) -> bool:
        return await self._read(statements.status_of, lease) is not None

    async def renew(self, owner: str, until_ms: int) -> None:
        await self._write(statements.renew, owner, until_ms)

    async def owners(self) -> Sequence[tuple[str, int]]:
        return await self._read(statements.owners)

    async def take_over(self, owner: str, crash_count_max: int, now_ms: int) -> Sequence[TakenOver]:
        return await self._write(statements.take_over, owner, crash_count_max, now_ms)

    async def purge(self, now_ms: int, count_max: int) -> int:
        return await self._write(statements.purge, now_ms, count_max)

    async def _write(self, job: Callable[..., T], *arguments: object, size_bytes: int = 0) -> T:
        return cast(
            "T", await self._writes.submit(lambda connection: job(connection, *arguments), size_bytes=size_bytes)
        )

    async def _read(self, job: Callable[..., T], *arguments: object) -> T:
        return cast("T", await self._reads.submit(lambda connection: job(connection, *arguments)))


def _run_jobs(connection: Connection, jobs: Sequence[Job]) -> list[Any]:
    return [job(connection) for job in jobs]
