"""Writes one file of newline-delimited JSON, plain or gzip. Log lines pass through as they are."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from .json_rows import json_lines
from .sink import SinkMisconfiguredError
from .sink_config import problem_of_format
from .staged_file import Finished, HashingFile

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from ..objects import SinkFormat
    from ..stream_log.disk import Disk

WRITE_BYTES = 1024 * 1024
GZIP_LEVEL = 6
"""gzip's own default."""
GZIP_WINDOW_BITS = 31
"""The largest window, with gzip's header. The header has no time, so the same rows give the same bytes."""


def open_ndjson(disk: Disk, path: Path, form: SinkFormat) -> NdjsonFile:
    """Begin a file.

    Raises:
        SinkMisconfiguredError: JSON files are not compressed that way.
    """
    if problem := problem_of_format("local", "json", form.compression):
        raise SinkMisconfiguredError(problem)
    return NdjsonFile(disk, path, form)


class NdjsonFile:
    """The FileWriter of newline-delimited JSON."""

    def __init__(self, disk: Disk, path: Path, form: SinkFormat) -> None:
        self.buffered_bytes = 0
        self._waiting: list[bytes | memoryview] = []
        self._uncompressed_bytes = 0
        self._gzip = (
            zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW_BITS) if form.compression == "gzip" else None
        )
        self._file = HashingFile(disk, path)

    @property
    def size_bytes(self) -> int:
        """What is in memory counts as it is, before compression."""
        return self._file.size_bytes + self.buffered_bytes

    def write(self, batch: pa.RecordBatch) -> None:
        self._add(json_lines(batch))

    def write_lines(self, lines: bytes) -> None:
        self._add(lines)

    def flush(self) -> None:
        data, self._waiting, self.buffered_bytes = b"".join(self._waiting), [], 0
        if self._gzip is not None:
            data = self._gzip.compress(data)
        if data:
            self._file.write(data)

    def finish(self) -> Finished:
        self.flush()
        if self._gzip is not None:
            self._file.write(self._gzip.flush())
        return Finished(self._file.size_bytes, self._file.finish(), self._uncompressed_bytes)

    def abandon(self) -> None:
        self._waiting = []
        self._file.close()

    def _add(self, lines: bytes | memoryview) -> None:
        self._waiting.append(lines)
        self._uncompressed_bytes += len(lines)
        self.buffered_bytes += len(lines)
        if self.buffered_bytes >= WRITE_BYTES:
            self.flush()
