"""Where in the log a replay begins, and how much it would deliver again: `edge pipelines replay`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ..stream_log.reader import PartitionReader
from ..stream_log.segments import base_offsets
from .store import DeliveryStore

if TYPE_CHECKING:
    from pathlib import Path

    from ..objects import Replay
    from ..stream_log.stream_folders import StreamFolder, StreamFolders


def place_of(replay: Replay, folder: StreamFolder, partition: int) -> int:
    """The first offset of a partition that is meant; reads the log when a time is asked for.

    Raises:
        DamagedLogError: the log cannot be read.
    """
    if replay.from_offset is not None:
        return max(replay.from_offset, folder.oldest(partition))
    assert replay.from_time is not None, "an offset or a time is set"
    return max(_offset_at(folder.partition(partition), replay.from_time), folder.oldest(partition))


def replayed_count(state_dir: Path, folders: StreamFolders, pipeline_id: str, replay: Replay) -> int:
    """Records that a pipeline has delivered, and would again; each INSERT counts on its own.

    Raises:
        BackendError: the store or a log cannot be read.
    """
    count = 0
    with closing(DeliveryStore(state_dir)) as store:
        for state in store.inserts():
            if state.key.pipeline_id != pipeline_id or not state.key.stream_id:
                continue
            folder = folders.folder(state.key.stream_id)
            intent = store.intent(state.key.id)  # what is half out is finished first
            for partition, one in state.progress.items():
                delivered = intent.roll.until.get(partition, 0) if intent else 0
                count += max(0, max(delivered, one.committed) - place_of(replay, folder, partition))
    return count


def _offset_at(path: Path, time: float) -> int:
    """The first record that was accepted at `time` (Unix seconds) or later; the end of the log when none was."""
    reader = PartitionReader(path, 0)
    for base in reversed(base_offsets(path)):
        reader = PartitionReader(path, base)
        first = next(PartitionReader(path, base).frames(), None)
        if first is not None and first.ingested_at_us / 1e6 < time:
            break
    for frame in reader.frames():
        if frame.ingested_at_us / 1e6 >= time:
            return frame.first_offset
    return reader.offset
