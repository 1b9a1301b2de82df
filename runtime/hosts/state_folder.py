"""The state folder, `.edge/`: made private, ignored by git, of a known format, held by one Edge at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER_NAME = ".edge"
FORMAT = 1
"""Version of what `.edge/` holds; a newer one is refused, an older one is moved up by the product that owns it."""


def prepare_state_folder(folder: Path) -> Path:
    """Make `folder` ready and return where backends write, `<folder>/state`.

    Raises:
        BackendError: it cannot be made, or a newer Edge wrote it.
    """
    state = folder / "state"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        state.mkdir(mode=0o700, exist_ok=True)
        _write_once(folder / ".gitignore", "*\n")
        _write_once(folder / "format", f"{FORMAT}\n")
        found = (folder / "format").read_text().strip()
    except OSError as error:
        msg = f"State folder {folder} cannot be used: {error.strerror or error}. Pass --persist-to with another folder."
        raise BackendError(msg) from error
    if not found.isdigit() or int(found) > FORMAT:
        msg = (
            f"State folder {folder} has format {found or 'nothing'}, this Edge knows up to {FORMAT}. "
            f"Upgrade edge-workers, or pass --persist-to with another folder."
        )
        raise BackendError(msg)
    return state


@contextmanager
def hold_state_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process and its children; a second `edge dev` or `edge serve` is told who holds it.

    Raises:
        BackendError: another process holds it.
    """
    path = folder / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            msg = f"State folder {folder} is in use by process {holder}. Stop it, or pass --persist-to DIR."
            raise BackendError(msg) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text)
