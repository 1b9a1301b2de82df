"""The mark that says how far a log is on disk: never ahead of the truth."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.durable import DurableMark, durable_offset
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_nothing_is_durable_before_a_writer_said_so(tmp_path: Path) -> None:
    assert durable_offset(tmp_path) == 0
    mark = DurableMark(tmp_path)
    assert durable_offset(tmp_path) == 0
    mark.set(7)
    assert durable_offset(tmp_path) == 7
    mark.close()
    assert durable_offset(tmp_path) == 7


def test_half_a_mark_is_none(tmp_path: Path) -> None:
    mark = DurableMark(tmp_path)
    mark.set(7)
    mark.close()
    path = tmp_path / "durable"
    path.write_bytes(b"\x08" + path.read_bytes()[1:])
    assert durable_offset(tmp_path) == 0


async def test_mark_follows_the_log_and_its_reopening(open_partition: Callable[..., object]) -> None:
    partition = open_partition()
    await partition.send(1, 2, 3)
    assert durable_offset(partition.folder) == 3
    partition.log.close()
    (partition.folder / "durable").unlink()
    open_partition()
    assert durable_offset(partition.folder) == 3


async def test_what_a_failed_sync_left_is_not_durable(open_partition: Callable[..., object]) -> None:
    """A reader that trusted the file would deliver records whose offsets are given out again."""

    class FailingDisk(Disk):
        fails = False

        def sync(self, descriptor: int) -> None:
            if self.fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().sync(descriptor)

    disk = FailingDisk()
    partition = open_partition(disk=disk)
    await partition.send(1)
    disk.fails = True
    with pytest.raises(BackendError):
        await partition.send(2)
    assert len(partition.read()) == 2, "the control: the bytes are there to be read"
    assert durable_offset(partition.folder) == 1
    disk.fails = False
    await partition.send(3)
    assert partition.read(until=durable_offset(partition.folder)) == [b"1", b"3"]
