"""Streams from outside: `edge streams` beside a server that writes, and the repair of a log that was damaged."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Edge = Callable[..., subprocess.CompletedProcess[str]]
    Start = Callable[..., Any]

EDGE = Path(sys.executable).parent / "edge"
SENDS = """from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await self.env.STREAM.send([await request.json()])
        return Response("ok")
"""
STREAM = ', "pipelines": [{"binding": "STREAM", "stream": "flights"}]'


@pytest.fixture
def sender(project: Path, worker: Any) -> Path:
    worker.config(project, STREAM)
    worker.entry(project, SENDS)
    return project


def send(server: Any, numbers: range) -> None:
    """One POST each, all through one connection."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    for n in numbers:
        connection.request("POST", "/", body=json.dumps({"n": n}))
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"ok")
    connection.close()


def delivered(project: Path) -> list[int]:
    files = sorted(project.glob(".edge/state/streams/*/files/*.ndjson"))
    return [json.loads(line)["n"] for path in files for line in path.read_bytes().splitlines()]


def damage_logs(project: Path) -> list[Path]:
    """Turn one bit in the middle of each segment."""
    segments = list(project.glob(".edge/state/streams/*/[0-9]*/*.log"))
    for segment in segments:
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)
    return segments


def test_sends_through_one_connection_are_delivered_in_order(start: Start, sender: Path) -> None:
    server = start(sender, "serve")
    send(server, range(500))
    assert server.stop(signal.SIGTERM) == 0
    assert delivered(sender) == list(range(500))


def test_two_tails_at_once_see_every_record(start: Start, sender: Path) -> None:
    server = start(sender, "serve")
    send(server, range(1))
    tails = [
        subprocess.Popen([EDGE, "streams", "tail", "flights", "--json"], cwd=sender, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        first = [json.loads(tail.stdout.readline())["record"]["n"] for tail in tails if tail.stdout]
        send(server, range(1, 200))
        for tail in tails:
            assert tail.stdout is not None
            seen = [json.loads(tail.stdout.readline())["record"]["n"] for _ in range(199)]
            assert [first[0], *seen] == list(range(200))
    finally:
        for tail in tails:
            tail.kill()
            tail.communicate()


def test_fsck_names_who_holds_the_stream(edge: Edge, start: Start, sender: Path) -> None:
    server = start(sender, "serve")
    found = edge("streams", "fsck", "flights", cwd=sender)
    assert found.returncode == 1
    assert f"is in use by process {server.child.pid}. Stop it" in found.stderr.replace("\n", " ")


def test_fsck_without_a_name_checks_every_stream(edge: Edge, start: Start, sender: Path) -> None:
    empty = edge("streams", "fsck", cwd=sender)
    assert (empty.returncode, empty.stdout) == (0, "")
    assert empty.stderr == "Nobody has sent to a stream yet: there is no log to check.\n"
    server = start(sender, "serve")
    send(server, range(3))
    server.stop(signal.SIGTERM)
    assert edge("streams", "create", "other", cwd=sender).returncode == 0
    sent = subprocess.run([EDGE, "streams", "send", "other"], cwd=sender, input='{"n": 1}\n', text=True, check=False)
    assert sent.returncode == 0
    found = edge("streams", "fsck", cwd=sender)
    assert found.returncode == 0
    said = found.stdout.splitlines()
    assert {line for line in said if line.startswith("stream ")} == {"stream flights", "stream other"}
    assert len([line for line in said if line.startswith("partition ")]) == 2
    damage_logs(sender)
    found = edge("streams", "fsck", cwd=sender)
    assert found.returncode == 1
    assert found.stdout.count("  damaged: ") == 2


def test_damaged_stream_is_stopped_repaired_and_serves_again(edge: Edge, start: Start, sender: Path) -> None:
    server = start(sender, "serve")
    send(server, range(10))
    server.stop(signal.SIGTERM)
    assert edge("streams", "fsck", "flights", cwd=sender).returncode == 0
    [segment] = damage_logs(sender)
    server = start(sender, "serve")
    assert server.ask(body=b'{"n": 10}')[0] == 503
    server.stop(signal.SIGTERM)
    found = edge("streams", "fsck", "flights", cwd=sender)
    assert found.returncode == 1
    assert f"damaged: {segment}, bytes " in found.stdout
    assert "lost: 1 offsets, " in found.stdout
    assert "1 of them were delivered to files" in found.stdout
    repaired = edge("streams", "fsck", "flights", "--repair", cwd=sender)
    assert (repaired.returncode, repaired.stderr) == (0, "")
    assert "repaired: 1 offsets lost, none will be given out again" in repaired.stdout
    assert len(list(sender.glob(".edge/state/streams/*/dead/0-*.damaged"))) == 1
    server = start(sender, "serve")
    send(server, range(10, 12))
    server.stop(signal.SIGTERM)
    assert delivered(sender) == list(range(12))
    assert edge("streams", "fsck", "flights", cwd=sender).returncode == 0


def test_log_that_was_cut_short_delivers_what_comes_next(start: Start, sender: Path) -> None:
    server = start(sender, "serve")
    send(server, range(10))
    server.stop(signal.SIGTERM)
    [segment] = sender.glob(".edge/state/streams/*/0/*.log")
    segment.write_bytes(segment.read_bytes()[:-100])
    server = start(sender, "serve")
    send(server, range(10, 15))
    assert server.stop(signal.SIGTERM) == 0
    assert delivered(sender) == list(range(15))
    assert sum("acknowledged_records_gone" in line for line in server.lines) == 1


def test_what_killed_workers_left_is_delivered_by_one_process(start: Start, sender: Path) -> None:
    server = start(sender, "serve", "--workers", "3")
    for n in range(40):
        send(server, range(n, n + 1))
    os.killpg(server.child.pid, signal.SIGKILL)  # it leads a session of its own
    server.wait()
    assert delivered(sender) != list(range(40))
    server = start(sender, "serve")
    assert server.stop(signal.SIGTERM) == 0
    assert sorted(delivered(sender)) == list(range(40))
