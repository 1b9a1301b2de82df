"""The streams this process has open: one partition each, opened on first use, whoever asks first.

A binding asks for its stream at start, an HTTP endpoint when the first request names one, so streams created at run
time need no restart. What is open outlives a config reload (a lease of the host); what the catalogue says of a stream
(its HTTP settings, its limits, whether it is still there) is looked up again when the catalogue's version has changed.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BackendError
from .batcher import Backlog, RollPolicy, decide_roll
from .catalogue import NoSuchObjectError, ObjectExistsError
from .ids import id_of
from .log import DamagedStreamError
from .objects import HttpIngest, StreamObject
from .observability.log_figures import LogFigures
from .stream_log.disk import Disk
from .stream_log.exporter import FILES_BYTES_MAX, FileExporter
from .stream_log.lock import PartitionInUseError
from .stream_log.partition import PartitionLog
from .stream_log.segments import DamagedLogError, base_offsets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from typing import Self

    from ...runtime.core.host import LocalHost
    from .catalogue import Catalogue
    from .stream_log.recovery import Loss
    from .stream_log.stream_folders import StreamFolders

POLL_SECONDS = 0.1
"""How soon a change of a stream that is in use is noticed; asking for every request took a fifth of its time."""
DRAIN_WAIT_SECONDS = 10.0
"""How long an owner waits for a drain of its partition to end."""


class OpenStreams:
    """Finds streams by id or name and opens them. An async context manager; leaving it lets go of every stream."""

    def __init__(self, host: LocalHost, folders: StreamFolders, catalogue: Catalogue) -> None:
        self._host = host
        self._folders = folders
        self._catalogue = catalogue
        self._version = -1
        self._looked_at = 0.0
        self._found: dict[str, OpenStream] = {}
        self._open: dict[str, OpenStream] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._found.clear()
        self._open.clear()
        await self._stack.aclose()

    def opened(self) -> tuple[OpenStream, ...]:
        """The streams that are open now."""
        return tuple(self._open.values())

    async def find(self, id_or_name: str) -> OpenStream | None:
        """The stream, open; None when there is none.

        Raises:
            BackendError: another process holds its partition, or the state folder cannot be written.
        """
        self._look_for_changes()
        if (stream := self._found.get(id_or_name)) is not None:
            return stream
        if (known := self._catalogue.stream(id_or_name)) is None:
            return None
        stream = self._found[id_or_name] = await self._opened(known)
        return stream

    async def require(self, id_or_name: str) -> OpenStream:
        """The stream, open.

        Raises:
            NoSuchObjectError: there is none.
            BackendError: another process holds its partition, or the state folder cannot be written.
        """
        if (stream := await self.find(id_or_name)) is None:
            raise NoSuchObjectError("stream", id_or_name, (known.name for known in self._catalogue.streams()))
        return stream

    def has_deleted(self, stream: OpenStream) -> bool:
        """Whether an open stream is no more, as of POLL_SECONDS ago at most; asked for every `send`."""
        self._look_for_changes()
        return stream.is_deleted

    async def bound(self, id_or_name: str) -> OpenStream:
        """The stream a binding names, open. One that nobody declared is created: unstructured, without HTTP ingest.

        Raises:
            BackendError: as `require`.
        """
        if self._catalogue.stream(id_or_name) is None:
            with suppress(ObjectExistsError):  # another process was faster
                self._catalogue.add_stream(self._undeclared(id_or_name))
        return await self.require(id_or_name)

    async def resume(self) -> None:
        """Open again what this process's predecessor wrote to, so that it is not drained as nobody's meanwhile.

        Raises:
            BackendError: as `require`.
        """
        for known in self._catalogue.streams():
            if base_offsets(self._folders.folder(known.id).partition(self._host.process_slot)):
                await self._opened(known)

    def _look_for_changes(self) -> None:
        now = self._host.now()
        if abs(now - self._looked_at) < POLL_SECONDS:  # abs: the clock may have been set back
            return
        self._looked_at = now
        if (version := self._catalogue.version()) != self._version:
            self._found.clear()
            for stream in self._open.values():
                known = self._catalogue.stream(stream.object.id)
                stream.is_deleted = known is None
                stream.object = known or stream.object
            self._version = version

    def _undeclared(self, id_or_name: str) -> StreamObject:
        return StreamObject(
            id=id_of("stream", id_or_name),
            name=id_or_name,
            created_at=self._host.now(),
            modified_at=self._host.now(),
            http=HttpIngest(enabled=False),
            origin="binding",
        )

    async def _opened(self, known: StreamObject) -> OpenStream:
        async with self._opening:
            if (stream := self._open.get(known.id)) is None:
                log = await self._stack.enter_async_context(
                    self._host.lease(("pipelines", known.id), lambda: _open_log(known, self._folders, self._host))
                )
                stream = self._open[known.id] = OpenStream(known, log)
            stream.object = known
            return stream


class OpenStream:
    """One stream with this process's partition of it."""

    def __init__(self, known: StreamObject, log: LocalStream | StoppedStream) -> None:
        self.object = known
        """As the catalogue has it."""
        self.is_deleted = False
        """The catalogue has it no more: its log is held, and goes when this process ends."""
        self.log = log
        self._undelivered_bytes = 0
        self._looked_at_bytes = 0

    @property
    def undelivered_bytes(self) -> int:
        """Of the log, what the slowest reader does not have yet: as last looked at, and what came since."""
        return self._undelivered_bytes + self.log.durable_bytes - self._looked_at_bytes

    def note_undelivered(self, undelivered_bytes: int, at_durable_bytes: int) -> None:
        """What a look at the disk found, when the log had written so many bytes."""
        self._undelivered_bytes, self._looked_at_bytes = undelivered_bytes, at_durable_bytes

    def append(self, body: bytes, count: int, *, is_lines: bool, extra: bytes = b"") -> Awaitable[None]:
        """Keep a request's records as one frame, whole or not at all; done once they are on disk.

        Args:
            body: one record a line when `is_lines`, else a JSON array.
            extra: of the frame (frame_extra.py).

        Raises:
            LogBusyError, BackendError: as StreamLog.append.
        """
        return self.log.append(body, count, is_lines=is_lines, extra=extra)


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

    @property
    def durable_offset(self) -> int:
        """The next offset of this partition: every record below it is on disk."""
        return self._log.durable_offset

    @property
    def durable_bytes(self) -> int:
        """Frame bytes written since opening."""
        return self._log.durable_bytes

    @property
    def unsynced_bytes(self) -> int:
        """Waiting for the disk, in memory."""
        return self._log.unsynced_bytes

    @property
    def figures(self) -> LogFigures:
        """What the log measures of itself."""
        return self._log.figures

    def append(self, body: bytes, count: int, *, is_lines: bool, extra: bytes = b"") -> Awaitable[None]:
        if self.failure is not None:
            raise BackendError(str(self.failure))
        return self._log.append(body, count, is_lines=is_lines, extra=extra)

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

    durable_offset = 0
    durable_bytes = 0
    unsynced_bytes = 0

    def __init__(self, failure: DamagedStreamError) -> None:
        self._failure = failure
        self.figures = LogFigures()

    def append(self, body: bytes, count: int, *, is_lines: bool, extra: bytes = b"") -> Awaitable[None]:  # noqa: ARG002 - LocalStream's signature
        raise BackendError(str(self._failure))


