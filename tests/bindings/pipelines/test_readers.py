"""Who reads a log, and what is kept for them: pipelines, files, retention."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.disk import Disk
from edge.bindings.pipelines.exporter import FileExporter
from edge.bindings.pipelines.recovery import reader_offsets
from edge.bindings.pipelines.segments import HEADER_BYTES, base_offsets, segment_path
from edge.bindings.pipelines.stream_folders import FILES_READER, StreamFolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Make = Callable[[], Awaitable[StreamFolder]]

PIPELINE = "pipeline-0"


@pytest.fixture
def five_segments(open_partition: Callable[..., object]) -> Make:
    """A stream with the records 0 to 4 in partition 0, each in a segment of its own."""

    async def make() -> StreamFolder:
        partition = open_partition(segment_bytes=HEADER_BYTES + 10)
        for n in range(5):
            await partition.send(n)
        return StreamFolder(partition.folder.parent)

    return make


def bases(folder: StreamFolder) -> list[int]:
    return base_offsets(folder.partition(0))


async def test_a_new_reader_starts_at_the_oldest_record_and_keeps_it(five_segments: Make) -> None:
    folder = await five_segments()
    folder.save_cursor(FILES_READER, 0, 2, Disk())
    folder.trim(0, Disk())
    assert folder.begin_cursor(PIPELINE, 0, Disk()) == 2
    folder.save_cursor(FILES_READER, 0, 5, Disk())
    folder.trim(0, Disk())
    assert bases(folder) == [2, 3, 4]


async def test_while_a_pipeline_reads_the_files_reader_keeps_nothing(five_segments: Make) -> None:
    folder = await five_segments()
    folder.save_cursor(FILES_READER, 0, 1, Disk())
    folder.save_cursor(PIPELINE, 0, 4, Disk())
    assert folder.is_piped()
    assert folder.load_cursors(0) == reader_offsets(folder, 0) == {PIPELINE: 4}
    folder.trim(0, Disk())
    assert bases(folder) == [4]


async def test_a_stream_that_is_only_checked_still_goes_out_as_files(five_segments: Make) -> None:
    folder = await five_segments()
    folder.save_cursor("check-0", 0, 5, Disk())
    assert not folder.is_piped()
    folder.trim(0, Disk())
    assert bases(folder) == [0, 1, 2, 3, 4], "the first file is still to come"
    assert reader_offsets(folder, 0) == {"check-0": 5, FILES_READER: 0}


async def test_files_go_on_where_the_last_pipeline_was(five_segments: Make) -> None:
    folder = await five_segments()
    exporter = FileExporter(folder, 0, Disk())
    folder.save_cursor(PIPELINE, 0, 0, Disk())
    assert exporter.export(5) == 0
    folder.save_cursor(FILES_READER, 0, 3, Disk())
    folder.remove_cursors(PIPELINE, Disk())
    assert exporter.export(5) == 2
    assert [path.name.split("-")[1].lstrip("0") for path in folder.files.iterdir()] == ["3"]


async def test_delivered_segments_stay_for_the_retention(five_segments: Make) -> None:
    folder = await five_segments()
    folder.save_cursor(PIPELINE, 0, 5, Disk())
    for base in (0, 1, 3):
        os.utime(segment_path(folder.partition(0), base), (1_000.0, 1_000.0))
    assert folder.trim(0, Disk(), written_before=1_000.0) == 0
    assert folder.trim(0, Disk(), written_before=1_001.0) == 2, "and nothing is taken out of the middle"
    assert bases(folder) == [2, 3, 4]
