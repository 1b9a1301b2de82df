"""One partition of the log: durable, in order, whole batches only, one writer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.log import LogBusyError
from edge.bindings.pipelines.stream_log import partition as partition_module
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.lock import PartitionInUseError
from edge.bindings.pipelines.stream_log.reader import PartitionReader
from edge.bindings.pipelines.stream_log.segments import HEADER_BYTES, DamagedLogError, SegmentHeader
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Open = Callable[..., object]

STREAM_ID = "0123456789abcdef0123456789abcdef"


async def test_records_are_there_when_append_returns(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send({"n": 1}, {"n": 2})
    await partition.send({"n": 3})
    assert partition.read() == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert partition.read(from_offset=1) == [b'{"n":2}', b'{"n":3}']
    assert partition.log.durable_offset == 3


async def test_order_of_one_sender_is_kept_among_many(open_partition: Open) -> None:
    partition = open_partition(segment_bytes=4_000)

    async def sender(name: int) -> None:
        for n in range(30):
            await partition.send([name, n], [name, n])

    await asyncio.gather(*(sender(name) for name in range(8)))
    seen = [json.loads(text) for text in partition.read()]
    for name in range(8):
        assert [n for sender_name, n in seen if sender_name == name] == sorted([*range(30), *range(30)])


async def test_log_goes_on_where_it_ended(open_partition: Open) -> None:
    first = open_partition(segment_bytes=300)
    for n in range(10):
        await first.send({"n": n})
    first.log.close()
    second = open_partition(segment_bytes=300)
    await second.send({"n": 10})
    assert [json.loads(text)["n"] for text in second.read()] == list(range(11))
    assert len(list(second.folder.glob("*.log"))) > 2


async def test_partition_nobody_sent_to_has_no_segment(open_partition: Open) -> None:
    partition = open_partition()
    assert partition.read() == []
    assert list(partition.folder.glob("*.log")) == []


async def test_cancelled_sender_leaves_the_others_alone(open_partition: Open) -> None:
    partition = open_partition()
    given_up = asyncio.ensure_future(partition.send(1))
    kept = asyncio.ensure_future(partition.send(2))
    await asyncio.sleep(0)
    given_up.cancel()
    await kept
    assert b"2" in partition.read()


async def test_torn_tail_is_cut_and_overwritten(open_partition: Open) -> None:
    first = open_partition()
    await first.send({"n": 1})
    await first.send({"n": 2})
    first.log.close()
    os.truncate(first.newest, first.newest.stat().st_size - 3)
    second = open_partition()
    assert second.log.torn_bytes > 0
    assert second.log.durable_offset == 1
    await second.send({"n": 3})
    assert second.read() == [b'{"n":1}', b'{"n":3}']


async def test_new_segment_without_a_header_is_thrown_away(open_partition: Open) -> None:
    first = open_partition()
    await first.send(1)
    first.log.close()
    (first.folder / f"{1:020d}.log").write_bytes(b"EDGE")
    second = open_partition()
    await second.send(2)
    assert second.read() == [b"1", b"2"]
    assert len(list(second.folder.glob("*.log"))) == 1


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("at", [3, HEADER_BYTES + 2, HEADER_BYTES + 45], ids=["segment header", "frame header", "body"])
async def test_damage_before_acknowledged_frames_stops_the_stream(open_partition: Open, at: int) -> None:
    first = open_partition()
    await first.send({"n": 1})
    await first.send({"n": 2})
    first.log.close()
    damage(first.newest, at)
    with pytest.raises(DamagedLogError) as refusal:
        open_partition()
    assert str(first.newest) in str(refusal.value)
    assert "edge streams fsck 0123456789abcdef0123456789abcdef" in str(refusal.value)


async def test_bad_frame_before_one_of_the_same_sync_is_a_torn_tail(open_partition: Open) -> None:
    """A power cut may keep the later sectors of a group that never became durable, and lose the earlier ones."""
    first = open_partition()
    await asyncio.gather(*(first.send({"n": n}) for n in range(3)))
    first.log.close()
    size_bytes = first.newest.stat().st_size
    damage(first.newest, HEADER_BYTES + 45)
    second = open_partition()
    assert second.log.torn_bytes == size_bytes - HEADER_BYTES
    assert second.read() == []


async def test_damage_in_a_sealed_segment_stops_readers(open_partition: Open) -> None:
    partition = open_partition(segment_bytes=HEADER_BYTES + 10)
    for n in range(3):
        await partition.send({"n": n})
    damage(min(partition.folder.glob("*.log")), HEADER_BYTES + 45)
    with pytest.raises(DamagedLogError, match="a frame is unreadable"):
        partition.read()


async def test_segment_of_another_stream_is_refused(open_partition: Open) -> None:
    partition = open_partition(3)
    await partition.send(1)
    partition.log.close()
    other = open_partition(4)
    other.log.close()
    partition.newest.rename(other.folder / partition.newest.name)
    with pytest.raises(DamagedLogError, match="belongs to another stream, partition or offset"):
        open_partition(4)


async def test_log_of_a_newer_edge_is_refused(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send(1)
    partition.log.close()
    content = partition.newest.read_bytes()
    partition.newest.write_bytes(SegmentHeader(STREAM_ID, 0, 0).encode(version=99) + content[HEADER_BYTES:])
    with pytest.raises(BackendError, match="has format 99, this Edge knows up to 1"):
        open_partition()


async def test_reader_waits_at_an_unfinished_frame_and_goes_on(open_partition: Open) -> None:
    partition = open_partition()
    await partition.send({"n": 1})
    await partition.send({"n": 2})
    whole = partition.newest.read_bytes()
    partition.newest.write_bytes(whole[:-4])
    reader = PartitionReader(partition.folder)
    assert [frame.first_offset for frame in reader.frames()] == [0]
    assert [frame.first_offset for frame in reader.frames()] == []
    partition.newest.write_bytes(whole)
    assert [frame.first_offset for frame in reader.frames()] == [1]


async def test_second_holder_fails_at_once_and_names_the_first(open_partition: Open) -> None:
    first = open_partition()
    with pytest.raises(PartitionInUseError) as refusal:
        open_partition()
    assert str(refusal.value) == (
        f"State folder {first.folder} is in use by process {os.getpid()}. Stop it, or pass --persist-to DIR."
    )


async def test_second_process_fails_at_once_and_names_the_first(open_partition: Open) -> None:
    first = open_partition()
    script = (
        "import sys; from pathlib import Path; from edge.bindings.pipelines.stream_log.lock import lock_partition\n"
        "try: lock_partition(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)"
    )
    second = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(first.folder), stdout=PIPE)
    said, _ = await second.communicate()
    assert f"is in use by process {os.getpid()}." in said.decode()


async def test_sends_beyond_what_may_wait_are_refused(open_partition: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "UNSYNCED_BYTES_MAX", 100)
    partition = open_partition()
    first = asyncio.ensure_future(partition.send("x" * 60))
    await asyncio.sleep(0)
    with pytest.raises(LogBusyError, match="at most 100 may wait") as refusal:
        await partition.send("y" * 60)
    assert refusal.value.http_status == 429
    await first
    await partition.send("y" * 60)
    assert len(partition.read()) == 2


class FaultyDisk(Disk):
    """Real, until operation number `fail_at` (of those that write): that one fails in the given way."""

    def __init__(self, fail_at: int, how: str) -> None:
        self.fail_at = fail_at
        self.how = how
        self.count = 0
        self.failed: str | None = None
        self.synced_after_failure: list[int] = []

    def _fails(self, operation: str) -> bool:
        self.count += 1
        if self.count != self.fail_at:
            return False
        self.failed = operation
        return True

    def _error(self) -> OSError:
        code = {"EIO": 5, "ENOSPC": 28, "short": 28}[self.how]
        return OSError(code, os.strerror(code))

    def create(self, path: Path) -> int:
        if self._fails("create"):
            raise self._error()
        return super().create(path)

    def writev(self, descriptor: int, buffers: Sequence[bytes]) -> int:
        if self._fails("writev"):
            if self.how == "short":
                joined = b"".join(buffers)
                os.write(descriptor, joined[: len(joined) // 2])
            raise self._error()
        return super().writev(descriptor, buffers)

    def sync(self, descriptor: int) -> None:
        if self._fails("sync"):
            raise self._error()
        super().sync(descriptor)

    def sync_folder(self, path: Path) -> None:
        if self._fails("sync_folder"):
            raise self._error()
        super().sync_folder(path)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        if self._fails("truncate"):
            raise self._error()
        super().truncate(descriptor, size_bytes)


async def run_with_failure(open_partition: Open, disk: Disk) -> tuple[set[int], list[int], list[int]]:
    """Send ten batches over several segments; returns what was acknowledged, what is read live, and after reopening."""
    acknowledged: set[int] = set()
    try:
        partition = open_partition(disk=disk, segment_bytes=HEADER_BYTES + 120)
    except BackendError:
        partition = open_partition(disk=disk, segment_bytes=HEADER_BYTES + 120)
    for n in range(10):
        try:
            await partition.send(n, n)
        except BackendError:
            continue
        else:
            acknowledged.add(n)
            assert json.loads(partition.read()[-1]) == n
    live = [json.loads(text) for text in partition.read(until=partition.log.durable_offset)]
    partition.log.close()
    again = open_partition()
    after = [json.loads(text) for text in again.read()]
    again.log.close()
    return acknowledged, live, after


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "short"])
async def test_every_failing_write_or_sync_is_surfaced_and_heals(
    how: str, open_partition: Open, tmp_path: Path
) -> None:
    """D4: the Nth operation fails, for every N until none fires."""
    for fail_at in range(1, 200):
        disk = FaultyDisk(fail_at, how)
        for leftover in (tmp_path / "streams").glob("*/*/*"):
            leftover.unlink()
        acknowledged, live, after = await run_with_failure(open_partition, disk)
        if disk.failed is None:
            break
        assert len(acknowledged) >= 9, f"one failure costs one send ({disk.failed} number {fail_at})"
        assert live == sorted([*acknowledged, *acknowledged]), f"{disk.failed} number {fail_at}"
        # A refused send may still be found, whole, when nothing was written after it: it is safe to send again.
        assert after in (live, [*live, 9, 9]), f"{disk.failed} number {fail_at}"
    else:
        pytest.fail("the failure fired every time: the log never finished")
    assert fail_at > 20
    assert acknowledged == set(range(10))


async def test_control_a_log_that_ignores_a_failed_write_loses_acknowledged_records(
    open_partition: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D4's control: with errors swallowed, the same check sees the loss."""

    def careless(disk: Disk, descriptor: int, buffers: Sequence[bytes]) -> None:
        try:
            disk.writev(descriptor, buffers)
        except OSError:
            return

    monkeypatch.setattr(partition_module, "write_all", careless)
    with pytest.raises((AssertionError, IndexError, DamagedLogError)):
        await run_with_failure(open_partition, FaultyDisk(8, "ENOSPC"))


