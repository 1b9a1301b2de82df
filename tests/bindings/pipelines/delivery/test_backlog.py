"""What waits for an INSERT, found by reading on from the last look."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edge.bindings.pipelines.delivery.intent import Tally
from edge.bindings.pipelines.delivery.status import Backlog, DeliveryStatus
from edge.bindings.pipelines.delivery.store import InsertKey, InsertState, Progress
from edge.bindings.pipelines.stream_log.log_sizes import bytes_between
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

import pytest

STREAM = "0" * 32
FRAMES, RECORDS = 40, 3
SEGMENT_BYTES = 700


@pytest.fixture
async def folders(tmp_path: Path) -> AsyncIterator[StreamFolders]:
    """A stream of FRAMES frames of RECORDS records, frame n accepted at second n, in many segments."""
    folders = StreamFolders(tmp_path)
    path = folders.folder(STREAM).partition(0)
    path.parent.mkdir(parents=True)
    log = PartitionLog(path, STREAM, 0, now=lambda: float(log.durable_offset // RECORDS), segment_bytes=SEGMENT_BYTES)
    log.open(asyncio.get_running_loop())
    for _ in range(FRAMES):
        await log.append(b'{"a":1}\n' * RECORDS, RECORDS)
    yield folders
    log.close()


def state(committed: int, insert_id: str = "i") -> InsertState:
    return InsertState(InsertKey(insert_id, "p", 0, STREAM, "s"), 0, "", {0: Progress(0, committed, Tally())})


async def test_the_oldest_that_waits_is_the_frame_of_the_next_record(folders: StreamFolders, tmp_path: Path) -> None:
    status = DeliveryStatus(tmp_path, folders)
    order = [*range(0, FRAMES * RECORDS, 2), 5, 80, 6, 81, FRAMES * RECORDS - 1]
    for committed in order:  # backward too: another INSERT may be behind
        found = status.backlog(state(committed))
        assert (found.record_count, found.oldest_at) == (FRAMES * RECORDS - committed, committed // RECORDS)
    assert status.backlog(state(FRAMES * RECORDS)) == Backlog(0, 0, None)


async def test_its_bytes_are_all_of_the_log_at_first_and_shrink_to_nothing(folders: StreamFolders) -> None:
    path, end = folders.folder(STREAM).partition(0), FRAMES * RECORDS
    segments = sorted(path.glob("*.log"))
    assert len(segments) == 4
    sizes = [bytes_between(path, committed, end) for committed in range(end + 1)]
    assert sizes[0] == sum(one.stat().st_size for one in segments)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
    assert bytes_between(path, 0, None) == sizes[0] - segments[-1].stat().st_size


def test_an_empty_log_has_no_bytes(tmp_path: Path) -> None:
    assert bytes_between(tmp_path, 0, None) == bytes_between(tmp_path, 0, 5) == 0
