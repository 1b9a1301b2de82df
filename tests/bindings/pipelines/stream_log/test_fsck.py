"""Check and repair: damage is found with its place, and a repaired log goes on without reusing offsets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.exporter import FileExporter
from edge.bindings.pipelines.stream_log.frames import HEADER
from edge.bindings.pipelines.stream_log.fsck import check_partition, repair_partition
from edge.bindings.pipelines.stream_log.segments import HEADER_BYTES, DamagedLogError
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., object]

RECORDS = 12
FRAME_BYTES = HEADER.size + len(b'{"n":10}\n')
"""Of each send: `n` has two digits."""


async def closed_log(open_partition: Open, segment_bytes: int) -> Path:
    """A log with one record a frame, nothing delivered; returns the partition's folder."""
    partition = open_partition(segment_bytes=segment_bytes)
    for n in range(10, 10 + RECORDS):
        await partition.send({"n": n})
    partition.log.close()
    return partition.folder


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def frame_at(index: int) -> int:
    return HEADER_BYTES + index * FRAME_BYTES


DAMAGES: dict[str, tuple[Callable[[Path], None], set[int]]] = {
    "body": (lambda folder: overwrite(segments(folder)[0], frame_at(1) + 45, b"x"), {1}),
    "frame header": (lambda folder: overwrite(segments(folder)[0], frame_at(0), b"xx"), {0}),
    "two frames": (lambda folder: overwrite(segments(folder)[0], frame_at(1) + 45, bytes(10)), {1, 2}),
    "two places": (
        lambda folder: [overwrite(segments(folder)[0], frame_at(n) + 45, b"x") for n in (0, 2)],
        {0, 2},
    ),
    "segment header": (lambda folder: overwrite(segments(folder)[0], 3, b"x"), set()),
    "segment header and frame": (lambda folder: overwrite(segments(folder)[0], 3, bytes(HEADER_BYTES)), {0}),
    "cut sealed segment": (lambda folder: os.truncate(segments(folder)[0], frame_at(2) + 10), {2, 3}),
    "empty sealed segment": (lambda folder: os.truncate(segments(folder)[1], 0), {4, 5, 6, 7}),
    "missing segment": (lambda folder: segments(folder)[1].unlink(), {4, 5, 6, 7}),
    "foreign segment": (
        lambda folder: segments(folder)[1].write_bytes(segments(folder)[0].read_bytes()),
        {4, 5, 6, 7},
    ),
    "newest segment": (lambda folder: overwrite(segments(folder)[-1], frame_at(1) + 45, b"x"), {9}),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_damage_is_found_repaired_and_the_log_goes_on(open_partition: Open, name: str) -> None:
    folder = await closed_log(open_partition, frame_at(4))
    assert len(segments(folder)) == 3
    damage, lost = DAMAGES[name]
    damage(folder)
    stream = StreamFolder(folder.parent)
    report = check_partition(stream, 0)
    assert report.damages
    assert sum(found.lost_count for found in report.damages) == len(lost)
    repair_partition(stream, report, Disk(), 0.0)
    again = check_partition(stream, 0)
    assert (again.damages, again.torn_bytes, again.declared_lost_count) == ([], 0, len(lost))
    assert again.next_offset == RECORDS
    partition = open_partition()
    await partition.send({"n": 99})
    kept = [b'{"n":%d}' % (n + 10) for n in range(RECORDS) if n not in lost] + [b'{"n":99}']
    assert partition.read() == kept
    FileExporter(stream, 0, Disk()).export(partition.log.durable_offset)
    delivered = b"".join(path.read_bytes() for path in sorted(stream.files.glob("*.ndjson")))
    assert delivered.splitlines() == kept


@pytest.mark.parametrize("name", [name for name, (_, lost) in DAMAGES.items() if lost])
async def test_control_without_a_repair_the_damage_stops_the_stream(open_partition: Open, name: str) -> None:
    folder = await closed_log(open_partition, frame_at(4))
    DAMAGES[name][0](folder)
    with pytest.raises(DamagedLogError):
        open_partition().read()


async def test_damaged_bytes_are_kept_whole_and_named_by_offsets(open_partition: Open) -> None:
    folder = await closed_log(open_partition, 10_000)
    path = segments(folder)[0]
    overwrite(path, frame_at(3) + 45, b"x")
    damaged = path.read_bytes()[frame_at(3) : frame_at(4)]
    stream = StreamFolder(folder.parent)
    report = check_partition(stream, 0)
    [damage] = report.damages
    assert (damage.path, damage.start, damage.end, damage.reason) == (path, frame_at(3), frame_at(4), "wrong checksum")
    [kept] = repair_partition(stream, report, Disk(), 0.0)
    assert kept == stream.dead / "0-00000000000000000003-00000000000000000003.damaged"
    assert kept.read_bytes() == damaged


async def test_torn_tail_is_no_damage(open_partition: Open) -> None:
    folder = await closed_log(open_partition, 10_000)
    os.truncate(segments(folder)[0], frame_at(RECORDS) - 5)
    report = check_partition(StreamFolder(folder.parent), 0)
    assert (report.damages, report.torn_bytes, report.record_count) == ([], FRAME_BYTES - 5, RECORDS - 1)


@pytest.mark.parametrize("is_gone", [False, True], ids=["cut", "removed"])
async def test_end_that_a_reader_proves_is_damage(open_partition: Open, *, is_gone: bool) -> None:
    folder = await closed_log(open_partition, 10_000)
    stream = StreamFolder(folder.parent)
    stream.save_cursor("files", 0, 3, Disk())
    stream.save_cursor("sink", 0, RECORDS, Disk())
    [path] = segments(folder)
    if is_gone:
        path.unlink()
    else:
        os.truncate(path, frame_at(5) + 3)
    with pytest.raises(DamagedLogError, match="files has not had all of it"):
        open_partition()
    report = check_partition(stream, 0)
    [damage] = report.damages
    assert (damage.first_offset, damage.next_offset) == (3 if is_gone else 5, RECORDS)
    repair_partition(stream, report, Disk(), 0.0)
    partition = open_partition()
    assert (partition.log.loss, partition.log.durable_offset) == (None, RECORDS)
    await partition.send({"n": 99})
    assert FileExporter(stream, 0, Disk()).export(RECORDS + 1)
    assert [path.name for path in sorted(stream.files.iterdir())][-1].startswith(f"0-{RECORDS:020d}")


async def test_beginning_that_a_reader_needs_is_damage(open_partition: Open) -> None:
    folder = await closed_log(open_partition, frame_at(4))
    stream = StreamFolder(folder.parent)
    stream.save_cursor("files", 0, 1, Disk())
    segments(folder)[0].unlink()
    report = check_partition(stream, 0)
    assert [(found.first_offset, found.next_offset) for found in report.damages] == [(1, 4)]
    repair_partition(stream, report, Disk(), 0.0)
    assert check_partition(stream, 0).damages == []
    assert open_partition().read(1)[0] == b'{"n":14}'
