"""Names, ids and what can be seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.stream_log import reader as reader_module
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.exporter import FileExporter
from edge.bindings.pipelines.stream_log.reader import PartitionReader
from edge.bindings.pipelines.stream_log.segments import HEADER_BYTES, base_offsets, segment_path
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders, stream_id_of
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., object]

STREAM_ID = "0123456789abcdef0123456789abcdef"


@given(st.text(st.characters()))
def test_no_name_becomes_a_path(name: str) -> None:
    stream_id = stream_id_of(name)
    assert len(stream_id) == 32
    assert set(stream_id) <= set("0123456789abcdef")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", "", "A" * 32, "0123456789ABCDEF0123456789ABCDEF"])
def test_what_is_no_id_is_hashed(name: str) -> None:
    assert stream_id_of(name) != name
    assert stream_id_of(name) == stream_id_of(name)


def test_id_and_name_lead_to_the_same_stream(tmp_path: Path) -> None:
    folders = StreamFolders(tmp_path)
    folder = folders.folder("flights")
    assert folders.folder(folder.id).path == folder.path
    folder.save_meta(folder.id, 5.0, Disk())
    assert folder.load_meta() == {"format": 1, "id": folder.id, "schema": None, "created_at": 5.0, "name": folder.id}
    folder.save_meta("flights", 9.0, Disk())
    folder.save_meta(folder.id, 9.0, Disk())
    assert folder.load_meta() == {"format": 1, "id": folder.id, "schema": None, "created_at": 5.0, "name": "flights"}


def test_damaged_meta_says_what_to_do(tmp_path: Path) -> None:
    folder = StreamFolders(tmp_path).folder("s")
    folder.path.mkdir(parents=True)
    (folder.path / "meta.json").write_text("{")
    with pytest.raises(BackendError, match=r"meta\.json cannot be read: .* Restore it, or remove it"):
        folder.load_meta()


def log_bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


async def test_list_shows_counts_partitions_and_times(open_partition: Open, tmp_path: Path) -> None:
    for number in (0, 1):
        partition = open_partition(number, segment_bytes=HEADER_BYTES + 10)
        for n in range(number + 1):
            await partition.send(n, n)
    folders = StreamFolders(tmp_path)
    [summary] = folders.list()
    assert summary.id == summary.name == STREAM_ID
    assert summary.record_count == 6
    assert summary.partitions == (0, 1)
    assert summary.log_bytes == log_bytes_under(tmp_path)
    assert summary.oldest_at == summary.newest_at == 1_767_225_600.0
    assert summary.files_folder == tmp_path / "streams" / STREAM_ID / "files"


def test_nothing_to_list_is_an_empty_list(tmp_path: Path) -> None:
    assert StreamFolders(tmp_path).list() == []


async def test_tail_of_an_unknown_stream_names_the_known_ones(tmp_path: Path) -> None:
    folders = StreamFolders(tmp_path)
    folders.folder("flights").save_meta("flights", 0.0, Disk())
    with pytest.raises(BackendError, match=r"There is no stream 'fligths' under .* Streams there: flights\."):
        await anext(folders.tail("fligths"))


async def test_tail_gives_each_record_with_partition_offset_and_time(open_partition: Open, tmp_path: Path) -> None:
    await open_partition(0).send("a", "b", "c")
    await open_partition(2).send("d")
    tailed = [record async for record in StreamFolders(tmp_path).tail(STREAM_ID, 1, follow=False)]
    assert [(record.partition, record.offset, record.json) for record in tailed] == [(0, 1, b'"b"'), (0, 2, b'"c"')]
    everything = [record async for record in StreamFolders(tmp_path).tail(STREAM_ID, follow=False)]
    assert len(everything) == 4
    assert everything[0].ingested_at == 1_767_225_600.0


async def test_tail_follows_a_live_writer_through_new_segments_and_partitions(
    open_partition: Open, tmp_path: Path
) -> None:
    partition = open_partition(0, segment_bytes=HEADER_BYTES + 50)
    await partition.send(0)
    seen: list[int] = []
    to_send = iter(range(1, 20))

    async def send_one_more(_: float) -> None:
        if (n := next(to_send, None)) is None:
            raise EOFError
        await (partition if n < 15 else open_partition(n)).send(n)

    async def tail() -> None:
        async for record in StreamFolders(tmp_path).tail(STREAM_ID, sleep=send_one_more):
            seen.append(json.loads(record.json))

    with pytest.raises(EOFError):
        await tail()
    assert seen == list(range(20))


async def test_tail_goes_on_at_the_oldest_segment_after_a_trim(open_partition: Open, tmp_path: Path) -> None:
    partition = open_partition(0, segment_bytes=HEADER_BYTES + 10)
    for n in range(5):
        await partition.send(n)
    for path in sorted(partition.folder.glob("*.log"))[:3]:
        path.unlink()
    tailed = [record.offset async for record in StreamFolders(tmp_path).tail(STREAM_ID, follow=False)]
    assert tailed == [3, 4]


async def test_two_tails_during_writes_and_trims_see_every_record_in_order(
    open_partition: Open, tmp_path: Path
) -> None:
    partition = open_partition(0, segment_bytes=HEADER_BYTES + 200)
    await partition.send(0)
    exporter = FileExporter(StreamFolders(tmp_path).folder(STREAM_ID), 0, Disk())

    async def tail() -> list[int]:
        seen: list[int] = []
        async with aclosing(StreamFolders(tmp_path).tail(STREAM_ID, sleep=lambda _: asyncio.sleep(0))) as records:
            async for record in records:
                seen.append(json.loads(record.json))
                if seen[-1] == 299:
                    return seen
        raise AssertionError("it follows until it is closed")

    tails = [asyncio.ensure_future(tail()) for _ in range(2)]
    for n in range(1, 300):
        await partition.send(n)
        if n % 20 == 0:
            await asyncio.to_thread(exporter.export, n - 10)
            assert min(partition.folder.glob("*.log")).name != f"{0:020d}.log"
            assert StreamFolders(tmp_path).list()[0].record_count == n + 1
    async with asyncio.timeout(60):
        for seen in await asyncio.gather(*tails):
            assert seen == sorted(set(seen)), "in order, none twice"
            assert set(range(290, 300)) <= set(seen), "the log still had these"


async def test_segment_that_went_on_and_was_trimmed_between_two_looks_is_passed_over(
    open_partition: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = open_partition(0, segment_bytes=HEADER_BYTES + 60)
    for n in range(4):
        await partition.send(n)
    sealed = segment_path(partition.folder, 0)
    os.truncate(sealed, HEADER_BYTES + 42)  # what there was at the first look
    looks = count(1)

    def list_and_trim(folder: Path) -> list[int]:
        if next(looks) == 2:
            sealed.unlink()
            return [0, *base_offsets(folder)]
        return base_offsets(folder)

    monkeypatch.setattr(reader_module, "base_offsets", list_and_trim)
    assert [frame.first_offset for frame in PartitionReader(partition.folder).frames()] == [0, 2, 3]


async def test_tail_and_list_take_no_lock(open_partition: Open, tmp_path: Path) -> None:
    partition = open_partition()
    await asyncio.gather(*(partition.send(n) for n in range(5)))
    assert StreamFolders(tmp_path).list()[0].record_count == 5
    await partition.send(5)
