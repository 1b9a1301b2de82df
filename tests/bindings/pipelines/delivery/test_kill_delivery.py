"""D3, D7: a kill -9 at every numbered action of a roll. What a reader finds: each record once, no file ever changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from edge.bindings.pipelines.dead_letters import DeadLetters
from edge.bindings.pipelines.delivery.faults import POINTS
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of

SERVER = Path(__file__).with_name("delivering.py")
COUNT = 40
Run = Callable[..., Any]


class Deliveries:
    """A server of processes to kill, and what they left in a folder."""

    def __init__(self, server: asyncio.subprocess.Process) -> None:
        self._server = server

    async def run(self, folder: Path, first: int, count: int = COUNT, **job: Any) -> int:
        """One process; returns how it ended, negative for a signal."""
        folder.mkdir(parents=True, exist_ok=True)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        job = {"folder": str(folder), "first": first, "count": count, **job}
        self._server.stdin.write(json.dumps(job).encode() + b"\n")
        answer = await self._server.stdout.readline()
        assert answer, "the server died"
        return int(answer.split()[1])


@asynccontextmanager
async def deliveries() -> AsyncIterator[Deliveries]:
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Deliveries(server)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        await server.wait()


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


async def kill_at(run: Deliveries, folder: Path, point: str, *, seed: int = 0, **job: Any) -> list[str]:
    """Die at `point`, possibly at a later pass of it, then deliver the rest: what is wrong then?"""
    chance = random.Random(f"{point}/{seed}")
    times = chance.randint(1, 9) if seed else 1
    status = await run.run(folder, 1, chance.randint(10, 90) if seed else COUNT, fault=f"{point}#{times}", **job)
    assert status == -signal.SIGKILL or (seed and status == 0), f"{point} ended with {status}"
    before = hashes(folder)
    if "control" in job:
        job = {"patience_s": 2.0}
    status = await run.run(folder, 1_000, 20, **job)
    return problems(folder, before) + ([] if status == 0 else [f"not delivered, status {status}"])


async def test_a_kill_at_any_action_loses_nothing_doubles_nothing_and_changes_no_file(tmp_path: Path) -> None:
    async with deliveries() as run:
        wrong = {point: await kill_at(run, tmp_path / point.replace(":", "-"), point) for point in POINTS}
    assert {point: found for point, found in wrong.items() if found} == {}


@pytest.mark.slow
async def test_a_hundred_kills_at_every_action(tmp_path: Path) -> None:
    async with deliveries() as run:
        for seed in range(1, 101):
            for point in POINTS:
                assert await kill_at(run, tmp_path / f"{seed}-{point.replace(':', '-')}", point, seed=seed) == []


async def test_control_without_an_intent_a_roll_is_made_anew_and_collides(tmp_path: Path) -> None:
    async with deliveries() as run:
        wrong = await kill_at(run, tmp_path, "publish:after", control="no intent")
    assert wrong


async def test_control_committing_before_publishing_loses_records(tmp_path: Path) -> None:
    async with deliveries() as run:
        wrong = await kill_at(run, tmp_path, "publish:before", control="commit before publish")
    assert any("is lost" in problem for problem in wrong)
