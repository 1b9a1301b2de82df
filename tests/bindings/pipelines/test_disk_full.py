"""D5: a full disk. Reads go on, writes are refused, and when space returns nothing needs a restart."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.local import open_binding
from edge.bindings.pipelines.stream_log import partition as partition_module
from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.spec import Site
from edge.runtime.core.errors import BackendError
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.bindings.pipelines.stream import Stream

DISK_BYTES = 2 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with room for DISK_BYTES: a tmpfs where that may be mounted, else a counting disk."""
    folder = tmp_path / "small"
    folder.mkdir()
    monkeypatch.setattr(partition_module, "DISK_RESERVE_BYTES", 0)
    mounted = os.geteuid() == 0 and not _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    if not mounted:
        monkeypatch.setattr(Disk, "writev", _writev_with_room_in(folder))
    yield folder
    if mounted:
        _run("umount", str(folder))


def _run(*command: str) -> int:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 127


def _writev_with_room_in(folder: Path) -> object:
    def writev(_: Disk, descriptor: int, buffers: Sequence[bytes]) -> int:
        used_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        room = DISK_BYTES - used_bytes
        if room <= 0:
            raise OSError(28, os.strerror(28))
        return os.write(descriptor, b"".join(buffers)[:room])

    return writev


def files_in(state_dir: Path) -> list[Path]:
    return list(state_dir.glob("streams/*/files/*"))


async def fill(stream: Stream) -> int:
    """Send until the disk is full; returns how many records were acknowledged."""
    count = 0
    while True:
        try:
            await stream.send([{"n": count, "pad": "x" * 50_000}])
        except BackendError:
            return count
        count += 1


async def test_full_disk_refuses_writes_serves_reads_and_heals(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 2))
    async with open_binding([PipelineEntry("STREAM", stream="s")], Site(FakeHost(small_disk), None)) as opened:
        stream, folders = opened.env["STREAM"], opened.admin.folders
        acknowledged = await fill(stream)
        assert acknowledged > 0
        with pytest.raises(BackendError, match="could not be written: No space left on device") as refusal:
            await stream.send([{"n": -1, "pad": "x" * 50_000}])
        assert refusal.value.http_status == 507
        assert len([record async for record in folders.tail("s", follow=False)]) >= acknowledged
        ballast.unlink()
        await stream.send([{"n": -2}])
        records = [record.json async for record in folders.tail("s", follow=False)]
        assert len(records) == acknowledged + 1
        assert records[-1] == b'{"n":-2}'


async def test_full_disk_keeps_what_cannot_be_delivered_in_the_log(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_module, "DISK_RESERVE_BYTES", 128 * 1024)  # SQLite needs some to open the catalogue
    host = FakeHost(small_disk)
    async with open_binding([PipelineEntry("STREAM", stream="s")], Site(host, None)) as opened:
        acknowledged = await fill(opened.env["STREAM"])
    assert "records_not_delivered" in host.log.events("error")
    assert files_in(small_disk) == []
    host = FakeHost(small_disk)
    async with open_binding([PipelineEntry("STREAM", stream="s")], Site(host, None)) as opened:
        assert len([record async for record in opened.admin.folders.tail("s", follow=False)]) == acknowledged


async def test_control_a_log_that_ignores_a_full_disk_loses_acknowledged_records(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D5's control: with the error swallowed, more is acknowledged than can be read."""

    def careless(disk: Disk, descriptor: int, buffers: Sequence[bytes]) -> None:
        with suppress(OSError):
            disk.writev(descriptor, buffers)

    monkeypatch.setattr(partition_module, "write_all", careless)
    async with open_binding([PipelineEntry("STREAM", stream="s")], Site(FakeHost(small_disk), None)) as opened:
        for n in range(80):
            await opened.env["STREAM"].send([{"n": n, "pad": "x" * 50_000}])
        assert len([record async for record in opened.admin.folders.tail("s", follow=False)]) < 80


async def test_low_disk_refuses_before_writing_and_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes = partition_module.DISK_RESERVE_BYTES
    monkeypatch.setattr(Disk, "free_bytes", lambda _, __: free_bytes)
    async with open_binding([PipelineEntry("STREAM", stream="s")], Site(FakeHost(tmp_path), None)) as opened:
        stream, folders = opened.env["STREAM"], opened.admin.folders
        await stream.send([1])
        free_bytes -= 1
        with pytest.raises(BackendError, match="its disk has 16,777,215 bytes free") as refusal:
            await stream.send([2])
        assert refusal.value.http_status == 507
        assert [record.json async for record in folders.tail("s", follow=False)] == [b"1"]
        free_bytes += 1
        await stream.send([3])
        assert [record.json async for record in folders.tail("s", follow=False)] == [b"1", b"3"]


@pytest.mark.parametrize(("code", "http_status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 503)])
async def test_full_disk_and_quota_are_507_and_other_failures_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, http_status: int
) -> None:
    def failing(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    async with open_binding([PipelineEntry("STREAM", stream="s")], Site(FakeHost(tmp_path), None)) as opened:
        with monkeypatch.context() as patch:
            patch.setattr(Disk, "writev", failing)
            with pytest.raises(BackendError, match="could not be written") as refusal:
                await opened.env["STREAM"].send([1])
        assert refusal.value.http_status == http_status
        await opened.env["STREAM"].send([2])
