"""Streams as `edge dev` and `edge serve` open them: created on use, delivered, shared across reloads, drained."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.admin import PipelinesAdmin, table_names
from edge.bindings.pipelines.ingest.refusal import ForbiddenError
from edge.bindings.pipelines.local import open_binding
from edge.bindings.pipelines.objects import PipelineObject, SinkObject
from edge.bindings.pipelines.open_pipelines import DRAIN_SECONDS
from edge.bindings.pipelines.open_streams import POLL_SECONDS
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.drain import OrphanDrain
from edge.bindings.pipelines.stream_log.lock import DRAINING, PartitionInUseError, lock_partition
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.bindings.spec import Site
from edge.runtime.core.errors import BackendError, BindingError
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.bindings.spec import Opened

FLIGHTS = [PipelineEntry("STREAM", stream="flights")]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[PipelinesAdmin]:
    """What another process works on."""
    with closing(PipelinesAdmin.of(tmp_path)) as admin:
        yield admin


def delivered(state_dir: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(state_dir.glob("streams/*/files/*.ndjson"))]


async def until(host: FakeHost, is_so: Callable[[], bool]) -> None:
    """Let threads come to their end; the clock stands still."""
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.to_thread(lambda: None)
            await host.settle()


async def run_sources(opened: Opened, host: FakeHost) -> None:
    for source in opened.sources:
        host.spawn(source.run(), name="source")
    await host.settle()


async def test_unknown_stream_is_created_and_named(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        assert opened.resources == {"STREAM": "flights"}
        await opened.env["STREAM"].send([{"a": 1}])
    [summary] = StreamFolders(tmp_path).list()
    assert (summary.name, summary.record_count) == ("flights", 1)
    level, event, values = host.log.lines[0]
    assert (level, event) == ("info", "stream_opened")
    assert values["files_bytes_max"] == 1024**3
    assert values["files"] == str(summary.files_folder)


async def test_a_send_to_a_stream_that_was_deleted_fails_and_goes_on_when_it_is_made_again(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        await opened.env["STREAM"].send([{"a": 1}])
        old = opened.admin.catalogue.stream("flights")
        opened.admin.delete_stream(old.id)
        await host.advance(2 * POLL_SECONDS)
        for _ in range(2):
            with pytest.raises(BindingError) as caught:
                await opened.env["STREAM"].send([{"a": 2}])
            assert str(caught.value) == (
                'Error: Stream "flights" was deleted, so nothing was kept. Make it again: edge streams create flights. '
                "A restart makes it anew too, as the config binds it."
            )
        new = opened.admin.create_stream("flights", host.now())
        await host.advance(2 * POLL_SECONDS)
        await opened.env["STREAM"].send([{"a": 3}])
    counts = {one.id: one.record_count for one in StreamFolders(tmp_path).list()}
    assert counts == {old.id: 0, new.id: 1}


async def test_a_stream_made_again_by_a_reload_begins_behind_the_deleted_records(
    tmp_path: Path, command: PipelinesAdmin
) -> None:
    host = FakeHost(tmp_path)
    async with AsyncExitStack() as old, AsyncExitStack() as new:
        before = await old.enter_async_context(open_binding(FLIGHTS, Site(host, None)))
        await before.env["STREAM"].send([1, 2, 3])
        stream_id = command.catalogue.stream("flights").id
        assert not command.delete_stream(stream_id)
        await host.advance(2 * POLL_SECONDS)
        after = await new.enter_async_context(open_binding(FLIGHTS, Site(host, None)))
        await old.aclose()
        assert command.catalogue.stream("flights").id == stream_id
        folder = command.folders.folder(stream_id)
        assert (folder.oldest(0), command.unprocessed_count(stream_id)) == (3, 0)
        assert folder.begin_cursor("pipeline-0", 0, Disk()) == 3
        folder.remove_cursors("pipeline-0", Disk())
        [summary] = command.folders.list()
        assert (summary.record_count, summary.oldest_at) == (0, None)
        await after.env["STREAM"].send([4])
        [summary] = command.folders.list()
        assert (summary.record_count, command.unprocessed_count(stream_id)) == (1, 1)
        command.remove_deleted_logs()
        assert command.create_stream("another", 0.0).id != stream_id
    command.remove_deleted_logs()
    assert [record.json async for record in command.folders.tail(stream_id, follow=False)] == [b"4"]
    assert delivered(tmp_path) == [b"4\n"]


async def test_a_send_follows_what_the_catalogue_says_of_its_stream(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        stream = opened.admin.catalogue.stream("flights")
        opened.admin.catalogue.change_stream(replace(stream, worker_binding=False))
        await host.advance(2 * POLL_SECONDS)
        with pytest.raises(ForbiddenError, match="takes no records from bindings"):
            await opened.env["STREAM"].send([{"a": 1}])


async def test_first_file_comes_after_a_second_and_the_next_after_ten(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        await run_sources(opened, host)
        await opened.env["STREAM"].send([1])
        await host.advance(2.0)
        await until(host, lambda: host.log.events().count("records_delivered") == 1)
        assert delivered(tmp_path) == [b"1\n"]
        await opened.env["STREAM"].send([2])
        await host.advance(9.0)
        assert delivered(tmp_path) == [b"1\n"]
        await host.advance(4.0)
        await until(host, lambda: host.log.events().count("records_delivered") == 2)
        assert delivered(tmp_path) == [b"1\n", b"2\n"]
        await host.aclose()


async def test_closing_delivers_the_rest(tmp_path: Path) -> None:
    async with open_binding(FLIGHTS, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["STREAM"].send([1])
    assert delivered(tmp_path) == [b"1\n"]


async def test_reload_keeps_the_log_open(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    async with AsyncExitStack() as old, AsyncExitStack() as new:
        first = await old.enter_async_context(open_binding(FLIGHTS, Site(host, None)))
        await first.env["STREAM"].send([1])
        second = await new.enter_async_context(open_binding(FLIGHTS, Site(host, None)))
        await old.aclose()
        await second.env["STREAM"].send([2])
        assert delivered(tmp_path) == [], "the lease was not closed in between"
    assert delivered(tmp_path) == [b"1\n2\n"]


async def test_two_bindings_of_one_stream_share_its_log(tmp_path: Path) -> None:
    entries = [PipelineEntry("A", stream="s"), PipelineEntry("B", pipeline="s")]
    async with open_binding(entries, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["A"].send(["a"])
        await opened.env["B"].send(["b"])
    assert delivered(tmp_path) == [b'"a"\n"b"\n']


async def test_each_process_slot_writes_its_own_partition(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        for slot in range(3):
            host = FakeHost(tmp_path, process_slot=slot)
            opened = await stack.enter_async_context(open_binding(FLIGHTS, Site(host, None)))
            await opened.env["STREAM"].send([slot])
        assert StreamFolders(tmp_path).list()[0].partitions == (0, 1, 2)
    assert delivered(tmp_path) == [b"0\n", b"1\n", b"2\n"]


async def leave_behind(state_dir: Path, partition: int) -> None:
    """A record in a partition of a process that is gone."""
    folder = StreamFolders(state_dir).folder("gone")
    log = PartitionLog(folder.partition(partition), folder.id, partition, now=lambda: 0.0)
    log.open(asyncio.get_running_loop())
    await log.append(b'"left behind"\n', 1)
    log.close()


async def test_slot_0_delivers_what_vanished_slots_left_at_its_start_and_again_later(tmp_path: Path) -> None:
    await leave_behind(tmp_path, 7)
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        await run_sources(opened, host)
        await until(host, lambda: "orphan_drained" in host.log.events())
        assert delivered(tmp_path) == [b'"left behind"\n']
        await leave_behind(tmp_path, 8)
        await host.advance(DRAIN_SECONDS + 1)
        await until(host, lambda: host.log.events().count("orphan_drained") == 2)
        await host.aclose()
    assert delivered(tmp_path) == [b'"left behind"\n', b'"left behind"\n']


async def test_slot_0_delivers_what_vanished_slots_left_before_it_ends(tmp_path: Path) -> None:
    for slot in (1, 0):
        async with open_binding(FLIGHTS, Site(FakeHost(tmp_path, process_slot=slot), None)):
            await leave_behind(tmp_path, 7 + slot)
        assert len(delivered(tmp_path)) == (0 if slot else 2)


@pytest.mark.parametrize("slots", [(0,), (1, 0)], ids=["its own process", "a leader of vanished ones"])
async def test_no_process_takes_records_that_a_pipeline_has_not_begun_to_read(
    tmp_path: Path, command: PipelinesAdmin, slots: tuple[int, ...]
) -> None:
    """Its sources never run here, so its runner does not either: the pipeline is in the catalogue, and that is all."""
    for n, slot in enumerate(slots):
        async with open_binding(FLIGHTS, Site(FakeHost(tmp_path, process_slot=slot), None)) as opened:
            if n == 0:
                sink = SinkObject("5" * 32, "far", "local", 0.0, 0.0, {"path": "out"})
                opened.admin.catalogue.add_sink(sink)
                sql = "INSERT INTO far SELECT * FROM flights"
                opened.admin.catalogue.add_pipeline(PipelineObject("6" * 32, "p", sql, 0.0, 0.0), table_names(sql))
                await opened.env["STREAM"].send([1, 2])
    assert delivered(tmp_path) == []
    [summary] = StreamFolders(tmp_path).list()
    assert summary.oldest_at is not None
    assert command.unprocessed_count(summary.id) == 2


async def test_drain_leaves_owned_partitions_alone(tmp_path: Path) -> None:
    async with open_binding(FLIGHTS, Site(FakeHost(tmp_path, process_slot=1), None)) as opened:
        await opened.env["STREAM"].send([1])
        assert OrphanDrain(StreamFolders(tmp_path), Disk(), lambda: 0.0).run_once() == []


async def test_owner_waits_for_a_drain_and_fails_at_once_for_another_owner(tmp_path: Path) -> None:
    folder = StreamFolders(tmp_path).folder("flights").partition(0)
    folder.mkdir(parents=True)
    host = FakeHost(tmp_path)
    held = lock_partition(folder, DRAINING)
    async with AsyncExitStack() as stack:
        opening = asyncio.ensure_future(stack.enter_async_context(open_binding(FLIGHTS, Site(host, None))))
        for _ in range(200):
            await asyncio.to_thread(lambda: None)
            await host.settle()
        assert not opening.done()
        os.close(held)
        while not opening.done():
            await asyncio.to_thread(lambda: None)
            await host.advance(0.1)
        await (await opening).env["STREAM"].send([1])
        with pytest.raises(PartitionInUseError, match=f"in use by process {os.getpid()}"):
            await stack.enter_async_context(open_binding(FLIGHTS, Site(FakeHost(tmp_path), None)))


async def test_damaged_stream_is_stopped_and_the_others_run(tmp_path: Path) -> None:
    entries = [*FLIGHTS, PipelineEntry("OTHER", stream="other")]
    async with open_binding(entries, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["STREAM"].send([1])
        await opened.env["STREAM"].send([2])
    folder = StreamFolders(tmp_path).folder("flights").partition(0)
    [segment] = folder.glob("*.log")
    content = bytearray(segment.read_bytes())
    content[100] ^= 1
    segment.write_bytes(content)
    host = FakeHost(tmp_path)
    async with open_binding(entries, Site(host, None)) as opened:
        with pytest.raises(BackendError, match="edge streams fsck"):
            await opened.env["STREAM"].send([3])
        await opened.env["OTHER"].send([4])
        await run_sources(opened, host)
        await host.advance(30)
        await host.aclose()
    assert "stream_stopped" in host.log.events("error")


@pytest.mark.parametrize("garbage", [b"{", b"[]", b"{}", b'{"name": 1}', b"\xff", b""], ids=repr)
async def test_damaged_meta_stops_its_stream_and_the_others_run(tmp_path: Path, garbage: bytes) -> None:
    entries = [*FLIGHTS, PipelineEntry("OTHER", stream="other")]
    async with open_binding(entries, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["STREAM"].send([1])
    meta = StreamFolders(tmp_path).folder("flights").path / "meta.json"
    meta.write_bytes(garbage)
    host = FakeHost(tmp_path)
    async with open_binding(entries, Site(host, None)) as opened:
        with pytest.raises(BackendError, match=r"meta\.json cannot be read: .* Restore it, or remove it"):
            await opened.env["STREAM"].send([3])
        await opened.env["OTHER"].send([4])
    assert host.log.events("error") == ["stream_stopped"]
    meta.unlink()
    async with open_binding(entries, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["STREAM"].send([5])
    assert sorted(delivered(tmp_path)) == [b"1\n", b"4\n", b"5\n"]


async def test_damaged_cursor_is_rebuilt_with_a_warning(tmp_path: Path) -> None:
    async with open_binding(FLIGHTS, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["STREAM"].send([1])
    (StreamFolders(tmp_path).folder("flights").cursors / "files.0").write_bytes(b"\0\0")
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        await opened.env["STREAM"].send([2])
    assert host.log.events("warning") == ["cursor_rebuilt"]
    assert delivered(tmp_path) == [b"1\n", b"2\n"]


async def test_delivered_records_gone_from_the_log_are_one_clear_line(tmp_path: Path) -> None:
    async with open_binding(FLIGHTS, Site(FakeHost(tmp_path), None)) as opened:
        await opened.env["STREAM"].send([1, 2])
        await opened.env["STREAM"].send([3])
    segment = StreamFolders(tmp_path).folder("flights").partition(0) / f"{0:020d}.log"
    os.truncate(segment, segment.stat().st_size - 1)
    host = FakeHost(tmp_path)
    async with open_binding(FLIGHTS, Site(host, None)) as opened:
        await opened.env["STREAM"].send([4])
    [(event, values)] = [(event, values) for level, event, values in host.log.lines if level == "error"]
    assert (event, values["lost_count"], values["first_offset"]) == ("acknowledged_records_gone", 1, 2)
    assert delivered(tmp_path) == [b"1\n2\n3\n", b"4\n"]


async def test_state_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "streams").write_text("a file in the way")
    with pytest.raises(BackendError, match=r"meta\.json cannot be read: Not a directory\."):
        async with open_binding(FLIGHTS, Site(FakeHost(tmp_path), None)):
            pass
