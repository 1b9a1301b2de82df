"""A log whose end is gone: proofs of what was there declare the hole or stop the stream; offsets stay unique."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.stream_log import recovery as recovery_module
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.drain import OrphanDrain
from edge.bindings.pipelines.stream_log.exporter import FileExporter
from edge.bindings.pipelines.stream_log.segments import HEADER_BYTES, DamagedLogError
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolder, StreamFolders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., object]


def export(partition: object) -> None:
    FileExporter(StreamFolder(partition.folder.parent), 0, Disk()).export(partition.log.durable_offset)


def delivered(partition: object) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((partition.folder.parent / "files").glob("*.ndjson")))


async def delivered_log(open_partition: Open, **options: int) -> Path:
    """Five sends, all delivered, the log closed; returns the partition's folder."""
    partition = open_partition(**options)
    for n in range(5):
        await partition.send({"n": n})
    export(partition)
    partition.log.close()
    return partition.folder


def newest(folder: Path) -> Path:
    return max(folder.glob("*.log"))


def cut(folder: Path, byte_count: int) -> None:
    os.truncate(newest(folder), max(0, newest(folder).stat().st_size - byte_count))


def flip_last_byte(folder: Path) -> None:
    content = bytearray(newest(folder).read_bytes())
    content[-1] ^= 1
    newest(folder).write_bytes(content)


def remove_segments(folder: Path) -> None:
    for path in folder.glob("*.log"):
        path.unlink()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "one byte": lambda folder: cut(folder, 1),
    "a frame": lambda folder: cut(folder, 53),
    "frames and a half": lambda folder: cut(folder, 130),
    "last byte flipped": flip_last_byte,
    "only the header left": lambda folder: os.truncate(newest(folder), HEADER_BYTES),
    "half a header": lambda folder: os.truncate(newest(folder), HEADER_BYTES - 1),
    "empty": lambda folder: os.truncate(newest(folder), 0),
    "no segment": remove_segments,
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("segment_bytes", [10_000, HEADER_BYTES + 10], ids=["one segment", "trimmed segments"])
@pytest.mark.parametrize("proof", ["both", "cursor", "files"])
async def test_delivered_records_gone_from_the_log_are_declared_and_nothing_is_lost(
    open_partition: Open, name: str, segment_bytes: int, proof: str
) -> None:
    folder = await delivered_log(open_partition, segment_bytes=segment_bytes)
    if proof == "cursor":
        for path in (folder.parent / "files").glob("*.ndjson"):
            path.unlink()
    if proof == "files":
        (folder.parent / "cursors" / "files.0").unlink()
    DAMAGES[name](folder)
    partition = open_partition()
    assert partition.log.loss is not None
    assert partition.log.loss.next_offset == partition.log.durable_offset == 5
    await partition.send({"n": 5})
    export(partition)
    whole = b"".join(b'{"n":%d}\n' % n for n in range(6))
    assert delivered(partition) == (b'{"n":5}\n' if proof == "cursor" else whole)
    assert partition.read()[-1] == b'{"n":5}'
    partition.log.close()
    again = open_partition()
    assert (again.log.loss, again.log.durable_offset) == (None, 6)


async def test_control_without_the_proofs_the_next_record_never_reaches_the_files(
    open_partition: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await delivered_log(open_partition)
    cut(folder, 1)
    monkeypatch.setattr(recovery_module, "reader_offsets", lambda *_: {"files": 0})
    monkeypatch.setattr(StreamFolder, "delivered_until", lambda *_: 0)
    partition = open_partition()
    monkeypatch.undo()
    await partition.send({"n": 5})
    export(partition)
    assert b'{"n":5}' not in delivered(partition)


async def test_bytes_that_cannot_be_read_are_kept(open_partition: Open) -> None:
    folder = await delivered_log(open_partition)
    content = newest(folder).read_bytes()
    flip_last_byte(folder)
    [kept] = open_partition().log.loss.kept
    assert kept == folder.parent / "dead" / "0-00000000000000000004-00000000000000000004.damaged"
    assert content[:-1].endswith(kept.read_bytes()[:-1])


async def test_hole_that_a_reader_has_not_had_stops_the_stream(open_partition: Open) -> None:
    folder = await delivered_log(open_partition)
    StreamFolder(folder.parent).save_cursor("sink", 0, 2, Disk())
    cut(folder, 1)
    with pytest.raises(DamagedLogError, match="ends at offset 4, but 5 was reached, and sink has not had all of it"):
        open_partition()


async def test_name_of_an_empty_segment_proves_what_came_before_it(open_partition: Open) -> None:
    partition = open_partition(segment_bytes=HEADER_BYTES + 10)
    for n in range(3):
        await partition.send(n)
    partition.log.close()
    os.truncate(partition.newest, 0)
    open_partition().log.close()
    (partition.folder / f"{3:020d}.log").touch()
    with pytest.raises(DamagedLogError, match="ends at offset 2, but 3 was reached, and files has not had all of it"):
        open_partition()


async def test_log_that_begins_behind_what_a_reader_needs_stops_the_stream(open_partition: Open) -> None:
    folder = await delivered_log(open_partition, segment_bytes=HEADER_BYTES + 10)
    StreamFolder(folder.parent).save_cursor("sink", 0, 2, Disk())
    with pytest.raises(DamagedLogError, match="'sink' has not had what came from offset 2 on"):
        open_partition()


async def test_reader_accepts_a_declared_hole_only(open_partition: Open) -> None:
    folder = await delivered_log(open_partition)
    cut(folder, 60)
    partition = open_partition(segment_bytes=HEADER_BYTES + 10)
    for n in (5, 6):
        await partition.send({"n": n})
    assert partition.read() == [b'{"n":%d}' % n for n in (0, 1, 2, 5, 6)]
    next(iter(sorted(folder.glob("*5.log")))).unlink()
    with pytest.raises(DamagedLogError, match="a frame is unreadable"):
        partition.read()


async def test_file_names_claim_no_lost_record(open_partition: Open) -> None:
    folder = await delivered_log(open_partition)
    cut(folder, 60)
    partition = open_partition()
    await partition.send({"n": 5})
    for path in [*(folder.parent / "files").glob("*"), *(folder.parent / "cursors").glob("*")]:
        path.unlink()
    export(partition)
    assert [path.name for path in sorted((folder.parent / "files").iterdir())] == [
        "0-00000000000000000000-00000000000000000002.ndjson",
        "0-00000000000000000005-00000000000000000005.ndjson",
    ]


async def test_drain_declares_a_hole_and_tells_of_an_orphan_it_cannot_read_once(
    open_partition: Open, tmp_path: Path
) -> None:
    folder = await delivered_log(open_partition)
    cut(folder, 1)
    drain = OrphanDrain(StreamFolders(tmp_path), Disk(), lambda: 0.0)
    [told] = drain.run_once()
    assert (told.loss.first_offset, told.loss.next_offset, told.failure) == (4, 5, None)
    StreamFolder(folder.parent).save_cursor("sink", 0, 2, Disk())
    cut(folder, 1)
    [told] = drain.run_once()
    assert isinstance(told.failure, DamagedLogError)
    assert drain.run_once() == []
