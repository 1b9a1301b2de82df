"""Runs one INSERT of a pipeline: from its place in the log to its sink, roll after roll, each record exactly once.

A roll passes four steps, each durable before the next:

    stage    the SQL has run, the rows are in files of the staging folder, synced        crash: read again
    intent   the range and the files' keys and hashes are in the store                   crash: published again
    publish  the sink makes the staged bytes visible under those keys                    crash: published again
    commit   one transaction: offsets, accounting, dead letters; the intent is gone      crash: only tidying is left

So SQL runs once for a range (`random()` included): whatever is visible outside came from bytes that an intent names.
The log is trimmed after the commit, never before. While a sink is down its roll waits on disk and nothing more is
read: the log is the buffer.

A fence that has passed on ends the runner at the next step. Source: spec "Pipelines" 5.6.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable  # noqa: TC003 - the type of a dataclass field
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ....runtime.core.errors import BackendError, EdgeError
from ..batcher import Backlog, decide_roll
from ..dead_letters import DeadLetter
from ..sinks.sink import Published, SinkMisconfiguredError, SinkUnavailableError
from ..sql.sql_error import TooMuchMadeError
from ..stream_log.stream_folders import PIPELINE_READER
from .faults import reach
from .store import FencedError

if TYPE_CHECKING:
    from ....runtime.core.host import LocalHost
    from ..batcher import RollPolicy
    from ..sinks.sink import Sink
    from ..stream_log.disk import Disk
    from .feed import Chunk, StreamFeed
    from .intent import Intent
    from .outcome import Transformed
    from .staging import RollStaging
    from .store import DeliveryStore, InsertKey

T = TypeVar("T")

POLL_S = 0.1
"""How long records may wait for company: planning a query costs as much as running it over a thousand of them."""
SLICE_BYTES = 16 * 1024 * 1024
"""Read and staged at most before it is asked again whether to roll or to stop."""
RETRY_S = 0.5
RETRY_S_MAX = 60.0
MISCONFIGURED_RETRY_S = 15.0
"""What only a person can mend is tried again slowly."""


@dataclass(frozen=True, slots=True, eq=False)
class InsertParts:
    """What an insert runner works with."""

    feed: StreamFeed
    transform: Callable[[Chunk], Transformed]
    sink: Sink | None
    """None: the records are only checked."""
    staging: RollStaging
    policy: RollPolicy
    inactivity_s: float | None
    retention_s: float


class InsertRunner:
    """One INSERT under one lease."""

    def __init__(
        self,
        key: InsertKey,
        name: str,
        open_parts: Callable[[], InsertParts],
        *,
        host: LocalHost,
        store: DeliveryStore,
        fence: int,
        disk: Disk,
        in_thread: Callable[..., Any],
        is_ending: bool = False,
        moved_from: str | None = None,
    ) -> None:
        """`open_parts` is called in a thread, again after it failed; `name` is for logs.

        One that `is_ending` publishes the roll that is half out, and nothing else. `moved_from` is its sink's name when
        who waits for that writes elsewhere.
        """
        self._key = key
        self._name = name
        self._open_parts = open_parts
        self._opened: InsertParts | None = None
        self._host = host
        self._store = store
        self._fence = fence
        self._disk = disk
        self._in_thread = in_thread
        self._is_ending = is_ending
        self._moved_from = moved_from
        self._stop = asyncio.Event()
        self._first_at = 0.0
        self._last_at = 0.0
        self._is_first = True
        self._failure: str | None = None
        self._failure_count = 0
        self._half_out_count = 0

    @property
    def _parts(self) -> InsertParts:
        assert self._opened is not None, "an open INSERT works"
        return self._opened

    def stop(self) -> None:
        """Deliver what was read and what is there, then return from `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Deliver until stopped, or until what is ending has ended.

        Raises:
            FencedError: another process runs the pipelines now.
        """
        try:
            while True:
                try:
                    await self._open()
                    await self._recover()
                    if self._is_ending:
                        return
                    await self._deliver()
                except FencedError:
                    raise
                except (OSError, EdgeError) as error:
                    await self._fail(error)
                except Exception as error:
                    self._host.log.error("pipeline_failed", pipeline=self._name, exc_info=error)
                    await self._fail(error)
                if self._stop.is_set():
                    return
        finally:
            if self._opened is not None and self._opened.sink is not None:
                await self._opened.sink.aclose()

    async def _open(self) -> None:
        if self._opened is None:
            await self._thread(self._store.begin_insert, self._fence, self._key, {})
            self._opened = await self._thread(self._open_parts)
            self._heal()
            await self._thread(self._store.note_failure, self._fence, self._key.id, "")

    async def _deliver(self) -> None:
        while not self._stop.is_set():
            count = await self._thread(self._advance)
            now = self._host.now()
            if now < self._last_at:  # the clock was set back: what waits has waited since now, not since later
                self._first_at = self._last_at = now
            if count:
                self._first_at = self._first_at or now
                self._last_at = now
            if self._is_due(now):
                await self._roll()
            elif not count:
                await self._pause(POLL_S)
        await self._thread(self._advance)
        if self._parts.staging.record_count:
            await self._roll()

    def _advance(self) -> int:
        """Read, transform and stage what is there, up to SLICE_BYTES; returns how many records. In a thread."""
        parts, count, size_bytes = self._parts, 0, 0
        for partition in parts.feed.partitions():
            if not parts.staging.knows(partition):
                self._begin_partition(partition)
            while size_bytes < SLICE_BYTES:
                read = parts.feed.next_chunk(partition, parts.staging.place(partition))
                if read is None:
                    break
                chunk, made = _transformed(read, parts.transform)
                parts.staging.add(chunk, made)
                count += chunk.until - chunk.since
                if chunk.until < read.until:  # it makes very much: ask at once whether to roll
                    return count
                size_bytes += chunk.size_bytes
        return count

    def _begin_partition(self, partition: int) -> None:
        key = self._key
        start = self._parts.feed.folder.begin_cursor(reader_of(key), partition, self._disk)
        self._store.begin_insert(self._fence, key, {partition: start})
        self._parts.staging.add_partition(partition, start)

    def _is_due(self, now: float) -> bool:
        staging, inactivity_s = self._parts.staging, self._parts.inactivity_s
        if inactivity_s is not None and staging.record_count and now - self._last_at >= inactivity_s:
            return True
        backlog = Backlog(staging.record_count, staging.size_bytes, self._first_at)
        return decide_roll(self._parts.policy, backlog, now, is_first=self._is_first)

    async def _roll(self) -> None:
        """Take what is staged through the steps."""
        staging = self._parts.staging
        intent = await self._thread(staging.close)
        if intent.roll.files:
            await self._thread(self._write_intent, intent)
            await self._publish(intent)
        else:
            await self._thread(self._commit, intent, None)
        self._is_first = False
        await self._thread(self._tidy, intent)
        await self._thread(self._begin)

    def _write_intent(self, intent: Intent) -> None:
        reach("intent:before")
        self._store.add_intent(self._fence, intent, self._parts.staging.dead)
        reach("intent:after")

    async def _publish(self, intent: Intent) -> None:
        """Publish and commit, however long the sink takes."""
        assert self._parts.sink is not None, "files are for a sink"
        folder = self._parts.staging.folder_of(intent)
        while True:
            await self._thread(self._store.require_fence, self._fence)
            started_at = self._host.now()
            try:
                reach("publish:before")
                published = await self._parts.sink.publish(intent.roll, folder)
                reach("publish:after")
            except (SinkUnavailableError, SinkMisconfiguredError, OSError) as error:
                await self._fail(error)
                if self._stop.is_set():
                    raise
                continue
            intent.counters.update(sinkCommits=1, sinkCommitSeconds=self._host.now() - started_at)
            await self._thread(self._commit, intent, published)
            return

    def _commit(self, intent: Intent, published: Published | None) -> None:
        now = self._host.now()
        dead = self._refused(published, now) if published else self._parts.staging.dead
        reach("commit:before")
        self._store.commit(self._fence, intent, now, published=published, dead=dead)
        reach("commit:after")
        self._heal()

    def _refused(self, published: Published, now: float) -> list[DeadLetter]:
        key = self._key
        return [
            DeadLetter(
                stream_id=key.stream_id,
                partition=one.partition,
                offset=one.offset,
                insert_id=key.id,
                family="sink",
                kind=one.kind,
                path="",
                message=one.message,
                record=one.row,
                ingested_at=now,
                died_at=now,
            )
            for one in published.refused
        ]

    def _tidy(self, intent: Intent) -> None:
        """After a commit: what no longer is needed goes. Each part may be cut short and is done again later."""
        reach("cleanup:before")
        shutil.rmtree(self._parts.staging.folder_of(intent), ignore_errors=True)
        reach("cleanup:after")
        folder, before = self._parts.feed.folder, self._host.now() - self._parts.retention_s
        for partition, until in intent.roll.until.items():
            reach("cursor:before")
            folder.save_cursor(reader_of(self._key), partition, until, self._disk)
            reach("cursor:after")
            folder.trim(partition, self._disk, written_before=before)
            reach("trim:after")

    async def _recover(self) -> None:
        """Finish the roll an earlier runner published half, then begin behind what is committed."""
        intent = await self._thread(self._store.intent, self._key.id)
        staging = self._parts.staging
        await self._thread(staging.drop)
        await self._thread(staging.remove_leftovers, intent.folder if intent else None)
        if intent is not None:
            self._half_out_count = intent.record_count
            self._host.log.info("roll_continued", pipeline=self._name, epoch=intent.roll.epoch)
            await self._publish(intent)
            await self._thread(self._tidy, intent)
        await self._thread(self._begin)

    def _begin(self) -> None:
        """Start the next roll behind the last commit."""
        state = self._store.insert(self._key.id)
        assert state is not None, "an open INSERT is known"
        committed = {partition: one.committed for partition, one in state.progress.items()}
        folder = self._parts.feed.folder
        for partition, offset in committed.items():  # a crash may have come between the commit and the cursor
            if folder.load_cursor(reader_of(self._key), partition) != offset:
                folder.save_cursor(reader_of(self._key), partition, offset, self._disk)
        self._parts.staging.begin(state.epoch + 1, committed)
        self._first_at = self._last_at = 0.0

    async def _fail(self, error: Exception) -> None:
        """Show why nothing is delivered, and wait before the next try."""
        reason = str(error) or type(error).__name__
        if self._moved_from is not None:
            reason = self._why_it_does_not_end(reason)
        if reason != self._failure:
            self._failure = reason
            await self._note(self._store.note_failure, reason)  # before it is told: who reads that asks for the status
            self._host.log.warning("pipeline_not_delivering", pipeline=self._name, reason=reason)
        await self._note(self._store.count, {"sinkRetries": 1})
        if isinstance(error, SinkMisconfiguredError):
            await self._pause(MISCONFIGURED_RETRY_S)
            return
        delay_s = min(RETRY_S_MAX, RETRY_S * 2 ** min(self._failure_count, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries
        self._failure_count += 1
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        await self._pause(min(RETRY_S_MAX, max(delay_s, asked_s)))

    def _why_it_does_not_end(self, reason: str) -> str:
        """What this is to whoever waits for the roll."""
        sink, some = (
            self._moved_from,
            f"some of {self._half_out_count:,} records" if self._half_out_count else "records",
        )
        return (
            f"Sink {sink} may have {some} that were on their way when the pipeline was changed, so nothing goes on "
            f"before it has them all, each once. To give up on it: edge sinks delete {sink}; then they go where the "
            f"pipeline writes now, and what {sink} has is in both. It fails: {reason}"
        )

    async def _note(self, write: Callable[..., None], what: object) -> None:
        """Write what may be missing: the disk that fails the sink may fail the store too."""
        try:
            await self._thread(write, self._fence, self._key.id, what)
        except FencedError:
            raise
        except BackendError as error:
            self._host.log.warning("delivery_store_failed", pipeline=self._name, reason=str(error))

    def _heal(self) -> None:
        if self._failure is not None:
            self._host.log.info("pipeline_delivers_again", pipeline=self._name)
        self._failure, self._failure_count = None, 0

    async def _thread(self, work: Callable[..., T], *arguments: Any) -> T:
        result: T = await self._in_thread(work, *arguments)
        return result

    async def _pause(self, seconds: float) -> None:
        """Sleep, or be woken by `stop`."""
        if self._stop.is_set():
            return
        sleeping = asyncio.ensure_future(self._host.sleep(seconds))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()


def _transformed(chunk: Chunk, transform: Callable[[Chunk], Transformed]) -> tuple[Chunk, Transformed]:
    """As much of the chunk, from its beginning, as can be held at once, and what becomes of it."""
    while True:
        try:
            return chunk, transform(chunk)
        except TooMuchMadeError as error:
            chunk = chunk.before(error.offset)


def reader_of(key: InsertKey) -> str:
    """The name of an INSERT's cursors."""
    return f"{PIPELINE_READER}{key.id}" if key.pipeline_id else f"check-{key.id}"
