"""Delivery: every record in exactly one file, whatever fails in between; the log is trimmed only behind it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.log import DamagedStreamError
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.exporter import READER, FileExporter, remove_oldest_files
from edge.bindings.pipelines.stream_log.segments import HEADER_BYTES, DamagedLogError
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., object]


def exporter_of(partition: object, disk: Disk | None = None, **options: int) -> FileExporter:
    return FileExporter(StreamFolder(partition.folder.parent), 0, disk or Disk(), **options)


def files(partition: object) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((partition.folder.parent / "files").iterdir())}


async def test_file_is_named_after_its_records(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(1, 2)
    exporter = exporter_of(partition)
    assert exporter.export(partition.log.durable_offset) == 2
    await partition.send({"n": 3})
    assert exporter.export(partition.log.durable_offset) == 1
    assert exporter.export(partition.log.durable_offset) == 0
    assert files(partition) == {
        "0-00000000000000000000-00000000000000000001.ndjson": b"1\n2\n",
        "0-00000000000000000002-00000000000000000002.ndjson": b'{"n":3}\n',
    }


async def test_long_backlog_becomes_several_files(open_partition: Open) -> None:
    partition = open_partition(segment_bytes=200)
    for n in range(10):
        await partition.send(n)
    exporter_of(partition, file_bytes=6).export(10)
    assert b"".join(files(partition).values()) == b"".join(b"%d\n" % n for n in range(10))
    assert len(files(partition)) == 4


async def test_log_is_trimmed_behind_delivered_files_only(open_partition: Open) -> None:
    partition = open_partition(segment_bytes=HEADER_BYTES + 10)
    for n in range(5):
        await partition.send(n)
    exporter = exporter_of(partition)
    assert len(list(partition.folder.glob("*.log"))) == 5
    exporter.export(3)
    assert partition.read() == [b"3", b"4"]
    exporter.export(5)
    assert partition.read() == [b"4"], "the newest segment stays"


async def test_log_is_kept_for_a_slower_reader(open_partition: Open) -> None:
    partition = open_partition(segment_bytes=HEADER_BYTES + 10)
    for n in range(5):
        await partition.send(n)
    exporter = exporter_of(partition)
    StreamFolder(partition.folder.parent).save_cursor("sink", 0, 2, Disk())
    exporter.export(5)
    assert partition.read() == [b"2", b"3", b"4"]


class DiesAt(Disk):
    """Raises at one operation of the delivery, as a kill there would; everything before it is done."""

    def __init__(self, operation: str, suffix: str) -> None:
        self.operation, self.suffix = operation, suffix

    def replace(self, source: Path, target: Path) -> None:
        if self.operation == "before rename" and target.name.endswith(self.suffix):
            raise KeyboardInterrupt
        super().replace(source, target)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        if self.operation == "after sync" and path.name == self.suffix:
            raise KeyboardInterrupt

    def unlink(self, path: Path) -> None:
        if self.operation == "before trim" and path.suffix == ".log":
            raise KeyboardInterrupt
        super().unlink(path)


@pytest.mark.parametrize(
    ("operation", "suffix"),
    [
        ("before rename", ".ndjson"),
        ("after sync", "files"),
        ("before rename", "files.0"),
        ("after sync", "cursors"),
        ("before trim", ""),
    ],
    ids=["before the file", "after the file", "before the cursor", "after the cursor", "before the trim"],
)
async def test_crash_at_any_step_delivers_each_record_once(open_partition: Open, operation: str, suffix: str) -> None:
    partition = open_partition(segment_bytes=HEADER_BYTES + 10)
    for n in range(4):
        await partition.send(n)
    dying = exporter_of(partition, DiesAt(operation, suffix), file_bytes=4)
    with pytest.raises(KeyboardInterrupt):
        dying.export(4)
    await partition.send(4)
    exporter_of(partition, file_bytes=4).export(5)
    assert b"".join(files(partition).values()) == b"0\n1\n2\n3\n4\n"
    assert not [name for name in files(partition) if name.endswith(".tmp")]


async def test_control_without_names_or_cursor_records_come_twice(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(0)
    exporter_of(partition).export(1)
    (partition.folder.parent / "cursors" / "files.0").unlink()
    first = partition.folder.parent / "files" / "0-00000000000000000000-00000000000000000000.ndjson"
    first.rename(first.with_name("moved-away.ndjson"))
    exporter_of(partition).export(1)
    assert list(files(partition).values()) == [b"0\n", b"0\n"]


async def test_failed_file_is_written_again_and_leaves_nothing_behind(open_partition: Open) -> None:
    class Full(Disk):
        is_full = True

        def writev(self, descriptor: int, buffers: object) -> int:
            if self.is_full:
                raise OSError(28, os.strerror(28))
            return super().writev(descriptor, buffers)

    partition = open_partition()
    await partition.send(1)
    disk = Full()
    exporter = exporter_of(partition, disk)
    with pytest.raises(OSError, match="No space left"):
        exporter.export(1)
    assert files(partition) == {}
    disk.is_full = False
    assert exporter.export(1) == 1
    assert list(files(partition).values()) == [b"1\n"]


async def test_damage_is_not_delivered_around(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(1)
    await partition.send(2)
    content = bytearray(partition.newest.read_bytes())
    content[-1] ^= 1
    partition.newest.write_bytes(content)
    with pytest.raises(DamagedLogError, match="a frame is unreadable"):
        exporter_of(partition).export(2)


@pytest.mark.parametrize("garbage", [b"", b"x", b"-1", b"\xff\xfe", b"9" * 40], ids=repr)
async def test_damaged_cursor_is_rebuilt_from_the_delivered_files(open_partition: Open, garbage: bytes) -> None:
    partition = open_partition()
    await partition.send(1, 2)
    exporter_of(partition).export(2)
    folder = StreamFolder(partition.folder.parent)
    (folder.cursors / "files.0").write_bytes(garbage)
    await partition.send(3)
    exporter = exporter_of(partition)
    assert (exporter.is_cursor_rebuilt, exporter.offset, folder.load_cursor(READER, 0)) == (True, 2, 2)
    exporter.export(3)
    assert b"".join(files(partition).values()) == b"1\n2\n3\n"


async def test_damaged_cursor_of_another_reader_is_not_guessed(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(1)
    StreamFolder(partition.folder.parent).save_cursor("sink", 0, 1, Disk())
    partition.log.close()
    (partition.folder.parent / "cursors" / "sink.0").write_bytes(b"x")
    with pytest.raises(DamagedStreamError, match=r"sink\.0 is damaged. Write the next offset"):
        open_partition()


def test_oldest_files_go_first_and_the_newest_stays(tmp_path: Path) -> None:
    paths = [tmp_path / f"{age}.ndjson" for age in range(4)]
    for age, path in enumerate(paths):
        path.write_bytes(bytes(100))
        os.utime(path, (1_000 + age, 1_000 + age))
    assert remove_oldest_files(reversed(paths), 250, Disk()) == paths[:2]
    assert remove_oldest_files(paths, 0, Disk()) == [paths[2]]
    assert paths[3].exists()
