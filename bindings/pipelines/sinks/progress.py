"""How far a roll has been sent, in a small file beside what was staged, so that a retry repeats one chunk at most.

One JSON line a chunk, synced before the next chunk leaves. It also keeps the rows that the target refused: their chunk
is not sent again, and they must still reach the dead letters. A torn last line is a chunk that was not noted.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from .row_staging import read_chunk
from .sink import Published, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from .row_staging import Chunk
    from .sink import Roll, StagedFile

FILE_NAME = "progress.ndjson"


class _Line(msgspec.Struct, frozen=True, array_like=True):
    until: int
    refused: tuple[Refused, ...] = ()


class Progress:
    """What a staging folder says was sent. Methods block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self.until = 0
        self.refused: list[Refused] = []
        self._size_bytes = 0
        for line in self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else ():
            if not line.endswith(b"\n"):
                break
            self._take(msgspec.json.decode(line, type=_Line))
            self._size_bytes += len(line)

    def note(self, until: int, refused: Sequence[Refused]) -> None:
        """Everything before byte `until` of the staged file was taken, but for `refused`; durable on return."""
        line = _Line(until, tuple(refused))
        with self._path.open("ab") as file:
            file.truncate(self._size_bytes)
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            is_new = not self._size_bytes
            self._size_bytes = file.tell()
        if is_new:
            _sync_folder(self._path.parent)
        self._take(line)

    def _take(self, line: _Line) -> None:
        self.until = line.until
        self.refused.extend(line.refused)


async def publish_in_chunks(
    roll: Roll,
    folder: Path,
    send: Callable[[Chunk, StagedFile], Awaitable[Sequence[Refused]]],
    *,
    bytes_max: int,
    rows_max: int,
) -> Published:
    """Send the rows of a roll from where the last try stopped.

    Args:
        send: hands one chunk over and returns the rows the target refused for good. Its errors end the try.
    """
    if not roll.files:
        return Published()
    (file,) = roll.files
    progress = await asyncio.to_thread(Progress, folder)
    while progress.until < file.size_bytes:
        chunk = await asyncio.to_thread(
            read_chunk, folder / file.name, progress.until, bytes_max=bytes_max, rows_max=rows_max
        )
        refused = await send(chunk, file)
        await asyncio.to_thread(progress.note, chunk.until, refused)
    return Published(
        bytes_written=file.size_bytes,
        uncompressed_bytes_written=file.size_bytes,
        rows_written=file.row_count - len(progress.refused),
        refused=tuple(progress.refused),
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
