"""Reads a partition's log from an offset, beside its writer or from another process; takes no lock.

A bad or unfinished frame at the very end is a writer at work (or a tail it will cut): the reader waits. Anywhere else
it is damage and raised.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .frames import BadFrameError, Frame, TornFrameError, parse_frame
from .segments import HEADER_BYTES, DamagedLogError, base_offsets, segment_path

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

READ_BYTES = 64 * 1024
"""Small on purpose: each read lets other threads run, so a long export never holds the event loop up."""


@dataclass(frozen=True, slots=True)
class _Place:
    base_offset: int
    position: int


class PartitionReader:
    """Frames of one partition in order. `offset` is the next record it will give."""

    def __init__(self, folder: Path, offset: int = 0) -> None:
        self.folder = folder
        self.offset = offset
        self._place: _Place | None = None
        self._is_lost = False  # a bad frame was met: the writer may have cut and rewritten what was there

    def frames(self, until: int | None = None) -> Iterator[Frame]:
        """Every frame from `offset` on that can be read now; call again for more.

        The first frame may begin before `offset`. When older segments were trimmed, reading goes on at the oldest one.
        A frame that `is_lost` has no records; any other hole in the offsets is damage.

        Args:
            until: the writer's durable offset: below it every frame must be there, above it none is given.

        Raises:
            DamagedLogError: acknowledged records cannot be read.
        """
        if self._is_lost:
            self._place, self._is_lost = None, False
        while until is None or self.offset < until:
            place = self._place or self._find()
            if place is None:
                return
            yield from self._frames_of(place, until)
            if until is not None and self.offset >= until:
                return
            newer = [base for base in base_offsets(self.folder) if base > place.base_offset]
            if not newer:
                self._require_reached(until, place.base_offset)
                return
            if self._place is None:  # this segment was trimmed under us
                continue
            # What came between the last read and the sealing.
            if not (yield from self._frames_of(self._place, until)):
                continue
            if newer[0] > self.offset:
                raise self._damaged("a frame is unreadable")
            self._place = _Place(newer[0], HEADER_BYTES)

    def _find(self) -> _Place | None:
        bases = base_offsets(self.folder)
        if not bases:
            return None
        base = max((base for base in bases if base <= self.offset), default=bases[0])
        self.offset = max(self.offset, base)
        return _Place(base, HEADER_BYTES)

    def _frames_of(self, place: _Place, until: int | None) -> Generator[Frame, None, bool]:
        """Frames of one segment; leaves `_place` behind the last good one, or None and False when it is gone."""
        try:
            descriptor = os.open(segment_path(self.folder, place.base_offset), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._place = None
            return False
        try:
            self._place = place
            buffer, at, position = b"", 0, place.position
            while until is None or self.offset < until:
                try:
                    frame = parse_frame(buffer, at)
                except TornFrameError:
                    more = os.pread(descriptor, max(READ_BYTES, len(buffer) - at), position + len(buffer) - at)
                    if not more:
                        return True
                    buffer, at = buffer[at:] + more, 0
                    continue
                except BadFrameError:
                    self._is_lost = True
                    return True
                at, position = at + frame.size_bytes, position + frame.size_bytes
                self._place = _Place(place.base_offset, position)
                if frame.next_offset > self.offset:
                    if frame.first_offset > self.offset:
                        raise self._damaged(f"offset {self.offset} is missing, {frame.first_offset} follows")
                    self.offset = frame.next_offset
                    yield frame
            return True
        finally:
            os.close(descriptor)

    def _require_reached(self, until: int | None, base_offset: int) -> None:
        if until is not None and self.offset < until:
            self._place = self._place or _Place(base_offset, HEADER_BYTES)
            raise self._damaged("a frame is unreadable")

    def _damaged(self, reason: str) -> DamagedLogError:
        assert self._place is not None, "damage is somewhere"
        return DamagedLogError(segment_path(self.folder, self._place.base_offset), self._place.position, reason)
