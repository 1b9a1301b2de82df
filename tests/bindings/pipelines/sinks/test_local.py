"""The sink of local files, read back by readers of others."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge.bindings.pipelines.objects import SinkFormat, SinkObject
from edge.bindings.pipelines.sinks.file_layout import FileLayout
from edge.bindings.pipelines.sinks.file_stager import OPEN_FILES_MAX, FileStager
from edge.bindings.pipelines.sinks.local_folder import LocalSink
from edge.bindings.pipelines.sinks.sink import Roll, Rows, SinkMisconfiguredError, SinkSite, SinkUnavailableError
from edge.bindings.pipelines.sinks.types.local import open_sink
from edge.bindings.pipelines.stream_log.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable

INSERT_ID = "0123456789abcdef0123456789abcdef"
NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
DAY_US = 86_400_000_000


def rows(numbers: list[int], times_us: list[int] | None = None, **columns: Any) -> Rows:
    times = times_us or [NOW_US] * len(numbers)
    batch = pa.record_batch(
        {
            "n": pa.array(numbers, pa.int64()),
            **columns,
            "__edge_partition": pa.array([0] * len(numbers), pa.int32()),
            "__edge_offset": pa.array(numbers, pa.int64()),
            "__edge_ingested_at": pa.array(times, pa.timestamp("us", "UTC")),
        }
    )
    return Rows("s", batch, count=len(numbers))


def roll_of(stager: FileStager, epoch: int = 1) -> Roll:
    return Roll(INSERT_ID, "k", "s", epoch, 1, {0: 0}, {0: 1}, tuple(stager.close()))


def sink_in(
    folder: Path, form: SinkFormat | None = None, layout: FileLayout | None = None, **options: Any
) -> LocalSink:
    return LocalSink(folder / "out", form or SinkFormat(), layout or FileLayout(), **options)


def stager_in(folder: Path, sink: LocalSink, epoch: int = 1) -> FileStager:
    (folder / "staging").mkdir(exist_ok=True)
    return sink.open_stager(folder / "staging", INSERT_ID, epoch)


async def deliver(folder: Path, sink: LocalSink, *batches: Rows) -> list[Path]:
    stager = stager_in(folder, sink)
    for batch in batches:
        stager.write(batch)
    await sink.publish(roll_of(stager), folder / "staging")
    return files_in(folder)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "out").rglob("*") if path.is_file())


@pytest.mark.parametrize("compression", [None, "uncompressed", "snappy", "gzip", "zstd", "lz4"])
async def test_parquet_holds_the_rows_without_hidden_columns(tmp_path: Path, compression: Any) -> None:
    sink = sink_in(tmp_path, SinkFormat("parquet", compression))
    (path,) = await deliver(tmp_path, sink, rows([1, 2]), rows([3]))
    assert pq.read_table(path, partitioning=None).to_pydict() == {"n": [1, 2, 3]}
    written = pq.ParquetFile(path).metadata.row_group(0).column(0).compression
    assert written == {None: "ZSTD", "uncompressed": "UNCOMPRESSED"}.get(compression, str(compression).upper())


async def test_parquet_row_groups_are_as_large_as_asked(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, SinkFormat("parquet", row_group_bytes=100))
    stager = stager_in(tmp_path, sink)
    for first in range(0, 40, 4):
        stager.write(rows(list(range(first, first + 4))))
    roll = roll_of(stager)
    published = await sink.publish(roll, tmp_path / "staging")
    (path,) = files_in(tmp_path)
    assert pq.ParquetFile(path).metadata.num_row_groups == published.row_groups_written == 3
    assert (published.files_written, published.rows_written) == (1, 40)
    assert published.bytes_written == path.stat().st_size


async def test_json_is_one_object_a_line_and_log_lines_stay_as_they_are(tmp_path: Path) -> None:
    lines = Rows("s", lines=b'{"n" :2}\n', ingested_at_us=NOW_US, count=1)
    (path,) = await deliver(tmp_path, sink_in(tmp_path), rows([2**53 + 1]), lines)
    assert path.name.endswith(".json")
    assert path.read_bytes() == b'{"n":9007199254740993}\n{"n" :2}\n'


async def test_json_may_be_gzip_and_is_the_same_on_every_retry(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, SinkFormat("json", "gzip"))
    (path,) = await deliver(tmp_path, sink, rows([1]))
    assert path.name.endswith(".json.gz")
    assert json.loads(gzip.decompress(path.read_bytes())) == {"n": 1}
    assert await deliver(tmp_path, sink, rows([1])) == [path]


async def test_json_knows_no_other_compression(tmp_path: Path) -> None:
    stager = stager_in(tmp_path, sink_in(tmp_path, SinkFormat("json", "lz4")))
    with pytest.raises(SinkMisconfiguredError, match=r"JSON files cannot be compressed with lz4\. Use gzip"):
        stager.write(rows([1]))


async def test_files_are_named_by_day_and_by_a_stable_uuid(tmp_path: Path) -> None:
    paths = await deliver(tmp_path, sink_in(tmp_path), rows([1, 2, 3], [NOW_US - 1, NOW_US, NOW_US]))
    folders = ["year=2025/month=12/day=31", "year=2026/month=01/day=01"]
    names = [uuid5(UUID(INSERT_ID), f"1/0/{folder}") for folder in folders]
    expected = [tmp_path / "out" / f / f"{n}.json" for f, n in zip(folders, names, strict=True)]
    assert paths == expected
    assert [path.read_text() for path in paths] == ['{"n":1}\n', '{"n":2}\n{"n":3}\n']


async def test_more_folders_than_files_may_be_open_make_more_parts(tmp_path: Path) -> None:
    days = OPEN_FILES_MAX + 3
    batches = [rows([day], [NOW_US + day * DAY_US]) for day in [*range(days), *range(days)]]
    paths = await deliver(tmp_path, sink_in(tmp_path), *batches)
    numbers = [json.loads(line)["n"] for path in paths for line in path.read_text().splitlines()]
    assert sorted(numbers) == sorted([*range(days), *range(days)])


async def test_a_file_that_is_there_already_counts_as_done(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    (path,) = await deliver(tmp_path, sink, rows([1]))
    before = path.stat()
    assert await deliver(tmp_path, sink, rows([1])) == [path]
    assert path.stat().st_mtime_ns == before.st_mtime_ns


async def test_another_content_is_never_written_over(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    (path,) = await deliver(tmp_path, sink, rows([1]))
    with pytest.raises(SinkMisconfiguredError, match="is there with another content than the file to deliver"):
        await deliver(tmp_path, sink, rows([2]))
    assert path.read_text() == '{"n":1}\n'


async def test_lost_staging_is_said_and_nothing_guessed(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    stager = stager_in(tmp_path, sink)
    stager.write(rows([1]))
    roll = roll_of(stager)
    (tmp_path / "staging" / roll.files[0].name).unlink()
    with pytest.raises(SinkMisconfiguredError, match=r"is gone\. Nothing is guessed"):
        await sink.publish(roll, tmp_path / "staging")


class OtherFileSystem(Disk):
    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


async def test_another_file_system_gets_a_copy_and_never_half_a_file(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, disk=OtherFileSystem())
    (path,) = await deliver(tmp_path, sink, rows([1]))
    assert path.read_text() == '{"n":1}\n'
    assert await deliver(tmp_path, sink, rows([1])) == [path]
    with pytest.raises(SinkMisconfiguredError, match="another content"):
        await deliver(tmp_path, sink, rows([2]))


async def test_a_full_target_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    class FullDisk(OtherFileSystem):
        is_full = False

        def writev(self, descriptor: int, buffers: Any) -> int:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().writev(descriptor, buffers)

    disk = FullDisk()
    sink = sink_in(tmp_path, disk=disk)
    stager = stager_in(tmp_path, sink)
    stager.write(rows([1]))
    roll = roll_of(stager)
    disk.is_full = True
    with pytest.raises(SinkUnavailableError, match="No space left on device"):
        await sink.publish(roll, tmp_path / "staging")
    assert files_in(tmp_path) == []
    disk.is_full = False
    await sink.publish(roll, tmp_path / "staging")
    assert len(files_in(tmp_path)) == 1


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"time_pattern": "%q"}, "has %q, which is not known"),
        ({"time_pattern": "day=%d%"}, "which is not known"),
        ({"time_pattern": "../%Y"}, "is no place inside the sink"),
        ({"time_pattern": "a//b"}, "is no place inside the sink"),
        ({"path": "a/../../b"}, "is no place inside the sink"),
    ],
    ids=str,
)
def test_layouts_that_leave_the_folder_or_make_no_sense_are_refused(layout: dict[str, str], message: str) -> None:
    with pytest.raises(SinkMisconfiguredError, match=message):
        FileLayout(**layout)


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("", [""]),
        ("%F", ["2025-12-31", "2026-01-01"]),
        ("hour=%H", ["hour=00", "hour=23"]),
        ("%H-%M", ["00-00", "23-59"]),
        ("dt=%Y%m%dT%H%M%S", ["dt=20251231T235959", "dt=20260101T000000", "dt=20260101T000001"]),
    ],
)
def test_rows_are_split_as_finely_as_the_pattern_tells_apart(pattern: str, folders: list[str]) -> None:
    batch = rows([1, 2, 3, 4], [NOW_US - 1, NOW_US, NOW_US + 5, NOW_US + 1_000_000]).batch
    assert batch is not None
    found = [place for place, _ in FileLayout(time_pattern=pattern).split(batch)]
    assert sorted(found) == folders
    assert sum(part.num_rows for _, part in FileLayout(time_pattern=pattern).split(batch)) == 4


def open_declared(folder: Path, origin: Any = "declared", **config: Any) -> LocalSink:
    sink = SinkObject("0" * 32, "far", "local", 0.0, 0.0, config=config, origin=origin)
    return open_sink(sink, SinkSite(None, folder, 10.0))


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(SinkMisconfiguredError, match="Sink 'far': Object missing required field `path`"):
        open_declared(tmp_path)


def test_a_sink_of_the_api_stays_in_the_config_folder(tmp_path: Path) -> None:
    for path in ("/etc/x", "../out"):
        open_declared(tmp_path, path=path)
        with pytest.raises(SinkMisconfiguredError, match="is outside of"):
            open_declared(tmp_path, "api", path=path)
    open_declared(tmp_path, "api", path="out/far")


def test_abandoned_files_are_closed(tmp_path: Path, count_descriptors: Callable[[], int]) -> None:
    before = count_descriptors()
    for form in (SinkFormat(), SinkFormat("parquet", row_group_bytes=1)):
        stager = stager_in(tmp_path, sink_in(tmp_path, form))
        stager.write(rows([1]))
        stager.abandon()
    assert count_descriptors() == before


@pytest.fixture
def count_descriptors() -> Callable[[], int]:
    return lambda: len(list(Path("/dev/fd").iterdir()))
