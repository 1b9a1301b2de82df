"""pyiceberg's way to files, with local ones on disk before a commit names them.

A commit is one row in the catalog that points at a file; without a sync a power cut could keep the row and lose the
file, and with it the whole table.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from ..stream_log.disk import Disk

if TYPE_CHECKING:
    from pyiceberg.io import OutputStream


class DurableFileIO(PyArrowFileIO):
    """Named to pyiceberg by `py-io-impl`."""

    def new_output(self, location: str) -> PyArrowFile:
        file = super().new_output(location)
        scheme, _, path = self.parse_location(location, self.properties)
        return _DurableFile(file, Path(path)) if scheme == "file" else file


class _DurableFile(PyArrowFile):
    def __init__(self, file: PyArrowFile, path: Path) -> None:
        super().__init__(file.location, file._path, file._filesystem, file._buffer_size)
        self._local_path = path

    def create(self, overwrite: bool = False) -> OutputStream:
        Disk().make_folder(self._local_path.parent)
        return io.BufferedWriter(_SyncedFile(self._local_path, "wb" if overwrite else "xb"))


class _SyncedFile(io.FileIO):
    """Closed means durable, its name too."""

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self._folder = path.parent

    def close(self) -> None:
        if not self.closed:
            os.fsync(self.fileno())
            Disk().sync_folder(self._folder)
        super().close()
