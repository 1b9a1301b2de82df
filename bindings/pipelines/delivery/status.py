"""How delivery stands, for the commands, the REST API and the metrics; read from any process."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..durable import durable_offset
from ..log import DamagedStreamError
from ..reader import PartitionReader
from ..segments import base_offsets, segment_path
from ..stream_folders import size_of
from .store import DeliveryStore

if TYPE_CHECKING:
    from pathlib import Path

    from ..stream_folders import StreamFolder, StreamFolders
    from .store import InsertState


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """`status` and `failure_reason` of the API."""

    status: Literal["running", "failed"]
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one INSERT has not delivered yet."""

    record_count: int
    size_bytes: int
    """At most: a segment of which a part is delivered counts from its start."""
    oldest_at: float | None
    """When the oldest of them was accepted, Unix seconds; None when there is none."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the records of one partition, for one INSERT."""

    pipeline_id: str
    """Empty: the check of a stream that no pipeline reads."""
    position: int
    partition: int
    accepted: int
    """Since the INSERT began."""
    delivered: int
    filtered: int
    dead: int
    lost: int
    """The log itself declared them gone."""
    in_log: int

    @property
    def is_balanced(self) -> bool:
        """Accepted = delivered + filtered + dead + lost + still in the log. Source: spec "Pipelines" 5.8."""
        return self.accepted == self.delivered + self.filtered + self.dead + self.lost + self.in_log


class DeliveryStatus:
    """The delivery of one state folder."""

    def __init__(self, state_dir: Path, folders: StreamFolders) -> None:
        self._store = DeliveryStore(state_dir)
        self._folders = folders

    def close(self) -> None:
        """Let go of the store; the next call opens it again."""
        self._store.close()

    def of_pipeline(self, pipeline_id: str) -> PipelineStatus:
        """Failed while any of its INSERTs is. One that has not been started yet is running."""
        failures = [one.failure for one in self.inserts() if one.key.pipeline_id == pipeline_id and one.failure]
        return PipelineStatus("failed", failures[0]) if failures else PipelineStatus("running")

    def inserts(self) -> list[InsertState]:
        """Every INSERT with its counters; the names are those of the hosted metrics."""
        return self._store.inserts()

    def backlog(self, state: InsertState) -> Backlog:
        """What waits in the log for an INSERT."""
        folder = self._folders.folder(state.key.stream_id)
        record_count = size_bytes = 0
        times: list[float] = []
        for partition in folder.partitions() if folder.path.is_dir() else ():
            known = state.progress.get(partition)
            path = folder.partition(partition)
            begin = known.committed if known else min(base_offsets(path), default=0)
            if (end := durable_offset(path)) <= begin:
                continue
            record_count += end - begin
            size_bytes += _bytes_from(path, begin)
            first = next((frame for frame in PartitionReader(path, begin).frames(end) if not frame.is_lost), None)
            times += [first.ingested_at_us / 1e6] if first else []
        return Backlog(record_count, size_bytes, min(times, default=None))

    def accounts(self, folder: StreamFolder) -> list[Account]:
        """The account of every INSERT that reads a stream, by partition.

        What is in the log is counted there, not taken from the store: a record that is gone from it does not add up.
        """
        accounts: list[Account] = []
        for state in self.inserts():
            if state.key.stream_id != folder.id:
                continue
            for partition, known in sorted(state.progress.items()):
                path, tally = folder.partition(partition), known.tally
                end = max(durable_offset(path), known.committed)
                accounts.append(
                    Account(
                        pipeline_id=state.key.pipeline_id,
                        position=state.key.position,
                        partition=partition,
                        accepted=end - known.started,
                        delivered=tally.delivered,
                        filtered=tally.filtered,
                        dead=tally.dead,
                        lost=tally.lost,
                        in_log=_count_in_log(path, known.committed, end),
                    )
                )
        return accounts


def _bytes_from(path: Path, offset: int) -> int:
    bases = base_offsets(path)
    newer = [
        base
        for base, following in zip(bases, [*bases[1:], None], strict=True)
        if following is None or following > offset
    ]
    return sum(size_of(segment_path(path, base)) for base in newer)


def _count_in_log(path: Path, begin: int, end: int) -> int:
    """Records from `begin` to `end` that are there to be read, or declared lost by the log."""
    count, reader = 0, PartitionReader(path, begin)
    with suppress(DamagedStreamError):  # what cannot be read is not there
        for frame in reader.frames(end):
            count += frame.next_offset - max(frame.first_offset, begin)
    return count
