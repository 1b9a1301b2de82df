"""Runs `delivering.py`, and reads what its processes left, by readers that are not ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from edge.bindings.pipelines.dead_letters import DeadLetters
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SERVER = Path(__file__).with_name("delivering.py")
COUNT = 40


class Deliveries:
    """A server of processes to kill, and what they left in a folder."""

    def __init__(self, server: asyncio.subprocess.Process) -> None:
        self._server = server
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
        self._running = await self._answer()
        return self._running

    @staticmethod
    def hashes(folder: Path) -> dict[Path, str]:
        """Every delivered file with what is in it."""
        return hashes(folder)

    @staticmethod
    def problems(folder: Path, before: dict[Path, str]) -> list[str]:
        """What is wrong after everything was delivered; the truth is what the senders were told."""
        return problems(folder, before)

    async def aclose(self) -> None:
        """End the server, and a process of it that still runs."""
        if self._running:
            with suppress(ProcessLookupError):
                os.kill(self._running, signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        await self._server.wait()

    async def ended(self) -> int:
        """Wait for the process that was started."""
        status = await self._answer()
        self._running = 0
        return status

    async def _answer(self) -> int:
        assert self._server.stdout is not None
        answer = await self._server.stdout.readline()
        assert answer, "the server died"
        return int(answer)


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
    if name == "table":
        files = (folder / name).rglob("*.parquet")
        return Counter(n for path in files for n in pq.ParquetFile(path).read().column("n").to_pylist())
    lines = (line for path in (folder / name).rglob("*.json") for line in path.read_bytes().splitlines())
    return Counter(json.loads(line)["n"] for line in lines)


def problems(folder: Path, before: dict[Path, str]) -> list[str]:
    """What is wrong after everything was delivered; the truth is what the senders were told."""
    sent = set(acknowledged(folder))
    wanted = {
        "lines": sent,
        "rows": {n for n in sent if n % 5},
        "table": {n for n in sent if n % 7},
    }
    found = hashes(folder)
    wrong = [f"{path} changed" for path, digest in before.items() if found.get(path) != digest]
    for name, numbers in wanted.items():
        counts = delivered(folder, name)
        # A send that was not acknowledged may be there: it was durable when its sender died.
        wrong += [f"{name}: {n} is lost" for n in sorted(numbers - counts.keys())]
        wrong += [f"{name}: {n} is there {times} times" for n, times in sorted(counts.items()) if times != 1]
    return wrong + accounting_problems(folder)


def accounting_problems(folder: Path) -> list[str]:
    """Accepted = delivered + filtered + dead, by what the sinks and the dead letters really hold."""
    wrong: list[str] = []
    letters = DeadLetters(folder / "state").list(id_of("stream", "typed"), limit=100_000)
    unfit = {(one.partition, one.offset) for one in letters if one.family == "deserialization"}
    failed = {(one.partition, one.offset) for one in letters if one.family == "execution"}
    for state in DeliveryStore(folder / "state").inserts():
        name = {id_of("sink", "table_" if n == "table" else n): n for n in ("lines", "rows", "table")}[
            state.key.sink_id
        ]
        tallies = [one.tally for one in state.progress.values()]
        dead = {"lines": 0, "rows": len(unfit), "table": len(unfit) + len(failed)}[name]
        total = sum(one.committed - one.started for one in state.progress.values())
        if sum(tally.delivered for tally in tallies) != delivered(folder, name).total():
            wrong.append(f"{name}: delivered are counted wrong")
        if sum(tally.dead for tally in tallies) != dead:
            wrong.append(f"{name}: dead letters are counted wrong")
        if sum(tally.count for tally in tallies) != total:
            wrong.append(f"{name}: records do not add up")
    return wrong


@pytest.fixture
async def start_server() -> AsyncIterator[Callable[[], Awaitable[Deliveries]]]:
    """Starts servers of processes to kill; all of them end with the test."""
    servers: list[Deliveries] = []

    async def start() -> Deliveries:
        server = await asyncio.create_subprocess_exec(
            sys.executable, str(SERVER), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        servers.append(Deliveries(server))
        return servers[-1]

    yield start
    for server in servers:
        await server.aclose()
