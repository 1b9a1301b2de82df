"""Idempotency-Key: a request that is sent again is answered as it was the first time, and written once.

Theory of operation. A key is claimed, durably, before its records are written; the frame carries the key and the
answer; afterwards the answer is noted beside the key. All processes share the table. So whoever finds a key finds

- an answer: that is the answer;
- a claim of a living process: it waits for the answer, at most WAIT_SECONDS;
- a claim of a dead one: the process was killed between claim and note, and the log says whether the frame was written.
  The claim remembers where the log ended, so a short read decides: found, that answer is noted; else the claim is free.

The table can be made again from the log: a stream whose log was never read for keys is read through once, before its
first key. What was trimmed from the log, or is older than a day, is forgotten.
Source: spec "Pipelines", 5.5; decisions 11 and 20.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._shared.sqlite import Database, Lane
from ..stream_log.frame_extra import parse_frame_extra
from ..stream_log.reader import PartitionReader
from .refusal import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Self

    from ....runtime.core.host import LocalHost
    from ..open_streams import OpenStream
    from ..stream_log.stream_folders import StreamFolders

WINDOW_SECONDS = 24 * 3600.0
KEYS_MAX = 1_000_000
"""Of one stream; the oldest go first."""
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05
PRUNE_EVERY = 1000
"""Keys between two looks for what is too old or too many."""
FILE_NAME = "idempotency.sqlite3"

_MIGRATIONS = (
    """CREATE TABLE keys (
        number INTEGER PRIMARY KEY AUTOINCREMENT, stream_id TEXT NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL,
        claimed_at REAL NOT NULL, committed INTEGER, dropped_count INTEGER,
        partition INTEGER NOT NULL, owner TEXT NOT NULL, process INTEGER NOT NULL, from_offset INTEGER NOT NULL,
        UNIQUE (stream_id, source, key)
    )""",
    "CREATE INDEX keys_by_age ON keys (stream_id, number)",
    "CREATE TABLE read_streams (stream_id TEXT PRIMARY KEY) WITHOUT ROWID",
)


class Answer(NamedTuple):
    """What a request was answered, as far as it has to be said again."""

    committed: int
    dropped_count: int = 0


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A key belongs to the stream and the door it was sent to."""

    stream_id: str
    source: str
    text: str

    @property
    def row(self) -> tuple[str, str, str]:
        return self.stream_id, self.source, self.text


@dataclass(frozen=True, slots=True)
class _Claim:
    """Somebody else's: no answer yet."""

    partition: int
    owner: str
    process: int
    from_offset: int


