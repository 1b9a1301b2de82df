"""Delivers what partitions hold that no process owns any more: `edge serve` went from eight workers to two.

The leader (slot 0) looks now and then. The lock says whether a partition has an owner; while the leader reads one out
it marks the lock as draining, and a process that wants the partition waits that moment instead of failing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from .exporter import FileExporter
from .lock import DRAINING, PartitionInUseError
from .partition import PartitionLog
from .segments import base_offsets, segment_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .disk import Disk
    from .recovery import Loss
    from .stream_folders import StreamFolder, StreamFolders


@dataclass(frozen=True, slots=True)
class Drained:
    """What one orphan gave."""

    stream_id: str
    partition: int
    record_count: int = 0
    loss: Loss | None = None
    failure: OSError | BackendError | None = None
    """Why it could not be read or delivered; it is not tried again until it changes."""


class OrphanDrain:
    """Remembers what it has seen, so an idle orphan costs two system calls a round."""

    def __init__(self, folders: StreamFolders, disk: Disk, now: Callable[[], float]) -> None:
        self._folders = folders
        self._disk = disk
        self._now = now
        self._seen: dict[Path, tuple[int, int]] = {}

    def run_once(self) -> list[Drained]:
        """Deliver every orphan's records; blocks. Tells of those that had any, or could not be delivered."""
        drained: list[Drained] = []
        for folder in self._folders.all():
            for number in folder.partitions():
                path = folder.partition(number)
                state = _newest_state(path)
                if state is None or self._seen.get(path) == state:
                    continue
                try:
                    orphan = self._drain(folder, number)
                except PartitionInUseError:
                    continue
                except (OSError, BackendError) as error:
                    orphan = Drained(folder.id, number, failure=error)
                self._seen[path] = _newest_state(path) or state
                if orphan.record_count or orphan.loss or orphan.failure:
                    drained.append(orphan)
        return drained

    def _drain(self, folder: StreamFolder, number: int) -> Drained:
        log = PartitionLog(folder.partition(number), folder.id, number, now=self._now, disk=self._disk)
        log.open(purpose=DRAINING)
        try:
            count = FileExporter(folder, number, self._disk).export(log.durable_offset)
            return Drained(folder.id, number, count, log.loss)
        finally:
            log.close()


def _newest_state(path: Path) -> tuple[int, int] | None:
    """Base offset and length of the newest segment: changes with every write."""
    bases = base_offsets(path)
    try:
        return (bases[-1], segment_path(path, bases[-1]).stat().st_size) if bases else None
    except FileNotFoundError:  # its owner trimmed or cut it just now
        return None
