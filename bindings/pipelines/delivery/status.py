"""How delivery stands, for the commands, the REST API and the metrics; read from any process."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..log import DamagedStreamError
from ..stream_log.durable import durable_offset
from ..stream_log.log_sizes import bytes_between
from ..stream_log.reader import PartitionReader
from ..stream_log.segments import base_offsets
from .store import DeliveryStore

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ..stream_log.stream_folders import StreamFolder, StreamFolders
    from .store import InsertState

PLACES_MAX = 32
"""In a partition's log, where what waits was found: INSERTs that keep up stand at the same one."""


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
    """About (log_sizes.py)."""
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


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The first frame that waits, read just now."""

    reader: PartitionReader
    """Stands behind it."""
    first_offset: int
    accepted_at: float


class DeliveryStatus:
    """The delivery of one state folder."""

    def __init__(self, state_dir: Path, folders: StreamFolders) -> None:
        self._store = DeliveryStore(state_dir)
        self._folders = folders
        self._waiting: dict[Path, list[_Waiting]] = {}

    def close(self) -> None:
        """Let go of the store; the next call opens it again."""
        self._store.close()

    def of_pipeline(self, pipeline_id: str) -> PipelineStatus:
        """Failed while any of its INSERTs is. One that has not been started yet is running."""
        failures = [one.failure for one in self.inserts() if one.key.pipeline_id == pipeline_id and one.failure]
        return PipelineStatus("failed", failures[0]) if failures else PipelineStatus("running")

    def half_out_count(self, sink_id: str, *, except_of: Collection[str] = ()) -> int:
        """Records on their way to a sink, of which it may have some; those `except_of` pipelines with these ids."""
        inserts = [one.key for one in self.inserts() if one.key.pipeline_id not in except_of]
        intents = [self._store.intent(key.id) for key in inserts if key.sink_id == sink_id]
        return sum(intent.record_count for intent in intents if intent is not None)

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
            size_bytes += bytes_between(path, begin, end)
            since = self._waiting_since(path, begin, end)
            times += [since] if since is not None else []
        return Backlog(record_count, size_bytes, min(times, default=None))

    def _waiting_since(self, path: Path, begin: int, end: int) -> float | None:
        """When the record at `begin` was accepted; remembered, so that asking again reads on from there."""
        known = self._waiting.setdefault(path, [])
        for one in known:
            if one.first_offset <= begin < one.reader.offset:
                return one.accepted_at
        newest_base = max((base for base in base_offsets(path) if base <= begin), default=0)
        before = [one for one in known if newest_base <= one.reader.offset <= begin]
        nearest = max(before, key=lambda one: one.reader.offset, default=None)
        if nearest is not None:
            known.remove(nearest)
        reader = PartitionReader(path, begin) if nearest is None else nearest.reader
        with suppress(DamagedStreamError):  # told where the log is read
            for frame in reader.frames(end):
                if frame.next_offset > begin and not frame.is_lost:
                    accepted_at = frame.ingested_at_us / 1e6
                    known.append(_Waiting(reader, frame.first_offset, accepted_at))
                    del known[:-PLACES_MAX]
                    return accepted_at
        return None

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


def _count_in_log(path: Path, begin: int, end: int) -> int:
    """Records from `begin` to `end` that are there to be read, or declared lost by the log."""
    count, reader = 0, PartitionReader(path, begin)
    with suppress(DamagedStreamError):  # what cannot be read is not there
        for frame in reader.frames(end):
            count += frame.next_offset - max(frame.first_offset, begin)
    return count
