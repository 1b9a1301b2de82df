"""`edge streams fsck`: reads every byte of a partition's log, and makes a damaged one readable again.

Opening a stream scans its newest segment only; this scans them all. The caller holds the partition. A repair first
keeps the bytes that cannot be read in `dead/`, then puts a new segment in place of each damaged one, in which a frame
declares the records that are gone: no offset is given out twice, and a repair that is cut short can be run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from .disk import write_file
from .frames import BadFrameError, TornFrameError, find_good_frame_after, frame_head, lost_frames, parse_frame
from .recovery import keep_aside, reader_offsets
from .segments import HEADER_BYTES, SegmentHeader, base_offsets, is_torn_tail, segment_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .disk import Disk
    from .frames import Frame
    from .stream_folders import StreamFolder


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that cannot be read, records that are gone, or both."""

    path: Path
    start: int
    end: int
    reason: str
    first_offset: int
    next_offset: int
    """The same as `first_offset` when no record is gone."""

    @property
    def lost_count(self) -> int:
        return self.next_offset - self.first_offset


@dataclass(slots=True)
class PartitionReport:
    """What a check found."""

    number: int
    readers: dict[str, int]
    segment_count: int = 0
    size_bytes: int = 0
    record_count: int = 0
    declared_lost_count: int = 0
    next_offset: int = 0
    torn_bytes: int = 0
    """An unfinished write at the end of the newest segment: no damage."""
    damages: list[Damage] = field(default_factory=list)


def check_partition(
    folder: StreamFolder, number: int, on_bytes: Callable[[int], None] = lambda _: None
) -> PartitionReport:
    """Read the whole log of a partition; `on_bytes` hears of every segment's length when it was read.

    Raises:
        DamagedStreamError: a reader's cursor is no offset.
        BackendError: a newer Edge wrote the log.
        OSError: a file cannot be read.
    """
    check, bases = _Check(folder, number), base_offsets(folder.partition(number))
    for base, next_base in pairwise([*bases, None]):
        assert base is not None, "only the last is None"
        on_bytes(check.segment(base, next_base))
    check.finish(bases)
    return check.report


def repair_partition(folder: StreamFolder, report: PartitionReport, disk: Disk, now: float) -> list[Path]:
    """Make a partition readable again; returns the files that keep what was not."""
    kept = [
        keep_aside(folder, report.number, (damage.first_offset, damage.next_offset), content, disk)
        for damage in report.damages
        if (content := _bytes_of(damage))
    ]
    for path in dict.fromkeys(damage.path for damage in report.damages):
        damages = [damage for damage in report.damages if damage.path == path]
        first_offset, frames = _readable(path, damages, int(now * 1e6))
        new_path = segment_path(path.parent, first_offset)
        if frames:
            header = SegmentHeader(folder.id, report.number, first_offset).encode()
            write_file(disk, new_path, b"".join([header, *frames]))
        if not frames or new_path != path:
            disk.unlink(path)
            disk.sync_folder(path.parent)
    return kept


