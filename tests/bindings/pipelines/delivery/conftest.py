"""Runs `delivering.py`, and reads what its processes left, by readers that are not ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from edge.bindings.pipelines.dead_letters import DeadLetters
from edge.bindings.pipelines.delivery import insert_runner, opening, runner
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of

from .half_way import HalfWay
from .place import open_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from .place import Place

SERVER = Path(__file__).with_name("delivering.py")
COUNT = 40


class Deliveries:
    """A server of processes to kill, and what they left in a folder."""

    def __init__(self) -> None:
        self._server = subprocess.Popen([sys.executable, SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._running = 0

    async def run(self, folder: Path, first: int, count: int = COUNT, **job: Any) -> int:
        """One process; returns how it ended, negative for a signal."""
        await self.start(folder, first, count, **job)
        return await self.ended()

    async def start(self, folder: Path, first: int, count: int = COUNT, **job: Any) -> int:
        """Start one process; returns its id."""
        assert self._server.stdin is not None
        job = {"folder": str(folder), "first": first, "count": count, **job}
        self._server.stdin.write(json.dumps(job).encode() + b"\n")
        self._server.stdin.flush()
        self._running = await self._answer()
        return self._running

    @staticmethod
    def hashes(folder: Path) -> dict[Path, str]:
        """Every delivered file with what is in it."""
        return hashes(folder)

    @staticmethod
    def delivered(folder: Path, name: str) -> Counter[int]:
        """How often each number is in the files of a sink."""
        return delivered(folder, name)

    @staticmethod
    def acknowledged(folder: Path) -> list[int]:
        """What the senders were told is kept."""
        return acknowledged(folder)

    @staticmethod
    def problems(folder: Path, before: dict[Path, str]) -> list[str]:
        """What is wrong after everything was delivered; the truth is what the senders were told."""
        return problems(folder, before)

    def clear(self) -> None:
        """End a process that still runs, so that the next test finds none."""
        if self._running:
            with suppress(ProcessLookupError):
                os.kill(self._running, signal.SIGKILL)
            self._read()
        self._running = 0

    def close(self) -> None:
        self.clear()
        self._server.communicate()

    async def stopped(self, folder: Path, point: str, **job: Any) -> int:
        """Start a process in slot 0 that stops at `point` of its first roll; returns its id."""
        pid = await self.start(folder, 1, 200, slot=0, fault=point, stop=True, **job)
        async with asyncio.timeout(60):
            while state_of(pid) != "T":  # noqa: ASYNC110 - there is no event across processes
                await asyncio.sleep(0.01)
        return pid

    async def ended(self) -> int:
        """Wait for the process that was started."""
        status = await self._answer()
        self._running = 0
        return status

    async def _answer(self) -> int:
        return await asyncio.to_thread(self._read)

    def _read(self) -> int:
        assert self._server.stdout is not None
        answer = self._server.stdout.readline()
        assert answer, "the server died"
        return int(answer)


def state_of(pid: int) -> str:
    """One letter, as ps has it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def hashes(folder: Path) -> dict[Path, str]:
    """Every delivered file with what is in it."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("lines", "rows", "table")
        for path in (folder / name).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def acknowledged(folder: Path) -> list[int]:
    return [int(line) for path in folder.glob("acknowledged.*") for line in path.read_text().splitlines()]


def delivered(folder: Path, name: str) -> Counter[int]:
    """How often each number is in the files of a sink, read by a reader that is not ours."""
    if name in ("table", "iced"):
        files = (folder / name).rglob("*.parquet") if name == "table" else table_files(folder)
        return Counter(n for path in files for n in pq.ParquetFile(path).read().column("n").to_pylist())
    lines = (line for path in (folder / name).rglob("*.json") for line in path.read_bytes().splitlines())
    return Counter(json.loads(line)["n"] for line in lines)


def table_files(folder: Path) -> list[Path]:
    """Every file that the manifests of the Iceberg table's newest snapshot name."""
    place = folder / "state" / "iceberg"
    with closing(SqlCatalog("edge", uri=f"sqlite:///{place}/catalog.sqlite3", warehouse=str(place))) as catalog:
        table = catalog.load_table("default.iced")
        snapshot = table.current_snapshot()
        manifests = snapshot.manifests(table.io) if snapshot is not None else []
        entries = [entry for manifest in manifests for entry in manifest.fetch_manifest_entry(table.io)]
        return [Path(entry.data_file.file_path.removeprefix("file://")) for entry in entries]


