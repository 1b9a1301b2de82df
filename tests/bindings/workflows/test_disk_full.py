"""D5 and D2 for workflows: a full disk refuses and heals, and a log that was cut short is an earlier moment."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings._shared.sqlite import Database
from edge.bindings.workflows.journal.records import Acted
from edge.runtime.core.errors import BackendError, BindingError
from edge.runtime.testing.fake_host import FakeHost

from .conftest import PATIENCE_S, Site, open_site

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

DISK_BYTES = 16 * 1024 * 1024
PADS_BYTES = (400_000, 40_000, 1)
PAGE = "x" * 4096
CUTS = 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "small")
    yield disk
    disk.close()


class SmallDisk:
    """A folder with room for DISK_BYTES: a tmpfs where that may be mounted, else a limit of SQLite's own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._patch = pytest.MonkeyPatch()
        options = ("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
        self._is_mounted = os.geteuid() == 0 and _run("mount", *options) == 0
        if not self._is_mounted:
            self._limit_pages(DISK_BYTES // 2)
        self._ballast = folder / "ballast"
        self._ballast.write_bytes(bytes(DISK_BYTES // 3))

    def make_room(self) -> None:
        self._ballast.unlink()
        self._limit_pages(DISK_BYTES * 100)

    def close(self) -> None:
        self._patch.undo()
        if self._is_mounted:
            _run("umount", str(self.folder))

    def _limit_pages(self, size_bytes: int) -> None:
        if self._is_mounted:
            return
        self._patch.undo()
        connect = Database.connect

        def limited(database: Database) -> sqlite3.Connection:
            connection = connect(database)
            connection.execute(f"PRAGMA max_page_count = {size_bytes // 4096}")
            return connection

        self._patch.setattr(Database, "connect", limited)


async def ask_back(self: Any, event: Any, step: Any) -> Any:
    first, _ = (await step.wait_for_event("wait", "go", timeout="1 minute"))["payload"]

    async def double() -> Any:
        return first * 2

    return [event["payload"]["n"], await step.do("double", double)]


async def fill(site: Site) -> int:
    """Create instances, large and then small ones, until the disk is full; how many were made."""
    count = 0
    for size_bytes in PADS_BYTES:
        with pytest.raises(BackendError, match=r"the disk is full. Free some space; nothing needs a restart") as told:  # noqa: PT012 - many calls
            for count in itertools.count(count):  # noqa: B020 - the one that is refused is tried again
                await site.create({"n": count, "pad": "x" * size_bytes}, id=f"i{count}")
        assert told.value.http_status == 507
    return count


async def send_all(site: Site, count: int) -> set[int]:
    """Send each instance its event; those that were accepted."""
    accepted = set()
    for number in range(count):
        with suppress(BackendError):
            await (await site.workflow.get(f"i{number}")).send_event(type="go", payload=[number, PAGE])
            accepted.add(number)
    return accepted


async def ends(site: Site, numbers: set[int]) -> set[int]:
    """Which of these instances end as they should; the others do when their wait is over."""
    found = set()
    for number in numbers:
        instance = await site.workflow.get(f"i{number}")
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while (status := await instance.status())["status"] not in {"complete", "errored"}:
                    await site.host.advance(5)
            if status.get("output") == [number, number * 2]:
                found.add(number)
    return found


async def full_and_healed(disk: SmallDisk, *, lies: bool = False) -> tuple[set[int], set[int]]:
    """Fill the disk, use it while it is full, make room; the instances whose event was accepted, and those that end."""
    host = FakeHost(disk.folder)
    async with open_site(host, ask_back) as site:
        count = await fill(site)
        assert count > 3
        if lies:
            site.journal.send_event = _accept_whatever(site.journal.send_event)  # type: ignore[method-assign]
        accepted = await send_all(site, count)
        assert (await (await site.workflow.get("i0")).status())["status"] != "errored"
        with pytest.raises(BindingError, match="not_found"):
            await site.workflow.get(f"i{count}")
        disk.make_room()
        await host.advance(2)
        if not lies:
            assert await send_all(site, count) == set(range(count))
            accepted = set(range(count))
        await site.create({"n": count}, id=f"i{count}")
        told = accepted, await ends(site, accepted)
    await host.aclose()
    return told


async def test_a_full_disk_refuses_serves_reads_and_heals(small_disk: SmallDisk) -> None:
    accepted, ended = await full_and_healed(small_disk)
    assert ended == accepted


async def test_control_an_event_that_is_accepted_on_a_full_disk_is_missed(small_disk: SmallDisk) -> None:
    accepted, ended = await full_and_healed(small_disk, lies=True)
    assert ended < accepted


@pytest.mark.parametrize("flips_a_byte", [False, True], ids=["cut", "cut-and-torn"])
async def test_a_log_that_was_cut_short_is_an_earlier_moment(tmp_path: Path, flips_a_byte: bool) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    host = FakeHost(folder)
    async with open_site(host, ask_back) as site:
        for number in range(8):
            instance = await site.create({"n": number}, id=f"i{number}")
            await instance.send_event(type="go", payload=[number, PAGE])
            await site.reach(instance, "complete", "waiting", "running")
        log = (folder / "workflows.sqlite-wal").read_bytes()
        counts = []
        for cut in range(CUTS + 1):
            copy = tmp_path / f"cut{cut}"
            copy.mkdir()
            shutil.copy(folder / "workflows.sqlite", copy)
            kept = bytearray(log[: len(log) * cut // CUTS])
            if flips_a_byte and kept:
                kept[-1] ^= 0xFF
            (copy / "workflows.sqlite-wal").write_bytes(kept)
            counts.append(await count_of_what_ends(copy))
    await host.aclose()
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] >= (7 if flips_a_byte else 8)  # one instance may be in the last commit alone


async def count_of_what_ends(folder: Path) -> int:
    """How many instances a copy of the state knows: all that do are brought to their end."""
    host = FakeHost(folder)
    host.new_id()  # another process has another name
    async with open_site(host, ask_back) as site:
        rows = await site.journal.counts("orders")
        known = set(range(sum(rows.values())))
        for number in known:
            await (await site.workflow.get(f"i{number}")).send_event(type="go", payload=[number, PAGE])
        assert await ends(site, known) == known
    await host.aclose()
    return len(known)


def _accept_whatever(send: Any) -> Any:
    async def sent(*arguments: Any) -> Any:
        try:
            return await send(*arguments)
        except BackendError:
            return Acted(None, 0)

    return sent


def _run(*command: str) -> int:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return errno.ENOENT