class _Check:
    def __init__(self, folder: StreamFolder, number: int) -> None:
        self._folder = folder
        self._path = folder.partition(number)
        self._end: tuple[Path, int] | None = None
        self.report = PartitionReport(number, reader_offsets(folder, number))

    def segment(self, base: int, next_base: int | None) -> int:
        """Walk one segment; returns its length."""
        report, path = self.report, segment_path(self._path, base)
        if not report.segment_count:
            report.next_offset = base
        elif base > report.next_offset:
            assert self._end is not None, "a segment came before"
            self._note(*self._end, self._end[1], f"offset {report.next_offset} is missing, {base} follows", base)
        data = path.read_bytes()
        report.segment_count += 1
        report.size_bytes += len(data)
        position = self._header(path, base, data, is_newest=next_base is None)
        while position < len(data):
            try:
                frame = parse_frame(data, position)
                reason = "" if frame.first_offset >= report.next_offset else "its records came before"
            except (TornFrameError, BadFrameError) as error:
                reason = str(error) or "a frame is cut short"
            if not reason:
                position = self._good(path, position, frame)
            elif next_base is None and is_torn_tail(data, position):
                report.torn_bytes = len(data) - position
                break
            else:
                position = self._bad(path, data, position, reason, next_base)
        self._end = (path, len(data) - report.torn_bytes)
        return len(data)

    def finish(self, bases: list[int]) -> None:
        """Compare with what the readers prove."""
        report = self.report
        for reader in self._folder.load_cursors(report.number):
            needed = report.readers[reader]
            if bases and needed < bases[0]:
                reason = f"the log begins here, but {reader!r} has not had what came from offset {needed} on"
                path = segment_path(self._path, needed)
                report.damages.insert(0, Damage(path, 0, 0, reason, needed, bases[0]))
                break
        reader = max(report.readers, key=report.readers.__getitem__)
        if (proven := report.readers[reader]) > report.next_offset:
            first = report.next_offset if bases else min(report.readers.values())
            path, start = self._end or (segment_path(self._path, first), 0)
            reason = f"the log ends at offset {report.next_offset}, but {reader!r} is at {proven}"
            report.damages.append(Damage(path, start, start + report.torn_bytes, reason, first, proven))
            report.next_offset, report.torn_bytes = proven, 0

    def _header(self, path: Path, base: int, data: bytes, *, is_newest: bool) -> int:
        header = SegmentHeader.decode(data)
        if header == SegmentHeader(self._folder.id, self.report.number, base):
            return HEADER_BYTES
        if header is not None:
            self._note(path, 0, len(data), "its header belongs to another stream, partition or offset", base)
            return len(data)
        found = find_good_frame_after(data, -1)
        if found is None and is_newest:  # the crash came between making the file and its header
            self.report.torn_bytes = len(data)
            return len(data)
        end = found[0] if found else len(data)
        self._note(path, 0, end, "its header is bad", self.report.next_offset)
        return end

    def _good(self, path: Path, position: int, frame: Frame) -> int:
        report = self.report
        if frame.first_offset > report.next_offset:
            reason = f"offset {report.next_offset} is missing, {frame.first_offset} follows"
            self._note(path, position, position, reason, frame.first_offset)
        report.next_offset = frame.next_offset
        if frame.is_lost:
            report.declared_lost_count += frame.count
        else:
            report.record_count += frame.count
        return position + frame.size_bytes

    def _bad(self, path: Path, data: bytes, position: int, reason: str, next_base: int | None) -> int:
        """Note what cannot be read up to the next frame that can; returns where that is."""
        at = position
        while found := find_good_frame_after(data, at):
            at, frame = found
            if frame.first_offset >= self.report.next_offset:
                self._note(path, position, at, reason, frame.first_offset)
                return at
        self._note(path, position, len(data), reason, max(next_base or 0, self.report.next_offset))
        return len(data)

    def _note(self, path: Path, start: int, end: int, reason: str, next_offset: int) -> None:
        self.report.damages.append(Damage(path, start, end, reason, self.report.next_offset, next_offset))
        self.report.next_offset = next_offset


def _bytes_of(damage: Damage) -> bytes:
    if damage.start == damage.end:
        return b""
    with damage.path.open("rb") as file:
        file.seek(damage.start)
        return file.read(damage.end - damage.start)


def _readable(path: Path, damages: list[Damage], ingested_at_us: int) -> tuple[int, list[bytes]]:
    """The good frames of a segment with what is declared lost between them, and the offset they begin at."""
    data = path.read_bytes() if path.exists() else b""
    frames: list[bytes] = []
    firsts: list[int] = []
    position = 0 if not data or damages[0].start == 0 < damages[0].end else HEADER_BYTES
    for end, damage in [*((damage.start, damage) for damage in damages), (len(data), None)]:
        while position < end:
            try:
                frame = parse_frame(data, position)
            except (TornFrameError, BadFrameError):  # the torn tail
                break
            firsts.append(frame.first_offset)
            frames += (_head_of(frame), frame.body)
            position += frame.size_bytes
        if damage is None:
            break
        if damage.lost_count:
            firsts.append(damage.first_offset)
            frames.append(lost_frames(damage.first_offset, damage.next_offset, ingested_at_us))
        position = damage.end
    return min(firsts, default=0), frames


def _head_of(frame: Frame) -> bytes:
    """Its own sync group: the frame is on disk, whatever happens to its neighbours."""
    return frame_head(
        first_offset=frame.first_offset,
        count=frame.count,
        ingested_at_us=frame.ingested_at_us,
        flags=frame.flags,
        extra=frame.extra,
        body=frame.body,
        group_offset=0,
    )