class IdempotencyKeys:
    """The table, as this process uses it. An async context manager; nothing is opened before the first key."""

    def __init__(self, host: LocalHost, folders: StreamFolders) -> None:
        self._host = host
        self._folders = folders
        self._owner = f"{host.process_slot}.{host.new_id()}"
        self._database = Database(host.state_dir / "pipelines" / FILE_NAME, _MIGRATIONS)
        self._lane: Lane[Callable[[Any], Any], Any] | None = None
        self._opening = asyncio.Lock()
        self._running: dict[RequestKey, asyncio.Task[Answer]] = {}
        self._read_streams: set[str] = set()
        self._claim_count = 0
        self.repeat_count = 0
        """Requests that were answered as an earlier one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._lane is not None:
            await self._lane.aclose()

    async def once(self, stream: OpenStream, key: RequestKey, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, or the first one's when a request with this key was answered already.

        The work goes on when the caller is cancelled: its client may have left, the key stays right.

        Raises:
            UnavailableError: another process has been at it for WAIT_SECONDS.
            BackendError: the table cannot be used. And whatever `work` raises.
        """
        task = self._running.get(key)
        if task is not None:
            self.repeat_count += 1
        else:
            task = self._running[key] = self._host.spawn(self._work(stream, key, work), name="idempotent request")
            task.add_done_callback(lambda _: self._running.pop(key))
        return await asyncio.shield(task)

    async def _work(self, stream: OpenStream, key: RequestKey, work: Callable[[], Awaitable[Answer]]) -> Answer:
        if (answer := await self._claim(stream, key)) is not None:
            self.repeat_count += 1
            return answer
        try:
            answer = await work()
        except Exception:
            await self._submit(
                lambda table: table.execute("DELETE FROM keys WHERE stream_id = ? AND source = ? AND key = ?", key.row)
            )
            raise
        await self._submit(lambda table: _note(table, key, answer))
        return answer

    async def _claim(self, stream: OpenStream, key: RequestKey) -> Answer | None:
        """The answer the key has already; None when the key is ours now."""
        await self._read_once(key.stream_id)
        give_up_at = self._host.now() + WAIT_SECONDS
        while True:
            found = await self._submit(lambda table: self._claimed(table, key, stream.log.durable_offset))
            if not isinstance(found, _Claim):
                assert found is None or isinstance(found, Answer), "a claim, an answer, or nobody's before"
                return found
            if self._is_dead(found):
                await self._settle(key, found)
                continue
            if self._host.now() >= give_up_at:
                msg = f"Process {found.process} has been working on this Idempotency-Key. Ask again in a moment."
                raise UnavailableError(msg, 1.0)
            await self._host.sleep(POLL_SECONDS)

    def _claimed(self, table: Any, key: RequestKey, next_offset: int) -> Answer | _Claim | None:
        now = self._host.now()
        table.execute(
            "DELETE FROM keys WHERE stream_id = ? AND source = ? AND key = ? AND claimed_at < ?",
            (*key.row, now - WINDOW_SECONDS),
        )
        values = (*key.row, now, self._host.process_slot, self._owner, os.getpid(), next_offset)
        query = (
            "INSERT INTO keys (stream_id, source, key, claimed_at, partition, owner, process, from_offset) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        if table.execute(query, values).rowcount:
            self._claim_count += 1
            if self._claim_count % PRUNE_EVERY == 0:
                _prune(table, key.stream_id, now - WINDOW_SECONDS)
            return None
        query = (
            "SELECT committed, dropped_count, partition, owner, process, from_offset FROM keys "
            "WHERE stream_id = ? AND source = ? AND key = ?"
        )
        committed, dropped_count, *claim = table.execute(query, key.row).fetchone()
        return _Claim(*claim) if committed is None else Answer(committed, dropped_count)

    def _is_dead(self, claim: _Claim) -> bool:
        if claim.owner == self._owner:
            return True  # not among the running ones: its note failed
        if claim.partition == self._host.process_slot:
            return True  # only one process holds the partition, and that is this one
        try:
            os.kill(claim.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    async def _settle(self, key: RequestKey, claim: _Claim) -> None:
        """Let the log say whether a dead process's request was written."""
        path = self._folders.folder(key.stream_id).partition(claim.partition)
        found = await asyncio.to_thread(_find_answer, PartitionReader(path, claim.from_offset), key)

        def settle(table: Any) -> None:
            if found is None:
                query = "DELETE FROM keys WHERE stream_id = ? AND source = ? AND key = ? AND owner = ?"
                table.execute(f"{query} AND committed IS NULL", (*key.row, claim.owner))
            else:
                _note(table, key, found)

        await self._submit(settle)

    async def _read_once(self, stream_id: str) -> None:
        """Read a stream's log for keys that the table does not have, if nobody ever did."""
        if stream_id in self._read_streams:
            return
        async with self._opening:
            await self._open()
            query = "SELECT 1 FROM read_streams WHERE stream_id = ?"
            if not await self._submit(lambda table: table.execute(query, (stream_id,)).fetchone()):
                rows = await asyncio.to_thread(lambda: list(self._rows_of(stream_id)))

                def keep(table: Any) -> None:
                    table.executemany(
                        "INSERT INTO keys (stream_id, source, key, claimed_at, committed, dropped_count, partition, "
                        "owner, process, from_offset) VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, 0) ON CONFLICT DO NOTHING",
                        rows,
                    )
                    table.execute("INSERT INTO read_streams VALUES (?) ON CONFLICT DO NOTHING", (stream_id,))

                await self._submit(keep)
            self._read_streams.add(stream_id)

    def _rows_of(self, stream_id: str) -> Iterator[tuple[Any, ...]]:
        folder, since = self._folders.folder(stream_id), self._host.now() - WINDOW_SECONDS
        for number in folder.partitions():
            for frame in PartitionReader(folder.partition(number)).frames():
                extra, at = parse_frame_extra(frame.extra), frame.ingested_at_us / 1e6
                if extra.idempotency_key and at >= since:
                    key = (stream_id, extra.source, extra.idempotency_key)
                    yield (*key, at, extra.committed, extra.dropped_count, number)

    async def _open(self) -> None:
        if self._lane is None:
            await asyncio.to_thread(self._database.prepare)
            self._lane = Lane(self._database, lambda table, jobs: [job(table) for job in jobs], is_writer=True)

    async def _submit(self, job: Callable[[Any], Any]) -> Any:
        assert self._lane is not None, "a stream was read before"
        return await self._lane.submit(job)


def _note(table: Any, key: RequestKey, answer: Answer) -> None:
    query = "UPDATE keys SET committed = ?, dropped_count = ? WHERE stream_id = ? AND source = ? AND key = ?"
    table.execute(query, (answer.committed, answer.dropped_count, *key.row))


def _prune(table: Any, stream_id: str, before: float) -> None:
    table.execute("DELETE FROM keys WHERE stream_id = ? AND claimed_at < ?", (stream_id, before))
    table.execute(
        "DELETE FROM keys WHERE stream_id = ? AND number <= "
        "(SELECT number FROM keys WHERE stream_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (stream_id, stream_id, KEYS_MAX),
    )


def _find_answer(reader: PartitionReader, key: RequestKey) -> Answer | None:
    for frame in reader.frames():
        extra = parse_frame_extra(frame.extra)
        if extra.idempotency_key == key.text and extra.source == key.source:
            return Answer(extra.committed, extra.dropped_count)
    return None
