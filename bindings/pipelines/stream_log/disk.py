"""The few things a log does to a file system, in one object, so that a test can make any of them fail or lose power."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BUFFERS_PER_WRITE_MAX = 1024
"""Linux's and macOS's IOV_MAX."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def http_status_of(error: BaseException) -> int:
    """What a client is answered: 507 when the disk or the quota is full, 503 for anything else."""
    return 507 if isinstance(error, OSError) and error.errno in FULL else 503


class Disk:
    """The real one. Descriptors it opens are closed with `close`."""

    def make_folder(self, path: Path, *, mode: int = 0o700) -> None:
        """Make `path` and what is missing above it, so that it is still there after a power cut."""
        if path.is_dir():
            return
        self.make_folder(path.parent, mode=mode)
        path.mkdir(mode=mode, exist_ok=True)
        self.sync_folder(path.parent)

    def create(self, path: Path, *, mode: int = 0o600) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, mode)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def writev(self, descriptor: int, buffers: Sequence[bytes | memoryview]) -> int:
        """Append; returns how many bytes were written, which may be fewer."""
        return os.writev(descriptor, buffers)

    def sync(self, descriptor: int) -> None:
        """Return when the file's bytes and length are on stable storage."""
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync leaves bytes in the drive's cache
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        os.ftruncate(descriptor, size_bytes)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give `source` a second name. A `target` that is there is never replaced: FileExistsError."""
        target.hardlink_to(source)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def free_bytes(self, folder: Path) -> int:
        """What this user may still write where `folder` is; some network file systems do not know."""
        stat = os.statvfs(folder)
        return stat.f_bavail * stat.f_frsize if stat.f_blocks else sys.maxsize

    def sync_folder(self, path: Path) -> None:
        """Return when names made, renamed or removed in `path` are on stable storage."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_all(disk: Disk, descriptor: int, buffers: Sequence[bytes | memoryview]) -> None:
    """Append every byte of `buffers`, in as many calls as it takes.

    Raises:
        OSError: the disk is full or failed; a part may have been written.
    """
    for at in range(0, len(buffers), BUFFERS_PER_WRITE_MAX):
        part = buffers[at : at + BUFFERS_PER_WRITE_MAX]
        written = disk.writev(descriptor, part)
        if written < (size_bytes := sum(map(len, part))):
            rest = b"".join(part)
            while written < size_bytes:
                written += disk.writev(descriptor, [rest[written:]])


def write_file(disk: Disk, path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all, also through a power cut."""
    disk.replace(write_beside(disk, path, content), path)
    disk.sync_folder(path.parent)


def write_beside(disk: Disk, path: Path, content: bytes) -> Path:
    """A file with `content`, synced, to be put at `path` by replacing it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = disk.create(temporary)
    try:
        write_all(disk, descriptor, [content])
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    return temporary
