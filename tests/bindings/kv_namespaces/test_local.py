"""What only SQLite can do wrong: kills, several processes, failing disks, the purge."""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.bindings.kv_namespaces import KVNamespaceEntry
from edge.bindings.kv_namespaces.local import PURGE_COUNT_MAX, PURGE_INTERVAL_S, open_binding, open_store
from edge.bindings.kv_namespaces.store import Entry
from edge.bindings.spec import Site
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.testing.fake_host import FakeHost

CHILD = Path(__file__).parent / "put_until_killed.py"
NOW = 1_000_000.0


def start_child(path: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(CHILD), str(path), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def acknowledged_until_killed(path: Path, first: int, kill_after: int, *options: str) -> list[int]:
    """Run a child, kill -9 it after some acknowledgements, and return every number it acknowledged."""
    with start_child(path, first, *options) as child:
        assert child.stdout is not None
        ledger = [int(child.stdout.readline()) for _ in range(kill_after)]
        child.kill()
        rest = child.stdout.read().split(b"\n")[:-1]  # whole lines only
    return ledger + [int(line) for line in rest]


async def lost(path: Path, ledger: list[int]) -> list[int]:
    """What was acknowledged and is not there."""
    async with open_store(path) as store:
        keys = [b"%d" % number for number in ledger]
        found = await store.get("n", keys, NOW)
    return [n for n, key, entry in zip(ledger, keys, found, strict=True) if entry != Entry(key * 50)]


async def kill_loop(path: Path, kill_count: int, *options: str) -> tuple[int, int]:
    """Acknowledged and lost puts over a number of kills of processes on one file."""
    chance = random.Random(7)
    ledger: list[int] = []
    lost_count = 0
    for _ in range(kill_count):
        acknowledged = acknowledged_until_killed(path, len(ledger), chance.randrange(1, 600), *options)
        lost_count += len(await lost(path, acknowledged))
        ledger += acknowledged
        ledger += range(len(ledger), max(ledger) + 1)  # numbers that were taken but not acknowledged
    return len(ledger), lost_count


async def test_nothing_acknowledged_is_lost_to_ten_kills(tmp_path: Path) -> None:
    acknowledged_count, lost_count = await kill_loop(tmp_path / "kv.sqlite", 10)
    assert acknowledged_count > 0
    assert lost_count == 0


async def test_control_acknowledging_before_the_write_loses_something(tmp_path: Path) -> None:
    _, lost_count = await kill_loop(tmp_path / "kv.sqlite", 10, "--ack-first")
    assert lost_count > 0


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_to_a_thousand_kills(tmp_path: Path) -> None:
    _, lost_count = await kill_loop(tmp_path / "kv.sqlite", 1000)
    assert lost_count == 0


async def test_processes_share_one_file(tmp_path: Path) -> None:
    """All open a file that is not there yet at the same moment, and none is refused."""
    path, each = tmp_path / "kv.sqlite", 500
    children = [start_child(path, slot * each, each) for slot in range(4)]
    acknowledged = [int(line) for child in children for line in child.communicate()[0].split()]
    assert [child.returncode for child in children] == [0] * 4
    assert sorted(acknowledged) == list(range(4 * each))
    assert await lost(path, acknowledged) == []


async def test_a_put_of_another_process_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "kv.sqlite"
    async with open_store(path) as one, open_store(path) as other:  # two connections, as two processes have
        for number in range(20):
            key = b"%d" % number
            await one.put("n", key, Entry(b"value"))
            assert list(await other.get("n", [key], NOW)) == [Entry(b"value")]
            await other.delete("n", key)
            assert list(await one.get("n", [key], NOW)) == [None]


async def test_of_two_calls_that_wait_together_the_later_wins(tmp_path: Path) -> None:
    async with open_store(tmp_path / "kv.sqlite") as store:
        await asyncio.gather(
            store.put("n", b"a", Entry(b"1")),
            store.delete("n", b"a"),
            store.delete("n", b"b"),
            store.put("n", b"b", Entry(b"2")),
        )
        assert list(await store.get("n", [b"a", b"b"], NOW)) == [None, Entry(b"2")]


async def test_a_caller_who_leaves_takes_nobody_along(tmp_path: Path) -> None:
    async with open_store(tmp_path / "kv.sqlite") as store:
        leaving = asyncio.ensure_future(store.put("n", b"a", Entry(b"1")))
        staying = asyncio.ensure_future(store.put("n", b"b", Entry(b"2")))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert (await store.get("n", [b"b"], NOW))[0] == Entry(b"2")


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """Writes beyond `size_bytes` of any file fail, as on a full disk: the kernel refuses them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room_bytes", range(1, 60_000, 5_999))
async def test_a_write_that_fails_is_told_and_heals_without_restart(tmp_path: Path, room_bytes: int) -> None:
    """The write fails after another number of bytes each time, so at another point of the transaction."""
    path = tmp_path / "kv.sqlite"
    keys = [b"%d" % number for number in range(40)]
    async with open_store(path) as store:
        await store.put("n", b"before", Entry(b"before"))
        log_bytes = path.with_name("kv.sqlite-wal").stat().st_size
        with no_file_larger_than(log_bytes + room_bytes):
            outcomes = await asyncio.gather(
                *(store.put("n", key, Entry(key * 1000)) for key in keys), return_exceptions=True
            )
            told = await store.get("n", [b"before"], NOW)
        failures = [outcome for outcome in outcomes if outcome is not None]
        assert failures
        assert all(isinstance(failure, BackendError) for failure in failures)
        assert "nothing needs a restart" in str(failures[0])
        assert list(told) == [Entry(b"before")]  # reads went on
        await store.put("n", b"after", Entry(b"after"))
    acknowledged = [key for key, outcome in zip(keys, outcomes, strict=True) if outcome is None]
    async with open_store(path) as store:
        found = await store.get("n", [b"before", b"after", *acknowledged], NOW)
    assert list(found) == [Entry(b"before"), Entry(b"after"), *(Entry(key * 1000) for key in acknowledged)]


class PausedError(Exception):
    """The purge has done what there was to do."""


async def test_expired_keys_are_purged_in_small_steps(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.state_dir / "kv_namespaces" / "kv.sqlite"

    async def paused(seconds: float) -> None:
        assert seconds == PURGE_INTERVAL_S
        raise PausedError

    monkeypatch.setattr(host, "sleep", paused)
    async with open_binding([KVNamespaceEntry(binding="KV")], Site(host, config=None)) as opened:  # type: ignore[arg-type] - local has no settings
        kv, (purge,) = opened.env["KV"], opened.sources
        key_count = PURGE_COUNT_MAX * 2 + 1
        await asyncio.gather(*(kv.put(f"{number}", "v", expirationTtl=60) for number in range(key_count)))
        await kv.put("kept", "v", expirationTtl=3600)
        with pytest.raises(PausedError):
            await purge.run()
        assert row_count(path) == key_count + 1  # nothing has expired yet
        await host.advance(60)
        with pytest.raises(PausedError):
            await purge.run()
        assert row_count(path) == 1
        assert await kv.get("kept") == "v"


async def test_a_purge_leaves_what_was_put_again(tmp_path: Path) -> None:
    async with open_store(tmp_path / "kv.sqlite") as store:
        await store.put("n", b"key", Entry(b"1", None, NOW))
        _, purged_count = await asyncio.gather(store.put("n", b"key", Entry(b"2")), store.purge(NOW))
        assert purged_count == 0
        assert list(await store.get("n", [b"key"], NOW)) == [Entry(b"2")]


async def test_a_config_reload_keeps_the_store_open(host: FakeHost) -> None:
    one, other = KVNamespaceEntry(binding="KV"), KVNamespaceEntry(binding="RENAMED", id="KV")
    async with AsyncExitStack() as stack:
        site = Site(host, config=None)  # type: ignore[arg-type] - local has no settings
        async with open_binding([one], site) as before:
            await before.env["KV"].put("key", "value")
            after = await stack.enter_async_context(open_binding([other], site))
        assert await after.env["RENAMED"].get("key") == "value"
        assert after.resources == {"RENAMED": "KV"}
        assert await after.admin.namespace("KV").get("key") == "value"


def row_count(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    connection.close()
    return int(count)
