"""What opening a partition finds: where its log goes on, and whether acknowledged records are gone from it.

The log alone cannot show that its end is missing. Others can: a reader's cursor, the name of a delivered file and the
name of the newest segment each prove that every offset below it was given out. An offset below a proof is never given
out again. When every reader has had what is gone, nothing is lost for anyone: a frame of the log declares the hole (see
frames.py), what could not be read is kept in `dead/`, and the stream goes on. Else the stream stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from .disk import write_all, write_file
from .frames import lost_frames
from .segments import HEADER_BYTES, DamagedLogError, Scan, SegmentHeader, base_offsets, scan_segment, segment_path
from .stream_folders import FILES_READER, is_piped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .disk import Disk
    from .stream_folders import StreamFolder


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that the log no longer has, though every reader has had them."""

    first_offset: int
    next_offset: int
    kept: tuple[Path, ...]
    """Files with the bytes that could not be read."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the log goes on."""

    base_offset: int
    """Of the newest segment."""
    size_bytes: int
    """Of the newest segment; 0 when it is not there yet."""
    next_offset: int
    torn_bytes: int = 0
    loss: Loss | None = None


def recover(folder: StreamFolder, partition: int, disk: Disk, now: Callable[[], float]) -> Recovered:
    """Cut a torn tail, declare what is gone; blocks, and the caller holds the partition.

    Raises:
        DamagedStreamError: acknowledged records that a reader needs cannot be read, or a cursor cannot.
        OSError: the disk failed.
    """
    return _Recovery(folder, partition, disk, now).run()


def reader_offsets(folder: StreamFolder, partition: int) -> dict[str, int]:
    """The next offset of every reader, by all that is known."""
    cursors = folder.load_cursors(partition)
    if is_piped(cursors):
        return cursors
    return {**cursors, FILES_READER: max(cursors.get(FILES_READER, 0), folder.delivered_until(partition))}


def keep_aside(folder: StreamFolder, partition: int, offsets: tuple[int, int], content: bytes, disk: Disk) -> Path:
    """Keep bytes of the log that cannot be read, durably, under a name of their own; `offsets` is first and next."""
    disk.make_folder(folder.dead)
    name = f"{partition}-{offsets[0]:020d}-{max(offsets[0], offsets[1] - 1):020d}"
    names = (f"{name}.damaged" if n == 0 else f"{name}.{n}.damaged" for n in count())
    path = next(path for each in names if not (path := folder.dead / each).exists())
    write_file(disk, path, content)
    return path


class _Recovery:
    def __init__(self, folder: StreamFolder, partition: int, disk: Disk, now: Callable[[], float]) -> None:
        self._folder = folder
        self._path = folder.partition(partition)
        self._partition = partition
        self._disk = disk
        self._now_us = int(now() * 1e6)
        self._readers = reader_offsets(folder, partition)
        self._headless: list[int] = []
        """Base offsets of newest segments without a header: a crash leaves at most one, at the end of the log."""

    def run(self) -> Recovered:
        bases = base_offsets(self._path)
        self._require_oldest(bases)
        while bases:
            base_offset = bases.pop()
            path = segment_path(self._path, base_offset)
            data = path.read_bytes()
            scan = scan_segment(path, data, self._header(base_offset))
            if scan is not None:
                return self._go_on(path, base_offset, data, scan)
            self._headless.append(base_offset)
        return self._begin()

    def _require_oldest(self, bases: list[int]) -> None:
        """Records are trimmed only behind every cursor."""
        cursors = self._folder.load_cursors(self._partition)
        for reader in cursors:
            if bases and (needed := self._readers[reader]) < bases[0]:
                reason = f"the log begins here, but {reader!r} has not had what came from offset {needed} on"
                raise DamagedLogError(segment_path(self._path, bases[0]), 0, reason)

    def _go_on(self, path: Path, base_offset: int, data: bytes, scan: Scan) -> Recovered:
        """Write behind the newest good segment."""
        end = scan.next_offset
        if self._headless and (lowest := min(self._headless)) < end:
            reason = f"its name says offset {lowest}, but the segment before it ends at {end}"
            raise DamagedLogError(segment_path(self._path, lowest), 0, reason)
        proven = self._proven(end)
        loss, gap = None, b""
        if proven > end:
            self._require_delivered(path, scan.end, end, proven)
            tail = data[scan.end :]
            kept = [keep_aside(self._folder, self._partition, (end, proven), tail, self._disk)] if tail else []
            loss = Loss(end, proven, (*kept, *self._keep_headless(proven)))
            gap = lost_frames(end, proven, self._now_us)
        self._remove_headless()
        descriptor = self._disk.open(path)
        try:
            if len(data) > scan.end:
                self._disk.truncate(descriptor, scan.end)
            if gap:
                write_all(self._disk, descriptor, [gap])
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        return Recovered(base_offset, scan.end + len(gap), proven, len(data) - scan.end, loss)

    def _begin(self) -> Recovered:
        """There is no good segment: a new partition, or everything is gone."""
        proven = self._proven(0)
        if proven:
            self._require_delivered(segment_path(self._path, proven), 0, 0, proven)
        loss = None
        if proven and self._headless != [proven]:  # else the crash came between making the file and its header
            loss = Loss(0, proven, self._keep_headless(proven))
        self._remove_headless()
        if loss is None:
            return Recovered(proven, 0, proven)
        write_file(self._disk, segment_path(self._path, proven), self._header(proven).encode())
        return Recovered(proven, HEADER_BYTES, proven, loss=loss)

    def _proven(self, end: int) -> int:
        delivered = self._folder.delivered_until(self._partition)
        return max(end, delivered, *self._readers.values(), *self._headless)

    def _require_delivered(self, path: Path, position: int, end: int, proven: int) -> None:
        behind = sorted(reader for reader, offset in self._readers.items() if offset < proven)
        if behind:
            reason = f"it ends at offset {end}, but {proven} was reached, and {', '.join(behind)} has not had all of it"
            raise DamagedLogError(path, position, reason)

    def _keep_headless(self, proven: int) -> tuple[Path, ...]:
        contents = ((base, segment_path(self._path, base).read_bytes()) for base in self._headless)
        return tuple(
            keep_aside(self._folder, self._partition, (base, proven), content, self._disk)
            for base, content in contents
            if content
        )

    def _remove_headless(self) -> None:
        for base_offset in self._headless:
            self._disk.unlink(segment_path(self._path, base_offset))
        if self._headless:
            self._disk.sync_folder(self._path)

    def _header(self, base_offset: int) -> SegmentHeader:
        return SegmentHeader(self._folder.id, self._partition, base_offset)
