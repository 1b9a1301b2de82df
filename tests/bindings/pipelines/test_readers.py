"""Who reads a log, and what is kept for them: pipelines, files, retention."""

from __future__ import annotations

import fcntl
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.admin import PipelinesAdmin, table_names
from edge.bindings.pipelines.delivery.insert_runner import reader_of
from edge.bindings.pipelines.delivery.plan import decide_plan
from edge.bindings.pipelines.objects import PipelineObject, SinkObject, StreamObject
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.exporter import FileExporter
from edge.bindings.pipelines.stream_log.recovery import reader_offsets
from edge.bindings.pipelines.stream_log.segments import HEADER_BYTES, base_offsets, segment_path
from edge.bindings.pipelines.stream_log.stream_folders import FILES_READER, StreamFolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Make = Callable[[], Awaitable[StreamFolder]]

PIPELINE = "pipeline-0"
STREAM_ID = "0123456789abcdef0123456789abcdef"  # where conftest's open_partition writes


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


async def test_nobody_waits_for_the_disk_of_one_who_begins_or_trims(five_segments: Make) -> None:
    """A process that is stopped while it syncs holds no other one up."""
    folder = await five_segments()
    passed: list[str] = []

    class Watched(Disk):
        def sync(self, descriptor: int) -> None:
            take_turn("sync")
            super().sync(descriptor)

        def sync_folder(self, path: Path) -> None:
            take_turn("sync_folder")
            super().sync_folder(path)

    def take_turn(call: str) -> None:
        turn = os.open(folder.cursors, os.O_RDONLY)
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while another has it
        os.close(turn)
        passed.append(call)

    folder.cursors.mkdir()
    assert folder.begin_cursor(FILES_READER, 0, Watched()) == 0
    folder.save_cursor(FILES_READER, 0, 2, Disk())
    assert folder.trim(0, Watched()) == 2
    assert passed == ["sync", "sync_folder", "sync_folder"]


async def test_a_segment_that_goes_while_a_reader_begins_is_seen(five_segments: Make) -> None:
    folder = await five_segments()
    folder.save_cursor(FILES_READER, 0, 2, Disk())

    class Late(Disk):
        def sync(self, descriptor: int) -> None:
            super().sync(descriptor)
            folder.trim(0, Disk())

    assert folder.begin_cursor(PIPELINE, 0, Late()) == 2
    assert folder.load_cursor(PIPELINE, 0) == 2


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


def add_pipeline(admin: PipelinesAdmin, name: str, sql: str) -> list[str]:
    """Put a pipeline into the catalogue, as any way to make one does; the names of its readers."""
    pipeline = PipelineObject((name * 32)[:32], name, sql, 1.0, 1.0)
    admin.catalogue.add_pipeline(pipeline, table_names(sql))
    plans = decide_plan(admin.catalogue).values()
    return [reader_of(plan.key) for plan in plans if plan.pipeline and plan.pipeline.name == name]


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[PipelinesAdmin]:
    """Of a catalogue with the stream of `five_segments`, which no pipeline reads yet."""
    with closing(PipelinesAdmin.of(tmp_path)) as admin:
        admin.catalogue.add_stream(StreamObject(STREAM_ID, "flights", 1.0, 1.0))
        for name in "ab":
            admin.catalogue.add_sink(SinkObject(name * 32, name, "local", 1.0, 1.0, {"path": name}))
        yield admin


async def test_everything_is_kept_for_a_pipeline_that_has_not_begun(five_segments: Make, admin: PipelinesAdmin) -> None:
    await five_segments()
    folder = admin.folders.folder(STREAM_ID)
    exporter = FileExporter(folder, 0, Disk())
    add_pipeline(admin, "a", "INSERT INTO a SELECT * FROM flights")
    assert folder.is_piped()
    assert exporter.export(5) == 0
    assert list(folder.files.iterdir()) == []
    folder.save_cursor(FILES_READER, 0, 5, Disk())
    folder.trim(0, Disk())
    assert bases(folder) == [0, 1, 2, 3, 4]
    assert admin.unprocessed_count(STREAM_ID) == 5


async def test_control_without_the_catalogue_the_log_is_gone_before_the_pipeline_begins(
    five_segments: Make, admin: PipelinesAdmin
) -> None:
    folder = await five_segments()  # it asks no catalogue
    add_pipeline(admin, "a", "INSERT INTO a SELECT * FROM flights")
    assert FileExporter(folder, 0, Disk()).export(5) == 5
    assert bases(folder) == [4]


async def test_a_pipeline_that_runs_leaves_the_log_to_one_that_has_not_begun(
    five_segments: Make, admin: PipelinesAdmin
) -> None:
    await five_segments()
    folder = admin.folders.folder(STREAM_ID)
    [first] = add_pipeline(admin, "a", "INSERT INTO a SELECT * FROM flights")
    folder.save_cursor(first, 0, 3, Disk())
    folder.trim(0, Disk())
    assert bases(folder) == [3, 4]
    [second] = add_pipeline(admin, "b", "INSERT INTO b SELECT * FROM flights")
    folder.save_cursor(first, 0, 5, Disk())
    folder.trim(0, Disk())
    assert bases(folder) == [3, 4]
    assert folder.begin_cursor(second, 0, Disk()) == 3
    admin.catalogue.delete_pipeline("b" * 32)
    folder.remove_cursors(second, Disk())
    folder.trim(0, Disk())
    assert bases(folder) == [4]