def problems(folder: Path, before: dict[Path, str]) -> list[str]:
    """What is wrong after everything was delivered; the truth is what the senders were told."""
    sent = set(acknowledged(folder))
    wanted = {
        "lines": sent,
        "rows": {n for n in sent if n % 5},
        "table": {n for n in sent if n % 7},
        "iced": {n for n in sent if n % 5},
    }
    with closing(DeliveryStore(folder / "state")) as store:
        used = {one.key.sink_id for one in store.inserts()}
    wanted = {name: numbers for name, numbers in wanted.items() if sink_id(name) in used}
    found = hashes(folder)
    wrong = [f"{path} changed" for path, digest in before.items() if found.get(path) != digest]
    for name, numbers in wanted.items():
        counts = delivered(folder, name)
        # A send that was not acknowledged may be there: it was durable when its sender died.
        wrong += [f"{name}: {n} is lost" for n in sorted(numbers - counts.keys())]
        wrong += [f"{name}: {n} is there {times} times" for n, times in sorted(counts.items()) if times != 1]
    return wrong + accounting_problems(folder)


def sink_id(name: str) -> str:
    return id_of("sink", "table_" if name == "table" else name)


def accounting_problems(folder: Path) -> list[str]:
    """Accepted = delivered + filtered + dead, by what the sinks and the dead letters really hold."""
    wrong: list[str] = []
    with closing(DeadLetters(folder / "state")) as dead_letters:
        letters = dead_letters.list(id_of("stream", "typed"), limit=100_000)
    unfit = {(one.partition, one.offset) for one in letters if one.family == "deserialization"}
    failed = {(one.partition, one.offset) for one in letters if one.family == "execution"}
    with closing(DeliveryStore(folder / "state")) as store:
        states = [(one, store.intent(one.key.id)) for one in store.inserts()]
    for state, intent in states:
        name = {sink_id(n): n for n in ("lines", "rows", "table", "iced")}[state.key.sink_id]
        if intent is not None:
            wrong.append(f"{name}: an intent is left")
        tallies = [one.tally for one in state.progress.values()]
        dead = {"lines": 0, "rows": len(unfit), "table": len(unfit) + len(failed), "iced": len(unfit)}[name]
        total = sum(one.committed - one.started for one in state.progress.values())
        if sum(tally.delivered for tally in tallies) != delivered(folder, name).total():
            wrong.append(f"{name}: delivered are counted wrong")
        if sum(tally.dead for tally in tallies) != dead:
            wrong.append(f"{name}: dead letters are counted wrong")
        if sum(tally.count for tally in tallies) != total:
            wrong.append(f"{name}: records do not add up")
    return wrong


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Deliveries, Deliveries]]:
    """Two servers of processes to kill: loading what they need costs more than a test."""
    both = Deliveries(), Deliveries()
    yield both
    for one in both:
        one.close()


@pytest.fixture
def two_servers(servers: tuple[Deliveries, Deliveries]) -> Iterator[tuple[Deliveries, Deliveries]]:
    """Servers without a process."""
    yield servers
    for one in servers:
        one.clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this process waits for long."""
    monkeypatch.setattr(insert_runner, "POLL_S", 0.01)
    monkeypatch.setattr(insert_runner, "RETRY_S", 0.01)
    monkeypatch.setattr(insert_runner, "RETRY_S_MAX", 0.05)
    monkeypatch.setattr(insert_runner, "MISCONFIGURED_RETRY_S", 0.05)
    monkeypatch.setattr(runner, "FOLLOW_S", 0.01)


@pytest.fixture
def half_way(monkeypatch: pytest.MonkeyPatch) -> HalfWay:
    """Every sink is of this type."""
    kind = HalfWay()
    monkeypatch.setattr(opening, "find_sink_type", lambda _: kind)
    return kind


@pytest.fixture
async def place(tmp_path: Path, quick: None) -> AsyncIterator[Place]:
    async with open_place(tmp_path) as place:
        yield place
