"""Reads a stream's log in chunks for the INSERTs that take from it.

Several INSERTs of one stream read the same chunk once: whoever comes first reads it, and has its columns built, for
all that stand at the same place. They come to stand there by themselves, at the end of the log.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from ..stream_log.durable import durable_offset
from ..stream_log.frame_extra import parse_frame_extra
from ..stream_log.reader import PartitionReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..stream_log.frame_extra import FrameExtra
    from ..stream_log.frames import Frame
    from ..stream_log.stream_folders import StreamFolder
    from .columns import ChunkColumns

CHUNK_BYTES = 2 * 1024 * 1024
"""A chunk is closed once it is this long; a single frame may be longer."""
READERS_MAX = 64
"""Places in the log that are remembered, so that reading on needs no search."""


@dataclass(slots=True)
class Chunk:
    """Records of one partition, in order. Offsets `since` to `until`; those in holes are declared lost by the log."""

    partition: int
    since: int
    until: int = 0
    lost_count: int = 0
    bodies: list[bytes] = field(default_factory=list)
    """Newline-delimited JSON of each frame."""
    firsts: list[int] = field(default_factory=list)
    """Offset of each frame's first record here."""
    counts: list[int] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    extras: list[FrameExtra] = field(default_factory=list)
    """What each frame says of itself."""
    size_bytes: int = 0
    columns: ChunkColumns | None = None
    """Built by the first who asks (columns.py)."""

    @property
    def count(self) -> int:
        """Records there are."""
        return self.until - self.since - self.lost_count

    def offset_of(self, index: int) -> int:
        """The offset of the record at `index`, from 0."""
        for first, count in zip(self.firsts, self.counts, strict=True):
            if index < count:
                return first + index
            index -= count
        raise IndexError(index)

    def index_of(self, offset: int) -> int:
        """The index of the record at `offset`."""
        frame = bisect_right(self.firsts, offset) - 1
        return sum(self.counts[:frame]) + offset - self.firsts[frame]

    def records(self) -> list[bytes]:
        """Each record's JSON."""
        return b"".join(self.bodies).split(b"\n")[:-1]

    def before(self, offset: int) -> Chunk:
        """The part of it before `offset`."""
        part = Chunk(self.partition, self.since, offset)
        frames = zip(self.bodies, self.firsts, self.counts, self.times_us, self.extras, strict=True)
        for lines, first, count, time_us, extra in frames:
            if (left := offset - first) <= 0:
                break
            kept = lines if left >= count else b"".join(line + b"\n" for line in lines.split(b"\n")[:left])
            part.add(kept, first, min(left, count), time_us, extra)
        part.lost_count = offset - self.since - sum(part.counts)
        return part

    def add(self, lines: bytes, first: int, count: int, time_us: int, extra: FrameExtra) -> None:
        """Add records of a frame."""
        self.bodies.append(lines)
        self.firsts.append(first)
        self.counts.append(count)
        self.times_us.append(time_us)
        self.extras.append(extra)
        self.size_bytes += len(lines)

    def time_of(self, offset: int) -> float:
        """When the record at `offset` was accepted, Unix seconds."""
        return self.times_us[bisect_right(self.firsts, offset) - 1] / 1e6


class StreamFeed:
    """The chunks of one stream. Blocks; may be called from several threads."""

    def __init__(self, folder: StreamFolder, *, durable: Callable[[int], int] | None = None) -> None:
        self.folder = folder
        self.consumer_count = 0
        """How many INSERTs read: with one, no chunk is kept."""
        self._durable = durable or (lambda partition: durable_offset(folder.partition(partition)))
        self._readers: dict[tuple[int, int], PartitionReader] = {}
        self._newest: dict[int, Chunk] = {}
        self._lock = Lock()

    def partitions(self) -> tuple[int, ...]:
        return self.folder.partitions() if self.folder.path.is_dir() else ()

    def durable(self, partition: int) -> int:
        """Records below it are on disk."""
        return self._durable(partition)

    def next_chunk(self, partition: int, since: int) -> Chunk | None:
        """What follows `since`, durable records only; None when there is nothing.

        Raises:
            DamagedLogError: acknowledged records cannot be read.
        """
        with self._lock:
            kept = self._newest.get(partition)
            if kept is not None and kept.since == since:
                return kept
            if (end := self._durable(partition)) <= since:
                return None
            chunk = self._read(partition, since, end)
            if chunk.until == since:
                return None
            if self.consumer_count > 1:
                self._newest[partition] = chunk
            else:
                self._newest.clear()
            return chunk

    def _read(self, partition: int, since: int, end: int) -> Chunk:
        reader = self._readers.pop((partition, since), None)
        if reader is None:
            reader = PartitionReader(self.folder.partition(partition), since)
        chunk = Chunk(partition, since, since)
        for frame in reader.frames(end):
            _add(chunk, frame)
            if chunk.size_bytes >= CHUNK_BYTES:
                break
        if len(self._readers) >= READERS_MAX:
            self._readers.clear()
        self._readers[partition, chunk.until] = reader
        return chunk


def _add(chunk: Chunk, frame: Frame) -> None:
    first = max(frame.first_offset, chunk.until)
    chunk.lost_count += first - chunk.until  # trimmed before this reader came: nobody promised it these
    chunk.until = frame.next_offset
    if frame.is_lost:
        chunk.lost_count += frame.next_offset - first
        return
    lines = frame.lines()
    if (passed := first - frame.first_offset) > 0:  # a replay began inside the frame
        lines = b"".join(line + b"\n" for line in lines.split(b"\n")[passed:-1])
    chunk.add(lines, first, frame.next_offset - first, frame.ingested_at_us, parse_frame_extra(frame.extra))
