"""One frame of the log: what one `send` or one POST wrote, whole or not at all.

    magic         4   FF 45 46 31: FF never occurs in UTF-8, so no record can look like a frame
    body length   u32
    crc32         u32 over everything after it: the rest of this header, extra, body
    first offset  u64 number of the frame's first record in its partition
    count         u32 records in the body; the next frame starts at first offset + count
    ingest time   u64 microseconds since 1970
    codec         u8  0 plain (1 zstd, reserved)
    flags         u8  bit 0: the body is one record a line; else a JSON array as received
                      bit 1: these records are lost, and that was said: no body, `count` offsets without records
    extra length  u16
    group offset  u32 bytes from the start of the sync group this frame was written in
    extra             who sent it (step 2: batch id, idempotency key, source)
    body

`group offset` is what lets recovery tell a torn tail from damage. All bytes before a frame's group were on disk
before the frame was written. So a bad frame followed by a good one of the same group is a power cut that kept the later
sectors; followed by a good one of a later group, it is damage to something that had been acknowledged.

Pure: bytes in, frames out. Nothing here touches a file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"\xffEF1"
HEADER = struct.Struct("<4sIIQIQBBHI")
_CHECKED = struct.Struct("<QIQBBHI")
_CRC_FROM = HEADER.size - _CHECKED.size

CODEC_PLAIN = 0
FLAG_LINES = 1
FLAG_LOST = 2
LOST_COUNT_MAX = 0xFFFFFFFF
BODY_BYTES_MAX = 128 * 1024 * 1024
"""No frame is longer; a length beyond it is damage, not a reason to wait for more bytes."""
EXTRA_BYTES_MAX = 0xFFFF
UNLOCK_BYTES = 5 * 1024
"""zlib releases the interpreter lock for more than this."""
LOCKED_BYTES_MAX = 64 * 1024
"""Checking more than this takes long enough to let other threads run."""

_records_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()


class TornFrameError(Exception):
    """The bytes end before the frame does: a torn tail, or a writer that is still writing."""


class BadFrameError(Exception):
    """The bytes are no frame: wrong magic, impossible length or wrong checksum."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as read."""

    first_offset: int
    count: int
    ingested_at_us: int
    flags: int
    extra: bytes
    body: bytes
    group_offset: int
    size_bytes: int
    """Of the whole frame in the file."""

    @property
    def next_offset(self) -> int:
        return self.first_offset + self.count

    @property
    def is_lost(self) -> bool:
        """It stands for records that are gone, so that their offsets are never given out again."""
        return bool(self.flags & FLAG_LOST)

    def lines(self) -> bytes:
        """The records as newline-delimited JSON, each line ended. Values are not decoded."""
        if self.flags & FLAG_LINES:
            return self.body
        return lines_of_array(self.body)

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Each record's offset and JSON text."""
        return enumerate(self.lines().split(b"\n")[:-1], self.first_offset)


def lines_of_array(body: bytes) -> bytes:
    """The items of a JSON array, one a line, each line ended. Values are not decoded."""
    if b"\n" in body or b"\r" in body:
        body = msgspec.json.format(body, indent=-1)
    return _encoder.encode_lines(_records_decoder.decode(body))


def frame_head(
    *, first_offset: int, count: int, ingested_at_us: int, flags: int, extra: bytes, body: bytes, group_offset: int
) -> bytes:
    """Header and extra of a frame; the body follows it in the file."""
    checked = _CHECKED.pack(first_offset, count, ingested_at_us, CODEC_PLAIN, flags, len(extra), group_offset) + extra
    return MAGIC + len(body).to_bytes(4, "little") + _checksum(body, crc32(checked)).to_bytes(4, "little") + checked


def lost_frames(first_offset: int, next_offset: int, ingested_at_us: int) -> bytes:
    """Frames that declare the records from `first_offset` up to `next_offset` lost."""
    return b"".join(
        frame_head(
            first_offset=first,
            count=min(next_offset - first, LOST_COUNT_MAX),
            ingested_at_us=ingested_at_us,
            flags=FLAG_LINES | FLAG_LOST,
            extra=b"",
            body=b"",
            group_offset=0,
        )
        for first in range(first_offset, next_offset, LOST_COUNT_MAX)
    )


def _checksum(data: bytes | memoryview, start: int = 0) -> int:
    """crc32 that keeps the interpreter lock for what takes microseconds.

    zlib lets go of it above 5 KiB, and getting it back from a busy event loop takes up to 5 ms: with frames of 20 KB
    that took most of the writer's time (measured: 12 ms of a group's 14).
    """
    if len(data) > LOCKED_BYTES_MAX:
        return crc32(data, start)
    view = memoryview(data)
    for at in range(0, len(data), UNLOCK_BYTES):
        start = crc32(view[at : at + UNLOCK_BYTES], start)
    return start


def parse_frame(data: bytes, at: int = 0) -> Frame:
    """The frame that starts at `data[at]`.

    Raises:
        TornFrameError: `data` ends inside it.
        BadFrameError: there is no whole frame.
    """
    end_of_header = at + HEADER.size
    if len(data) < end_of_header:
        if not MAGIC.startswith(data[at : at + len(MAGIC)]):
            raise BadFrameError("wrong magic")
        raise TornFrameError
    magic, body_length, crc, first, count, time_us, codec, flags, extra_length, group_offset = HEADER.unpack_from(
        data, at
    )
    if magic != MAGIC:
        raise BadFrameError("wrong magic")
    if body_length > BODY_BYTES_MAX or codec != CODEC_PLAIN:
        raise BadFrameError("impossible length or unknown codec")
    start_of_body = end_of_header + extra_length
    end = start_of_body + body_length
    if len(data) < end:
        raise TornFrameError
    if _checksum(memoryview(data)[at + _CRC_FROM : end]) != crc:
        raise BadFrameError("wrong checksum")
    extra = data[end_of_header:start_of_body]
    return Frame(first, count, time_us, flags, extra, data[start_of_body:end], group_offset, end - at)


def find_good_frame_after(data: bytes, at: int) -> tuple[int, Frame] | None:
    """The first whole frame that starts after `at`, and where; None when there is none."""
    while (at := data.find(MAGIC, at + 1)) >= 0:
        try:
            return at, parse_frame(data, at)
        except (TornFrameError, BadFrameError):
            continue
    return None