async def test_sync_is_never_repeated_on_a_descriptor_it_failed_on(open_partition: Open) -> None:
    class Watching(Disk):
        def __init__(self) -> None:
            self.fails = False
            self.closed_after_failure = False
            self.failed_on: int | None = None

        def sync(self, descriptor: int) -> None:
            assert self.failed_on is None, "no sync before the descriptor was closed"
            if self.fails:
                self.fails, self.failed_on = False, descriptor
                raise OSError(5, "Input/output error")
            super().sync(descriptor)

        def close(self, descriptor: int) -> None:
            if descriptor == self.failed_on:
                self.failed_on, self.closed_after_failure = None, True
            super().close(descriptor)

    disk = Watching()
    partition = open_partition(disk=disk)
    await partition.send(1)
    disk.fails = True
    with pytest.raises(BackendError, match=re.escape("could not be written: Input/output error.")):
        await asyncio.gather(*(partition.send(n) for n in (2, 3)))
    await partition.send(4)
    assert disk.closed_after_failure
    assert partition.read()[0] == b"1"
    assert partition.read()[-1] == b"4"


async def test_failed_sync_that_took_older_records_with_it_stops_the_log(open_partition: Open) -> None:
    class Losing(Disk):
        path: Path | None = None

        def sync(self, descriptor: int) -> None:
            if self.path is not None:
                damage(self.path, HEADER_BYTES + 45)
                self.path = None
                raise OSError(5, "Input/output error")
            super().sync(descriptor)

    disk = Losing()
    partition = open_partition(disk=disk)
    await partition.send({"n": 1})
    disk.path = partition.newest
    for _ in range(2):
        with pytest.raises(BackendError):
            await partition.send({"n": 2})
    with pytest.raises(BackendError, match="edge streams fsck"):
        await partition.send({"n": 3})
