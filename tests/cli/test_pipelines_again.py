"""A real `edge dev` whose edge.toml changes, whose objects are deleted: no record goes twice unless it is asked to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import save

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Edge = Callable[..., subprocess.CompletedProcess[str]]

PATIENCE_S = 60.0
DECLARED = """
[streams.ev]
http = { enabled = true, authentication = false }
[sinks.far]
type = "local"
path = "out"
rolling_policy = { interval_seconds = 1 }
[[pipelines]]
name = "p"
sql = "INSERT INTO far SELECT * FROM ev"
"""


class Dev:
    """The server, its config, and what it delivered."""

    def __init__(self, folder: Path, start: Callable[..., Any], edge: Edge) -> None:
        self.folder = folder
        self.edge = edge
        self.declare(DECLARED)
        self.server = start(folder, "dev")

    def declare(self, text: str) -> None:
        save(self.folder / "edge.toml", text)

    def reload(self, text: str) -> None:
        self.declare(text)
        self.server.wait_for("reloaded")

    def send(self, *numbers: int) -> None:
        body = json.dumps([{"n": n} for n in numbers]).encode()
        assert self.server.ask("/cdn-cgi/ingest/ev", body=body)[0] == 200

    def command(self, *arguments: str) -> str:
        done = self.edge(*arguments, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for(self, *numbers: int) -> None:
        """Until the sink has exactly these."""
        deadline = time.monotonic() + PATIENCE_S
        while self.delivered() != list(numbers):
            assert time.monotonic() < deadline, self.delivered()
            time.sleep(0.02)

    def stop(self) -> list[int]:
        """End it, which delivers what waits."""
        self.server.stop()
        return self.delivered()

    def delivered(self) -> list[int]:
        """Every `n` of the sink, sorted."""
        files = (path for path in (self.folder / "out").rglob("[!.]*.json*") if path.is_file())
        return sorted(json.loads(line)["n"] for path in files for line in path.read_bytes().splitlines())


@pytest.fixture
def dev(project: Path, start: Callable[..., Any], edge: Edge) -> Dev:
    return Dev(project, start, edge)


@pytest.mark.slow  # processes
def test_a_renamed_pipeline_delivers_on(dev: Dev) -> None:
    dev.send(1, 2, 3)
    dev.wait_for(1, 2, 3)
    dev.reload(DECLARED.replace('"p"', '"p2"'))
    dev.send(4)
    dev.wait_for(1, 2, 3, 4)
    assert dev.stop() == [1, 2, 3, 4]
    assert [one["name"] for one in json.loads(dev.command("pipelines", "list", "--json"))] == ["p2"]


@pytest.mark.slow  # processes
@pytest.mark.parametrize("kind", ["pipelines", "streams"])
def test_what_is_deleted_and_still_declared_delivers_nothing_twice(dev: Dev, kind: str) -> None:
    dev.send(1, 2, 3)
    dev.wait_for(1, 2, 3)
    dev.command(kind, "delete", {"pipelines": "p", "streams": "ev"}[kind], "-y")
    dev.reload(DECLARED + "\n")
    dev.send(4)
    dev.wait_for(1, 2, 3, 4)
    assert dev.stop() == [1, 2, 3, 4]


@pytest.mark.slow  # processes
def test_a_replay_is_asked_for_and_delivers_again(dev: Dev) -> None:
    dev.send(1, 2, 3)
    dev.wait_for(1, 2, 3)
    refused = dev.edge("pipelines", "replay", "p", "--from", "1", cwd=dev.folder)
    assert refused.returncode == 1
    assert "Deliver 2 records of pipeline p again? Their rows are in far already and will be there twice." in (
        refused.stderr
    )
    assert "Nothing is replayed: there is no terminal to ask on. Pass -y to replay." in refused.stderr
    nothing = dev.edge("pipelines", "replay", "p", "--from", "2999-01-01", cwd=dev.folder)
    assert "Pipeline p has delivered no record from 2999-01-01 on that its streams' logs still have." in nothing.stderr
    odd = dev.edge("pipelines", "replay", "p", "--from", "soon", cwd=dev.folder)
    assert "'soon' is neither an offset (0, 1200) nor an ISO 8601 time" in odd.stderr
    dev.command("pipelines", "replay", "p", "--from", "1", "-y")
    dev.wait_for(1, 2, 2, 3, 3)
    assert dev.stop() == [1, 2, 2, 3, 3]