def loss_values(loss: Loss) -> dict[str, Any]:
    """What a log line says of records that are gone from the log."""
    return {
        "lost_count": loss.next_offset - loss.first_offset,
        "first_offset": loss.first_offset,
        "last_offset": loss.next_offset - 1,
        "kept": [str(path) for path in loss.kept],
        "meaning": "The log no longer has these records. All of them are delivered; new ones get later offsets.",
    }


@asynccontextmanager
async def _open_log(
    known: StreamObject, folders: StreamFolders, host: LocalHost
) -> AsyncIterator[LocalStream | StoppedStream]:
    try:
        stream = await _open_partition(known, folders, host)
    except DamagedStreamError as error:
        host.log.error("stream_stopped", stream=known.name, error=str(error))
        yield StoppedStream(error)
        return
    try:
        yield stream
    finally:
        try:
            await asyncio.to_thread(stream.close)
        except (OSError, BackendError) as error:
            host.log.error("records_not_delivered", stream=known.name, exc_info=error)


async def _open_partition(known: StreamObject, folders: StreamFolders, host: LocalHost) -> LocalStream:
    disk, folder, partition = Disk(), folders.folder(known.id), host.process_slot
    log = PartitionLog(folder.partition(partition), folder.id, partition, now=host.now, disk=disk)
    loop = asyncio.get_running_loop()
    waits_left = int(DRAIN_WAIT_SECONDS / 0.1)
    while True:
        try:
            await asyncio.to_thread(folder.save_meta, known.name, host.now(), disk)
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
        host.log.error("acknowledged_records_gone", stream=known.name, partition=partition, **loss_values(log.loss))
    elif log.torn_bytes:
        host.log.warning("torn_tail_cut", stream=known.name, partition=partition, size_bytes=log.torn_bytes)
    if exporter.is_cursor_rebuilt:
        host.log.warning("cursor_rebuilt", stream=known.name, partition=partition, offset=exporter.offset)
    host.log.info(
        "stream_opened",
        stream=known.name,
        stream_id=folder.id,
        partition=partition,
        next_offset=log.durable_offset,
        files=str(folder.files),
        files_bytes_max=FILES_BYTES_MAX,
    )
    return LocalStream(known.name, log, exporter, RollPolicy())
