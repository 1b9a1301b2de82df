"""Publishing to a folder of this machine.

A staged file gets its second name in the target folder; a name that exists is never written over. After a crash the
same file is found there and counts as done. Where the staging folder is on another file system (or it knows no links)
the file is copied beside its target first.
"""

from __future__ import annotations

import asyncio
from hashlib import file_digest
from typing import TYPE_CHECKING, Literal

from ..delivery.faults import reach
from ..stream_log.disk import Disk, write_all
from .file_layout import require_inside
from .file_stager import FileStager, published_files
from .sink import SinkMisconfiguredError, SinkUnavailableError
from .staged_file import FILE_MODE

if TYPE_CHECKING:
    from pathlib import Path

    from ..objects import SinkFormat
    from .file_layout import FileLayout
    from .sink import Published, Roll, StagedFile

FOLDER_MODE = 0o777
"""As far as the user's umask lets: the files are theirs."""
COPY_BYTES = 1024 * 1024


class LocalSink:
    """The Sink on a folder."""

    promise: Literal["exactly once"] = "exactly once"

    def __init__(self, folder: Path, form: SinkFormat, layout: FileLayout, disk: Disk | None = None) -> None:
        self._folder = folder
        self._form = form
        self._layout = layout
        self._disk = disk or Disk()

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> FileStager:
        return FileStager(folder, insert_id, epoch, form=self._form, layout=self._layout, disk=self._disk)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        await asyncio.to_thread(self._publish, roll, folder)
        return published_files(roll)

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _publish(self, roll: Roll, folder: Path) -> None:
        touched: set[Path] = set()
        for file in roll.files:
            require_inside(file.key, "key")
            target = self._folder / file.key
            try:
                self._disk.make_folder(target.parent, mode=FOLDER_MODE)
                self._put(file, folder / file.name, target)
            except (FileExistsError, NotADirectoryError, PermissionError) as error:
                raise SinkMisconfiguredError(
                    f"{error.filename or target} cannot be written: {error.strerror}."
                ) from error
            except OSError as error:
                raise SinkUnavailableError(f"{target} could not be written: {error.strerror or error}.") from error
            touched.add(target.parent)
            reach("publish:file")
        for parent in touched:
            self._disk.sync_folder(parent)

    def _put(self, file: StagedFile, staged: Path, target: Path) -> None:
        """Give the target its content, or find it there."""
        try:
            self._disk.link(staged, target)
        except FileExistsError:
            self._require_same(file, target)
        except OSError as error:
            if target.exists():
                self._require_same(file, target)
            elif not staged.exists():
                raise SinkMisconfiguredError(
                    f"{staged}, written to be delivered as {target}, is gone. Nothing is guessed: bring the staging "
                    f"folder back, or delete the pipeline and make it anew."
                ) from error
            else:  # another file system, or one without links
                self._copy(staged, target)

    def _require_same(self, file: StagedFile, target: Path) -> None:
        if target.is_file() and target.stat().st_size == file.size_bytes:
            with target.open("rb") as found:
                if file_digest(found, "sha256").hexdigest() == file.sha256:
                    return
        raise SinkMisconfiguredError(
            f"{target} is there with another content than the file to deliver. It is not written over: move it away, "
            f"then delivery goes on by itself."
        )

    def _copy(self, staged: Path, target: Path) -> None:
        """Beside the target first, so that no reader sees half a file."""
        temporary = target.with_name(f".{target.name}.tmp")
        descriptor = self._disk.create(temporary, mode=FILE_MODE)
        try:
            with staged.open("rb") as source:
                while data := source.read(COPY_BYTES):
                    write_all(self._disk, descriptor, [data])
            self._disk.sync(descriptor)
        except OSError:
            self._disk.unlink(temporary)
            raise
        finally:
            self._disk.close(descriptor)
        self._disk.replace(temporary, target)
