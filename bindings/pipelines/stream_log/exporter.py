"""Writes one partition's records out as newline-delimited JSON files: what a newcomer opens after the first `send`.

A file holds the records `first` to `last` of its name. It is written under a temporary name, synced, renamed, and only
then does the cursor move; so after a crash the same records are written again or found whole, never twice under two
names. The log is trimmed behind the cursor.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from ..log import DamagedStreamError
from .disk import write_all
from .reader import PartitionReader
from .segments import base_offsets
from .stream_folders import FILES_READER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .disk import Disk
    from .stream_folders import StreamFolder

READER = FILES_READER
"""Name of this reader's cursors."""
FILE_BYTES = 64 * 1024 * 1024
"""A file is closed once it is this long."""
FILES_BYTES_MAX = 1024**3
"""All files of all streams together; beyond it the oldest go."""
WRITE_BYTES = 1024 * 1024


class FileExporter:
    """Delivers one partition. `export` blocks, and one call at a time works."""

    def __init__(self, folder: StreamFolder, partition: int, disk: Disk, *, file_bytes: int = FILE_BYTES) -> None:
        self._folder = folder
        self._partition = partition
        self._disk = disk
        self._file_bytes = file_bytes
        self._is_exporting = Lock()
        self._is_piped = False
        disk.make_folder(folder.files)
        for leftover in folder.files.glob(f".{partition}-*.tmp"):
            disk.unlink(leftover)
        self.offset = folder.delivered_until(partition)  # a crash may have come before the cursor moved
        """The next record to deliver."""
        self.is_cursor_rebuilt = False
        """The cursor was damaged; the names of the delivered files and the trimmed log told as much."""
        try:
            self.offset = max(self.offset, folder.load_cursor(READER, partition))
        except DamagedStreamError:
            self.is_cursor_rebuilt = True
            self.offset = max(self.offset, *base_offsets(folder.partition(partition))[:1], 0)
            folder.save_cursor(READER, partition, self.offset, disk)
        self._reader = PartitionReader(folder.partition(partition), self.offset)

    def export(self, until: int) -> int:
        """Deliver every record below `until`, which must be durable; returns how many there were.

        None while a pipeline reads the stream: its sink has them.

        Raises:
            OSError: a file could not be written; what was delivered stays, the rest is delivered by the next call.
            BackendError: the log is damaged.
        """
        with self._is_exporting:
            if self._folder.is_piped():
                self._is_piped, self.offset = True, until
                return 0
            if self._is_piped:  # no more: what its pipelines committed was noted as this reader's cursor
                self._is_piped, self.offset = False, self._folder.load_cursor(READER, self._partition)
            start = self.offset = max(self.offset, self._folder.begin_of(self._partition))
            while self.offset < until:
                if self._reader.offset != self.offset:  # an earlier call failed half-way
                    self._reader = PartitionReader(self._folder.partition(self._partition), self.offset)
                self._export_file(until)
                self._folder.save_cursor(READER, self._partition, self.offset, self._disk)
            if self.offset > start:
                self._folder.trim(self._partition, self._disk)
            return self.offset - start

    def _export_file(self, until: int) -> None:
        temporary = self._folder.files / f".{self._partition}-{self.offset:020d}.tmp"
        descriptor = self._disk.create(temporary)
        first = end = self.offset
        try:
            buffers: list[bytes] = []
            file_bytes = buffered_bytes = 0
            for frame in self._reader.frames(until):
                if frame.is_lost:  # a file's name claims no record that is not in it
                    if file_bytes:
                        break
                    continue
                first = max(first, frame.first_offset) if not file_bytes else first
                lines, end = frame.lines(), frame.next_offset
                buffers.append(lines)
                file_bytes += len(lines)
                buffered_bytes += len(lines)
                if buffered_bytes >= WRITE_BYTES:
                    write_all(self._disk, descriptor, buffers)
                    buffers, buffered_bytes = [], 0
                if file_bytes >= self._file_bytes:
                    break
            write_all(self._disk, descriptor, buffers)
            self._disk.sync(descriptor)
        except OSError:
            self._disk.unlink(temporary)  # on a full disk it would keep the log from going on
            raise
        finally:
            self._disk.close(descriptor)
        if file_bytes:
            self._disk.replace(temporary, self._folder.files / self._file_name(first, end - 1))
            self._disk.sync_folder(self._folder.files)
        else:
            self._disk.unlink(temporary)
        self.offset = self._reader.offset

    def _file_name(self, first: int, last: int) -> str:
        return f"{self._partition}-{first:020d}-{last:020d}.ndjson"


def remove_oldest_files(files: Iterable[Path], bytes_max: int, disk: Disk) -> list[Path]:
    """Remove the oldest of `files` until they are at most `bytes_max` together; the newest always stays."""
    aged: list[tuple[int, int, Path]] = []
    for path in files:
        try:
            stat = path.stat()
        except FileNotFoundError:  # another process, or its owner, was faster
            continue
        aged.append((stat.st_mtime_ns, stat.st_size, path))
    aged.sort()
    total_bytes = sum(size_bytes for _, size_bytes, _ in aged)
    removed: list[Path] = []
    for _, size_bytes, path in aged[:-1]:
        if total_bytes <= bytes_max:
            break
        disk.unlink(path)
        removed.append(path)
        total_bytes -= size_bytes
    return removed
