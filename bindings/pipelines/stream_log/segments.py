"""Segment files of one partition: `<base offset, 20 digits>.log`, a header, then frames.

Only the newest segment is ever written, so only it can have a torn tail and only it is scanned on opening;
SEGMENT_BYTES keeps that well under a second, however many unread records older segments hold. A new segment's header is
on disk before its first frame is written: a segment without a good header holds no records.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from ....runtime.core.errors import BackendError
from ..log import DamagedStreamError
from .frames import BadFrameError, TornFrameError, find_good_frame_after, parse_frame

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT_BYTES = 64 * 1024 * 1024
"""A segment is sealed once it is this long."""
FORMAT = 1
MAGIC = b"EDGELOG\0"
_HEADER = struct.Struct("<8sHH16sIQ16sI")
HEADER_BYTES = _HEADER.size
NO_SCHEMA = bytes(16)
"""Schema hash of an unstructured stream."""


class DamagedLogError(DamagedStreamError):
    """Raised when acknowledged records cannot be read. Nothing is skipped: the stream stops until someone decides."""

    def __init__(self, path: Path, position: int, reason: str) -> None:
        stream_id = path.parent.parent.name
        super().__init__(
            f"Stream log {path} is damaged at byte {position}: {reason}. Records that were acknowledged may be lost, "
            f"so the stream is stopped. Look at it with: edge streams fsck {stream_id}"
        )
        self.path = path
        self.position = position


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself."""

    stream_id: str
    """32 hex digits."""
    partition: int
    base_offset: int
    schema_hash: bytes = NO_SCHEMA

    def encode(self, version: int = FORMAT) -> bytes:
        """The header's bytes. Every version keeps this layout, so that an older Edge can say what it found."""
        return self._packed(version, crc32(self._packed(version, 0)))

    def _packed(self, version: int, crc: int) -> bytes:
        stream = bytes.fromhex(self.stream_id)
        return _HEADER.pack(MAGIC, version, 0, stream, self.partition, self.base_offset, self.schema_hash, crc)

    @classmethod
    def decode(cls, data: bytes) -> SegmentHeader | None:
        """The header at the start of `data`; None when there is no whole one.

        Raises:
            BackendError: a newer Edge wrote it.
        """
        if len(data) < HEADER_BYTES:
            return None
        _, version, _, stream, partition, base_offset, schema_hash, _ = _HEADER.unpack_from(data)
        header = cls(stream.hex(), partition, base_offset, schema_hash)
        if data[:HEADER_BYTES] != header.encode(version):
            return None
        if version > FORMAT:
            msg = f"A stream log has format {version}, this Edge knows up to {FORMAT}. Upgrade edge-workers."
            raise BackendError(msg)
        return header


@dataclass(frozen=True, slots=True)
class Scan:
    """How far a segment can be trusted."""

    end: int
    """Byte after the last good frame; what follows is a torn tail."""
    next_offset: int


def segment_path(folder: Path, base_offset: int) -> Path:
    return folder / f"{base_offset:020d}.log"


def base_offsets(folder: Path) -> list[int]:
    """Base offsets of the segments in a partition's folder, oldest first."""
    return sorted(int(path.stem) for path in folder.glob("*.log") if len(path.stem) == 20 and path.stem.isdigit())


def scan_segment(path: Path, data: bytes, expected: SegmentHeader) -> Scan | None:
    """Check every frame of the newest segment; None when it has no good header, so holds no record.

    Raises:
        DamagedLogError: a frame that had been acknowledged is bad, or this is not the segment its name says.
    """
    header = SegmentHeader.decode(data)
    if header is None:
        if find_good_frame_after(data, 0):
            raise DamagedLogError(path, 0, "its header is bad")
        return None
    if (header.stream_id, header.partition, header.base_offset) != (
        expected.stream_id,
        expected.partition,
        expected.base_offset,
    ):
        raise DamagedLogError(path, 0, "its header belongs to another stream, partition or offset")
    position, offset = HEADER_BYTES, header.base_offset
    while position < len(data):
        try:
            frame = parse_frame(data, position)
        except TornFrameError:
            reason = "a frame is cut short"
            break
        except BadFrameError as error:
            reason = str(error)
            break
        if frame.first_offset != offset:
            raise DamagedLogError(path, position, f"offset {offset} is missing, {frame.first_offset} follows")
        position, offset = position + frame.size_bytes, frame.next_offset
    else:
        return Scan(position, offset)
    if not is_torn_tail(data, position):
        raise DamagedLogError(path, position, f"{reason}, and good frames of later writes follow")
    return Scan(position, offset)


def is_torn_tail(data: bytes, bad: int) -> bool:
    """Whether no frame after the bad one proves that it had been on disk (frames.py says how that shows)."""
    at = bad
    while found := find_good_frame_after(data, at):
        at, frame = found
        if at - frame.group_offset > bad:
            return False
    return True
