"""What a feed gives out: durable records in order, read once for all who stand at the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.bindings.pipelines.delivery import feed as feed_module
from edge.bindings.pipelines.delivery.columns import hidden_columns
from edge.bindings.pipelines.delivery.feed import Chunk, StreamFeed
from edge.bindings.pipelines.stream_log.frames import lost_frames
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    Open = Callable[..., object]


def feed_of(partition: object, **options: object) -> StreamFeed:
    return StreamFeed(StreamFolder(partition.folder.parent), **options)


def texts(chunk: Chunk | None) -> list[bytes]:
    assert chunk is not None
    return chunk.records()


async def test_chunks_follow_each_other_up_to_what_is_durable(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(0, 1)
    await partition.send(2)
    feed = feed_of(partition)
    chunk = feed.next_chunk(0, 0)
    assert texts(chunk) == [b"0", b"1", b"2"]
    assert (chunk.since, chunk.until, chunk.count, chunk.lost_count) == (0, 3, 3, 0)
    assert feed.next_chunk(0, 3) is None
    await partition.send(3)
    assert texts(feed.next_chunk(0, 3)) == [b"3"]
    assert feed_of(partition, durable=lambda _: 2).next_chunk(0, 0).until == 2, "the second send is not durable"


async def test_a_chunk_is_closed_when_it_is_long(open_partition: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "CHUNK_BYTES", 4)
    partition = open_partition()
    for n in range(4):
        await partition.send(n)
    assert [(c.since, c.until) for c in (feed_of(partition).next_chunk(0, n) for n in (0, 2))] == [(0, 2), (2, 4)]


async def test_a_place_in_the_middle_of_a_send_is_one(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(0, 1, 2)
    chunk = feed_of(partition).next_chunk(0, 1)
    assert texts(chunk) == [b"1", b"2"]
    assert hidden_columns(chunk)[1].to_pylist() == [1, 2]


async def test_the_part_of_a_chunk_before_an_offset_has_its_records_and_holes(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(0, 1, 2)
    await partition.send(3, 4)
    chunk = feed_of(partition).next_chunk(0, 0)
    assert chunk is not None
    parts = [chunk.before(offset) for offset in (1, 3, 4)]
    assert [(texts(one), one.until, one.count, one.lost_count) for one in parts] == [
        ([b"0"], 1, 1, 0),
        ([b"0", b"1", b"2"], 3, 3, 0),
        ([b"0", b"1", b"2", b"3"], 4, 4, 0),
    ]
    assert hidden_columns(parts[2])[1].to_pylist() == [0, 1, 2, 3]
    chunk.firsts[1] = 7  # the log lost four records before the second send
    assert [(one.count, one.lost_count) for one in (chunk.before(6), chunk.before(8))] == [(3, 3), (4, 4)]


async def test_records_the_log_declares_lost_are_counted_and_passed_over(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(0, 1)
    partition.log.close()
    with partition.newest.open("ab") as log:
        log.write(lost_frames(2, 5, 0))
    partition = open_partition()
    await partition.send(5, 6)
    chunk = feed_of(partition).next_chunk(0, 0)
    assert (chunk.until, chunk.count, chunk.lost_count) == (7, 4, 3)
    assert [chunk.offset_of(index) for index in range(4)] == hidden_columns(chunk)[1].to_pylist() == [0, 1, 5, 6]
    assert [chunk.index_of(offset) for offset in (0, 1, 5, 6)] == [0, 1, 2, 3]


async def test_several_consumers_share_a_chunk_and_one_keeps_none(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(0)
    feed = feed_of(partition)
    assert feed.next_chunk(0, 0) is not feed.next_chunk(0, 0)
    feed.consumer_count = 2
    assert feed.next_chunk(0, 0) is feed.next_chunk(0, 0)


async def test_a_stream_nobody_has_sent_to_has_nothing(open_partition: Open) -> None:
    folder = StreamFolder(open_partition().folder.parent)
    assert StreamFeed(folder).next_chunk(0, 0) is None
    assert StreamFeed(StreamFolder(folder.path / "none")).partitions() == ()
