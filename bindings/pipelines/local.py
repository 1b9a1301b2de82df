"""Streams on this machine's disk: one partition of the log per process, delivered to NDJSON files by default."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BackendError
from ..spec import Opened
from .batcher import Backlog, RollPolicy, decide_roll
from .disk import Disk
from .drain import OrphanDrain
from .exporter import FILES_BYTES_MAX, FileExporter, remove_oldest_files
from .lock import PartitionInUseError
from .log import DamagedStreamError
from .partition import PartitionLog
from .segments import DamagedLogError
from .stream import Stream
from .stream_folders import StreamFolders, stream_id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence

    from ...runtime.core.host import LocalHost
    from ..spec import Site
    from . import PipelineEntry
    from .records import Batch
    from .recovery import Loss

CHECK_SECONDS = 1.0
"""How often it is asked whether a file is due."""
DRAIN_SECONDS = 15.0
"""How often slot 0 looks for partitions without an owner, besides at its start and at its end."""
DRAIN_WAIT_SECONDS = 10.0
"""How long an owner waits for a drain of its partition to end."""


@asynccontextmanager
async def open_binding(entries: Sequence[PipelineEntry], site: Site) -> AsyncIterator[Opened]:
    """Open each entry's stream; an unknown one is created, unstructured.

    Raises:
        BackendError: another process holds a partition, or the state folder cannot be written.
    """
    host: LocalHost = site.host
    folders = StreamFolders(host.state_dir)
    async with AsyncExitStack() as stack:
        streams: dict[str, LocalStream | StoppedStream] = {}
        for entry in entries:
            key = ("pipelines", stream_id_of(entry.stream_id))
            streams[entry.binding] = await stack.enter_async_context(
                host.lease(key, lambda value=entry.stream_id: _open_stream(value, folders, host))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            )
        orphans = Orphans(host, folders)
        try:
            yield Opened(
                env={name: Stream(stream) for name, stream in streams.items()},
                resources={entry.binding: entry.stream_id for entry in entries},
                sources=[Delivery(host, folders, {s for s in streams.values() if isinstance(s, LocalStream)}), orphans],
                admin=folders,
            )
        finally:
            await orphans.drain()


class LocalStream:
    """This process's partition of one stream: its log, and the files its records go to."""

    def __init__(self, name: str, log: PartitionLog, exporter: FileExporter, policy: RollPolicy) -> None:
        self.name = name
        self.failure: BackendError | None = None
        """Why the stream is stopped: its log is damaged."""
        self._log = log
        self._exporter = exporter
        self._policy = policy
        self._waiting_since: float | None = None
        self._delivered_bytes = 0
        self._is_first = True

    def append(self, batch: Batch) -> Awaitable[None]:
        if self.failure is not None:
            raise BackendError(str(self.failure))
        return self._log.append(batch)

    def is_due(self, now: float) -> bool:
        """Whether to deliver now. The interval counts from when waiting records were first seen here."""
        record_count = self._log.durable_offset - self._exporter.offset
        if self.failure is not None or record_count <= 0:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        backlog = Backlog(record_count, self._log.durable_bytes - self._delivered_bytes, self._waiting_since)
        return decide_roll(self._policy, backlog, now, is_first=self._is_first)

    def deliver(self) -> int:
        """Write what is durable to files; blocks. Returns how many records.

        Raises:
            OSError: the files could not be written; the records stay in the log.
            DamagedLogError: the log cannot be read; the stream is stopped.
        """
        until, until_bytes = self._log.durable_offset, self._log.durable_bytes
        self._waiting_since = None
        try:
            count = self._exporter.export(until)
        except DamagedLogError as error:
            self.failure = error
            raise
        self._delivered_bytes, self._is_first = until_bytes, False
        return count

    def close(self) -> None:
        """Stop the writer, deliver the rest, let go of the partition; blocks."""
        try:
            self._log.stop()
            if self.failure is None:
                self.deliver()
        finally:
            self._log.close()


class StoppedStream:
    """A stream that was found damaged on opening: everything else runs, its sends say why they fail."""

    def __init__(self, failure: DamagedStreamError) -> None:
        self._failure = failure

    def append(self, batch: Batch) -> Awaitable[None]:  # noqa: ARG002 - the StreamLog port's signature
        raise BackendError(str(self._failure))


@asynccontextmanager
async def _open_stream(
    id_or_name: str, folders: StreamFolders, host: LocalHost
) -> AsyncIterator[LocalStream | StoppedStream]:
    try:
        stream = await _open_partition(id_or_name, folders, host)
    except DamagedStreamError as error:
        host.log.error("stream_stopped", stream=id_or_name, error=str(error))
        yield StoppedStream(error)
        return
    try:
        yield stream
    finally:
        try:
            await asyncio.to_thread(stream.close)
        except (OSError, BackendError) as error:
            host.log.error("records_not_delivered", stream=id_or_name, exc_info=error)


