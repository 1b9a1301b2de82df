"""One writer per partition: a lock file that says which process holds it."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError

if TYPE_CHECKING:
    from pathlib import Path

DRAINING = "draining"
"""What the leader writes behind its pid while it reads out a partition nobody owns; it lets go within moments."""


HOLDER_SECONDS = 0.1
"""A holder writes its name a moment after it holds: the name found at first may be its predecessor's."""


class PartitionInUseError(BackendError):
    """Raised when another process holds a partition. `is_draining`: it will be free in a moment."""

    def __init__(self, folder: Path, holder: str) -> None:
        pid, _, purpose = holder.partition(" ")
        super().__init__(f"State folder {folder} is in use by process {pid}. Stop it, or pass --persist-to DIR.")
        self.is_draining = purpose == DRAINING


def lock_partition(folder: Path, purpose: str = "") -> int:
    """Hold the partition in `folder` until the returned descriptor is closed, or the process dies.

    Raises:
        PartitionInUseError: someone else holds it.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _takes(descriptor):
        time.sleep(HOLDER_SECONDS)
        if not _takes(descriptor):
            holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise PartitionInUseError(folder, holder)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {purpose}".strip().encode(), 0)
    return descriptor


def _takes(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
