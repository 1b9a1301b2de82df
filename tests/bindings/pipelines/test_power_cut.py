"""D2: power-cut images. What was synced is there afterwards; what was not may be gone, torn or out of order.

A recording disk notes every write and sync of a real run, and what was acknowledged at each moment. An image is what a
power cut at some moment could leave: all synced bytes, of each unsynced 512-byte sector the new or the old content
(zeros), and of each unsynced name in a folder maybe nothing.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.stream_log.disk import Disk
from edge.bindings.pipelines.stream_log.partition import PartitionLog
from edge.bindings.pipelines.stream_log.reader import PartitionReader
from edge.bindings.pipelines.stream_log.segments import DamagedLogError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Open = Callable[..., object]

SECTOR_BYTES = 512


@dataclass
class ImageFile:
    """One file as the disk may hold it."""

    content: bytes = b""
    synced: bytes = b""
    is_name_synced: bool = False


@dataclass
class RecordingDisk(Disk):
    """Really writes, and keeps a copy of the state after each operation. `forgets_syncs` is the control."""

    forgets_syncs: bool = False
    files: dict[Path, ImageFile] = field(default_factory=dict)
    history: list[tuple[dict[Path, ImageFile], int]] = field(default_factory=list)
    acknowledged_count: int = 0
    _paths: dict[int, Path] = field(default_factory=dict)

    def note(self) -> None:
        copies = {path: ImageFile(f.content, f.synced, f.is_name_synced) for path, f in self.files.items()}
        self.history.append((copies, self.acknowledged_count))

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._paths[descriptor] = path
        self.files[path] = ImageFile()
        self.note()
        return descriptor

    def writev(self, descriptor: int, buffers: Sequence[bytes]) -> int:
        written = super().writev(descriptor, buffers)
        self.files[self._paths[descriptor]].content += b"".join(buffers)[:written]
        self.note()
        return written

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if not self.forgets_syncs:
            file = self.files[self._paths[descriptor]]
            file.synced = file.content
        self.note()

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        for file_path, file in self.files.items():
            if file_path.parent == path:
                file.is_name_synced = True
        self.note()


def torn(file: ImageFile, chance: random.Random) -> bytes:
    """The file after the cut: each sector that changed since the last sync is new, or old, or beyond the length."""
    length = chance.choice([len(file.synced), len(file.content), chance.randint(len(file.synced), len(file.content))])
    old = file.synced.ljust(length, b"\0")
    image = bytearray(file.content[:length])
    for at in range(len(file.synced) // SECTOR_BYTES * SECTOR_BYTES, length, SECTOR_BYTES):
        if chance.random() < 0.4:
            image[at : at + SECTOR_BYTES] = old[at : at + SECTOR_BYTES]
    return bytes(image[:length])


async def record_run(open_partition: Open, disk: RecordingDisk) -> None:
    partition = open_partition(disk=disk, segment_bytes=3_000)
    for group in range(12):

        async def send(n: int) -> None:
            await partition.send(*[{"n": n, "pad": "x" * (n % 7 * 60)}] * 2)

        await asyncio.gather(*(send(group * 4 + n) for n in range(4)))
        disk.acknowledged_count += 4
        disk.note()
    partition.log.close()


def lost_after_cut(image: dict[Path, ImageFile], acknowledged_count: int, folder: Path, chance: random.Random) -> bool:
    """Rebuild the disk after a cut, open the log: was an acknowledged record lost, or anything half there?"""
    folder.mkdir(parents=True)
    for path, file in image.items():
        if file.is_name_synced or chance.random() < 0.5:
            (folder / path.name).write_bytes(torn(file, chance))
    log = PartitionLog(folder, folder.parent.name, 0, now=lambda: 0.0)
    try:
        log.open()
        frames = list(PartitionReader(folder).frames(log.durable_offset))
    except DamagedLogError:
        return True
    finally:
        log.close()
    sends = [[json.loads(text)["n"] for _, text in frame.records()] for frame in frames]
    are_whole_and_in_order = sends == [[n, n] for n in range(len(sends))]
    return len(sends) < acknowledged_count or not are_whole_and_in_order


async def lost_images(open_partition: Open, tmp_path: Path, *, count: int, forgets_syncs: bool = False) -> list[int]:
    disk = RecordingDisk(forgets_syncs=forgets_syncs)
    await record_run(open_partition, disk)
    lost: list[int] = []
    for seed in range(count):
        chance = random.Random(seed)
        image, acknowledged_count = chance.choice(disk.history)
        folder = tmp_path / f"image{seed}" / "0123456789abcdef0123456789abcdef" / "0"
        if lost_after_cut(image, acknowledged_count, folder, chance):
            lost.append(seed)
    return lost


async def test_power_cut_loses_nothing_acknowledged(open_partition: Open, tmp_path: Path) -> None:
    assert await lost_images(open_partition, tmp_path, count=1_000) == []


@pytest.mark.slow
async def test_ten_thousand_power_cuts_lose_nothing_acknowledged(open_partition: Open, tmp_path: Path) -> None:
    assert await lost_images(open_partition, tmp_path, count=10_000) == []


async def test_control_without_syncs_acknowledged_records_are_lost(open_partition: Open, tmp_path: Path) -> None:
    assert len(await lost_images(open_partition, tmp_path, count=100, forgets_syncs=True)) > 20