async def _open_partition(id_or_name: str, folders: StreamFolders, host: LocalHost) -> LocalStream:
    disk, folder, partition = Disk(), folders.folder(id_or_name), host.process_slot
    path = folder.partition(partition)
    log = PartitionLog(path, folder.id, partition, now=host.now, disk=disk)
    loop = asyncio.get_running_loop()
    waits_left = int(DRAIN_WAIT_SECONDS / 0.1)
    while True:
        try:
            await asyncio.to_thread(folder.save_meta, id_or_name, host.now(), disk)
            await asyncio.to_thread(log.open, loop)
            exporter = await asyncio.to_thread(FileExporter, folder, partition, disk)
            break
        except PartitionInUseError as error:
            if not error.is_draining or waits_left == 0:
                raise
        except OSError as error:
            log.close()
            raise BackendError(f"Stream folder {folder.path} cannot be used: {error.strerror or error}.") from error
        except BackendError:
            log.close()
            raise
        waits_left -= 1
        await host.sleep(0.1)
    if log.loss:
        host.log.error("acknowledged_records_gone", stream=id_or_name, partition=partition, **_told(log.loss))
    elif log.torn_bytes:
        host.log.warning("torn_tail_cut", stream=id_or_name, partition=partition, size_bytes=log.torn_bytes)
    if exporter.is_cursor_rebuilt:
        host.log.warning("cursor_rebuilt", stream=id_or_name, partition=partition, offset=exporter.offset)
    host.log.info(
        "stream_opened",
        stream=id_or_name,
        stream_id=folder.id,
        partition=partition,
        next_offset=log.durable_offset,
        files=str(folder.files),
        files_bytes_max=FILES_BYTES_MAX,
    )
    return LocalStream(id_or_name, log, exporter, RollPolicy())


class Delivery:
    """Source: writes records out as files when they are due, keeps the files' total bounded."""

    def __init__(self, host: LocalHost, folders: StreamFolders, streams: Iterable[LocalStream]) -> None:
        self._host = host
        self._folders = folders
        self._streams = tuple(streams)
        self._disk = Disk()

    async def run(self) -> None:
        while True:
            await self._host.sleep(CHECK_SECONDS)
            for stream in self._streams:
                if stream.is_due(self._host.now()):
                    await self._deliver(stream)

    async def _deliver(self, stream: LocalStream) -> None:
        try:
            count = await asyncio.to_thread(stream.deliver)
            await asyncio.to_thread(self._remove_oldest)
        except DamagedLogError as error:
            self._host.log.error("stream_stopped", stream=stream.name, error=str(error))
        except (OSError, BackendError) as error:  # a full disk: the records stay in the log, the next round tries again
            self._host.log.warning("records_not_delivered", stream=stream.name, error=str(error))
        else:
            self._host.log.debug("records_delivered", stream=stream.name, record_count=count)

    def _remove_oldest(self) -> None:
        files = (path for folder in self._folders.all() for path in folder.files.glob("*.ndjson"))
        for path in remove_oldest_files(files, FILES_BYTES_MAX, self._disk):
            self._host.log.warning("oldest_file_removed", file=str(path), files_bytes_max=FILES_BYTES_MAX)


class Orphans:
    """Source of slot 0: delivers what partitions hold that no process owns."""

    def __init__(self, host: LocalHost, folders: StreamFolders) -> None:
        self._host = host
        self._drain = OrphanDrain(folders, Disk(), host.now)

    async def run(self) -> None:
        while True:
            await self.drain()
            await self._host.sleep(DRAIN_SECONDS)

    async def drain(self) -> None:
        """Look once. A sibling that wants a partition meanwhile waits (DRAIN_WAIT_SECONDS)."""
        if self._host.process_slot != 0:
            return
        for orphan in await asyncio.to_thread(self._drain.run_once):
            which = {"stream_id": orphan.stream_id, "partition": orphan.partition}
            if orphan.loss:
                self._host.log.error("acknowledged_records_gone", **which, **_told(orphan.loss))
            if orphan.failure:
                self._host.log.error("orphan_not_drained", **which, error=str(orphan.failure))
            else:
                self._host.log.info("orphan_drained", **which, record_count=orphan.record_count)


def _told(loss: Loss) -> dict[str, Any]:
    """What one line says of records that are gone from the log."""
    return {
        "lost_count": loss.next_offset - loss.first_offset,
        "first_offset": loss.first_offset,
        "last_offset": loss.next_offset - 1,
        "kept": [str(path) for path in loss.kept],
        "meaning": "The log no longer has these records. All of them are delivered; new ones get later offsets.",
    }
