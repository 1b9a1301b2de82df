"""One partition of a stream's log on disk: one lock, one writer thread, group commit.

Theory of operation. `append` numbers nothing and waits for nothing: it hands the frame to the writer thread. The writer
takes whatever is waiting, gives it offsets, writes it with one `writev` and syncs it once; meanwhile the next group
collects. Nobody lingers for company. Futures are resolved on the loop, one wake-up a group, after the sync returned.

After any error every frame of the group fails, the descriptor is closed, and what the failed write left behind is cut
before the next append, on a new descriptor: a sync is never repeated, because the kernel drops dirty pages after a
failed one and the second call would answer success. Readers keep reading throughout.

A crash leaves at most a torn tail, which `open` cuts. What `open` keeps it syncs, as it may so far be in memory only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from ..log import LogBusyError
from ..observability.log_figures import LogFigures
from .disk import Disk, http_status_of, write_all
from .durable import DurableMark
from .frames import FLAG_LINES, frame_head
from .lock import lock_partition
from .recovery import Loss, recover
from .segments import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    DamagedLogError,
    SegmentHeader,
    scan_segment,
    segment_path,
)
from .stream_folders import StreamFolder

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from .recovery import Recovered

UNSYNCED_BYTES_MAX = 64 * 1024 * 1024
"""In memory, accepted but not yet on disk; beyond it `append` refuses."""
GROUP_BYTES_MAX = 8 * 1024 * 1024
"""One sync group; bounds how long the first frame of a group waits for the write of the last."""
DISK_RESERVE_BYTES = 16 * 1024 * 1024
"""The last free bytes of a disk are not for records: delivering them to files and committing what was delivered need
room, and only that lets go of the log. Source: spec "Pipelines" 5.3."""


@dataclass(slots=True)
class _Pending:
    """Not frozen: one is made for every request, and freezing takes longer than all the rest of making it."""

    body: bytes
    count: int
    flags: int
    extra: bytes
    ingested_at_us: int
    done: asyncio.Future[None]


class PartitionLog:
    """An open partition. `open` and `close` block; `append` belongs to the event loop it was opened for."""

    def __init__(
        self,
        folder: Path,
        stream_id: str,
        partition: int,
        *,
        now: Callable[[], float],
        disk: Disk | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.folder = folder
        self.durable_offset = 0
        """The next offset: every record below it is on disk."""
        self.durable_bytes = 0
        """Frame bytes written since opening."""
        self.torn_bytes = 0
        """What `open` cut from the tail."""
        self.loss: Loss | None = None
        """Delivered records that `open` found gone from the log."""
        self.figures = LogFigures()
        self._stream_id = stream_id
        self._partition = partition
        self._now = now
        self._disk = disk or Disk()
        self._segment_bytes = segment_bytes
        self._base_offset = 0
        self._size_bytes = 0  # of the newest segment, durable
        self._descriptor: int | None = None
        self._is_suspect = False  # a sync failed: scan before the next write
        self._lock: int | None = None
        self._mark: DurableMark | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()
        self._unsynced_bytes = 0
        self._writer: Thread | None = None

    def open(self, loop: asyncio.AbstractEventLoop | None = None, *, purpose: str = "") -> None:
        """Take the lock, cut a torn tail, and start the writer if there is a loop to answer to.

        Raises:
            PartitionInUseError: another process has it.
            DamagedLogError: acknowledged records cannot be read.
            BackendError: the folder cannot be used.
        """
        try:
            self._disk.make_folder(self.folder)
            self._lock = lock_partition(self.folder, purpose)
            self._go_on_from(recover(StreamFolder(self.folder.parent), self._partition, self._disk, self._now))
            self._mark = DurableMark(self.folder)
            self._mark.set(self.durable_offset)
        except OSError as error:
            self.close()
            failure = BackendError(f"Stream log {self.folder} cannot be opened: {error.strerror or error}.")
            failure.http_status = http_status_of(error)
            raise failure from error
        except BackendError:
            self.close()
            raise
        if loop is not None:
            self._loop = loop
            self._writer = Thread(target=self._run, name=f"stream-log-{self.folder.name}", daemon=True)
            self._writer.start()

    @property
    def unsynced_bytes(self) -> int:
        """Waiting for the disk, in memory."""
        return self._unsynced_bytes

    def append(self, body: bytes, count: int, *, is_lines: bool = True, extra: bytes = b"") -> asyncio.Future[None]:
        """Hand one frame to the writer; the future is done when it is on disk (log.py says what it may raise).

        Args:
            body: `count` records, one a line, or as a JSON array when not `is_lines`.
        """
        assert self._loop is not None, "an open partition has a loop"
        if self._unsynced_bytes + len(body) > UNSYNCED_BYTES_MAX:
            msg = (
                f"Stream log {self.folder} has {self._unsynced_bytes:,} bytes waiting for the disk, at most "
                f"{UNSYNCED_BYTES_MAX:,} may wait. Nothing of this send was kept; send it again a little later."
            )
            raise LogBusyError(msg)
        self._unsynced_bytes += len(body)
        done = self._loop.create_future()
        flags = FLAG_LINES if is_lines else 0
        self._queue.put(_Pending(body, count, flags, extra, int(self._now() * 1e6), done))
        return done

    def stop(self) -> None:
        """Write what is waiting and end the writer; the lock stays. May be called twice."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._drop_descriptor()

    def close(self) -> None:
        """Stop, and let go of the lock. May be called twice."""
        self.stop()
        if self._mark is not None:
            self._mark.close()
            self._mark = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _run(self) -> None:
        is_open = True
        while is_open and (first := self._queue.get()) is not None:
            group, size_bytes = [first], len(first.body)
            while size_bytes < GROUP_BYTES_MAX:
                try:
                    pending = self._queue.get_nowait()
                except Empty:
                    break
                if pending is None:
                    is_open = False
                    break
                group.append(pending)
                size_bytes += len(pending.body)
            failure = self._write(group)
            assert self._loop is not None, "the writer runs for a loop"
            self._loop.call_soon_threadsafe(self._settle, group, failure)

    def _settle(self, group: list[_Pending], failure: BackendError | None) -> None:
        if failure is None:
            now_us = int(self._now() * 1e6)
            self.figures.acks_us.add([now_us - pending.ingested_at_us for pending in group])
        for pending in group:
            self._unsynced_bytes -= len(pending.body)
            if pending.done.done():  # its sender was cancelled
                continue
            if failure is None:
                pending.done.set_result(None)
            else:  # each sender its own, as a raised exception collects the raiser's traceback
                own = BackendError(*failure.args)
                own.__cause__, own.http_status = failure.__cause__, failure.http_status
                pending.done.set_exception(own)

    def _write(self, group: list[_Pending]) -> BackendError | None:
        """Make a group durable. An error is returned, not raised: it belongs to the senders."""
        try:
            buffers, size_bytes, next_offset = self._frames(group)
            if (free_bytes := self._disk.free_bytes(self.folder)) < DISK_RESERVE_BYTES:
                return self._disk_is_low(free_bytes)
            descriptor = self._writable_segment()
            write_all(self._disk, descriptor, buffers)
            self._is_suspect = True
            began_at = self._now()
            self._disk.sync(descriptor)
            self._is_suspect = False
            self.figures.syncs_us.add([int((self._now() - began_at) * 1e6)])
            self.figures.group_sizes.add([len(group)])
        except Exception as error:  # noqa: BLE001 - the border of the writer thread: senders must hear of anything
            self._drop_descriptor()
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            failure = BackendError(
                f"Stream log {self.folder} could not be written: {reason}. Nothing was acknowledged; it is safe to "
                f"send again. The log goes on by itself once the disk does."
            )
            failure.__cause__, failure.http_status = error, http_status_of(error)
            return failure
        self._size_bytes += size_bytes
        self.durable_bytes += size_bytes
        self.durable_offset = next_offset
        assert self._mark is not None, "an open partition has its mark"
        self._mark.set(next_offset)
        return None

    def _disk_is_low(self, free_bytes: int) -> BackendError:
        refusal = BackendError(
            f"Stream log {self.folder} takes no records: its disk has {free_bytes:,} bytes free, and the last "
            f"{DISK_RESERVE_BYTES:,} are kept for delivering what is there. Nothing of this send was kept. Free some "
            f"space; nothing needs a restart."
        )
        refusal.http_status = 507
        return refusal

    def _frames(self, group: list[_Pending]) -> tuple[list[bytes], int, int]:
        """Buffers to write, their size, and the offset after them."""
        buffers: list[bytes] = []
        offset, size_bytes = self.durable_offset, 0
        for pending in group:
            head = frame_head(
                first_offset=offset,
                count=pending.count,
                ingested_at_us=pending.ingested_at_us,
                flags=pending.flags,
                extra=pending.extra,
                body=pending.body,
                group_offset=size_bytes,
            )
            buffers += (head, pending.body)
            size_bytes += len(head) + len(pending.body)
            offset += pending.count
        return buffers, size_bytes, offset

    def _writable_segment(self) -> int:
        """The newest segment, whole and not full."""
        if self._size_bytes >= self._segment_bytes:
            self._start_segment(self.durable_offset)
        elif self._descriptor is None and self._size_bytes < HEADER_BYTES:
            self._start_segment(self._base_offset)
        elif self._descriptor is None:
            self._reopen_segment()
        assert self._descriptor is not None, "a segment was opened"
        return self._descriptor

    def _start_segment(self, base_offset: int) -> None:
        self._drop_descriptor()
        self._base_offset, self._size_bytes = base_offset, 0
        self._descriptor = self._disk.create(segment_path(self.folder, base_offset))
        header = SegmentHeader(self._stream_id, self._partition, base_offset).encode()
        write_all(self._disk, self._descriptor, [header])
        self._disk.sync(self._descriptor)
        self._disk.sync_folder(self.folder)
        self._size_bytes = HEADER_BYTES

    def _reopen_segment(self) -> None:
        """After an error: cut what the failed group left; after a failed sync also read back what must be there."""
        path = segment_path(self.folder, self._base_offset)
        self._descriptor = self._disk.open(path)
        self._disk.truncate(self._descriptor, self._size_bytes)
        self._disk.sync(self._descriptor)
        if self._is_suspect:
            scan = scan_segment(path, path.read_bytes(), self._header(self._base_offset))
            if scan is None or scan.end != self._size_bytes:
                raise DamagedLogError(path, scan.end if scan else 0, "a sync failed and took older records with it")
            self._is_suspect = False

    def _go_on_from(self, found: Recovered) -> None:
        self._base_offset, self._size_bytes = found.base_offset, found.size_bytes
        self.durable_offset, self.torn_bytes, self.loss = found.next_offset, found.torn_bytes, found.loss
        self.figures.noted_offset = found.next_offset

    def _header(self, base_offset: int) -> SegmentHeader:
        return SegmentHeader(self._stream_id, self._partition, base_offset)

    def _drop_descriptor(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                self._disk.close(descriptor)
            except OSError:  # the descriptor is gone either way; what it wrote was never acknowledged
                self._is_suspect = True
