"""One file in the staging folder: the port that each format fulfils, and what it writes through.

The bytes are hashed while they are written, so that a retry can tell a file from another of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from ..stream_log.disk import write_all

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from ..stream_log.disk import Disk

FILE_MODE = 0o666
"""A delivered file is for others to read, as far as the user's umask lets them."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished file."""

    size_bytes: int
    sha256: str
    uncompressed_bytes: int
    row_group_count: int = 0


class FileWriter(Protocol):
    """Writes one file of one format."""

    @property
    def size_bytes(self) -> int:
        """About as long as the file would be if it were finished now."""

    @property
    def buffered_bytes(self) -> int:
        """In memory, not yet in the file."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def write_lines(self, lines: bytes) -> None: ...

    def flush(self) -> None:
        """Move what is buffered into the file."""

    def finish(self) -> Finished:
        """Make the file whole and durable."""

    def abandon(self) -> None: ...


class HashingFile:
    """A file that is only appended to; pyarrow and gzip take it as a file object."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._disk = disk
        self._hash = sha256()
        disk.unlink(path)  # a leftover may share its content with a delivered file: it must not be truncated
        self._descriptor: int | None = disk.create(path, mode=FILE_MODE)

    @property
    def closed(self) -> bool:
        return self._descriptor is None

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        if self._descriptor is None:  # abandoned: what its writer still wants to say goes nowhere
            return len(view)
        write_all(self._disk, self._descriptor, [view])
        self._hash.update(view)
        self.size_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Let go of the file; may be called twice. What is there need not be whole."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._disk.close(descriptor)

    def finish(self) -> str:
        """Make it durable; returns its SHA-256 as hex."""
        assert self._descriptor is not None, "a file is finished once"
        self._disk.sync(self._descriptor)
        self.close()
        return self._hash.hexdigest()
