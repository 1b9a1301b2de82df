"""D1: kill -9 under load, with a ledger of what was acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.local import open_binding
from edge.bindings.spec import Site
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable

SENDER = Path(__file__).with_name("ledger_sender.py")


async def kill_once(state_dir: Path, first: int, ack_count: int, *arguments: str) -> list[int]:
    """Run a sender, kill it once it acknowledged `ack_count` sends; returns every number it acknowledged."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(SENDER), str(state_dir), str(first), *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = [await child.stdout.readline() for _ in range(ack_count)]
    child.kill()
    acknowledged += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    return [int(line) for line in acknowledged if line.endswith(b"\n")]


async def delivered_counts(state_dir: Path) -> Counter[int]:
    """Open and close the stream, which delivers the rest; how often is each number in the files?"""
    host = FakeHost(state_dir)
    async with open_binding([PipelineEntry("STREAM", stream="ledger")], Site(host, None)):
        pass
    return Counter(json.loads(line)["n"] for line in delivered_lines(state_dir))


def delivered_lines(state_dir: Path) -> list[bytes]:
    files = state_dir.glob("streams/*/files/*.ndjson")
    return [line for path in files for line in path.read_bytes().splitlines()]


async def run_kills(state_dir: Path, kill_count: int, *arguments: str, check: Callable[[set[int]], None]) -> None:
    chance = random.Random(kill_count)
    acknowledged: set[int] = set()
    for _ in range(kill_count):
        first = max(acknowledged, default=0) + 1_000
        acknowledged.update(await kill_once(state_dir, first, chance.randint(1, 600), *arguments))
    check(acknowledged)


async def require_each_exactly_once(state_dir: Path, kill_count: int) -> None:
    acknowledged: set[int] = set()
    await run_kills(state_dir, kill_count, check=acknowledged.update)
    counts = await delivered_counts(state_dir)
    assert acknowledged - set(counts) == set(), "acknowledged and lost"
    assert {number for number, times in counts.items() if times != 2} == set(), "half a send, or one delivered twice"


async def test_ten_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    await require_each_exactly_once(tmp_path, 10)


@pytest.mark.slow
async def test_a_thousand_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    await require_each_exactly_once(tmp_path, 1_000)


async def test_control_acknowledging_before_the_write_loses_records(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    await run_kills(tmp_path, 3, "early", check=acknowledged.update)
    assert acknowledged - set(await delivered_counts(tmp_path))
