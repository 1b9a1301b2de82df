"""A sink that takes nothing for a while: its stream refuses before the log grows without end, and goes on with it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Server

BACKLOG_BYTES = 64 * 1024
PADDING = "x" * 4096
POSTS_MAX = 4 * BACKLOG_BYTES // len(PADDING)
INGEST = "/cdn-cgi/ingest/events"
SECONDS_MAX = 60
EDGE_TOML = """
[streams.events]
http = {{ enabled = true, authentication = false }}
retention = {{ backlog_bytes = {backlog_bytes} }}

[sinks.receiver]
type = "webhook"
url = "{url}"
allow_private_network = true
rolling_policy = {{ interval_seconds = 1 }}

[[pipelines]]
name = "events"
sql = "INSERT INTO receiver SELECT * FROM events"
"""


class Receiver:
    """A webhook's other end, which answers nobody until it is opened."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.numbers: set[int] = set()
        self._changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                lines = self.rfile.read(int(self.headers["content-length"])).splitlines()
                outer.is_open.wait()  # `close` opens it
                with outer._changed:
                    outer.numbers |= {int(json.loads(line)["value"]["n"]) for line in lines}
                    outer._changed.notify()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def wait_for(self, numbers: set[int]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: numbers <= self.numbers, SECONDS_MAX), "records did not arrive"

    def close(self) -> None:
        self.is_open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def post(server: Server, number: int) -> int:
    return server.ask(INGEST, body=json.dumps([{"n": number, "padding": PADDING}]).encode())[0]


def kept_until_refused(server: Server) -> tuple[set[int], int]:
    """The records that were taken, and the answer to the first that was not; 200 when all were."""
    kept: set[int] = set()
    for number in range(POSTS_MAX):
        if (status := post(server, number)) != 200:
            return kept, status
        kept.add(number)
    return kept, 200


def test_a_slow_sink_stops_the_senders_and_loses_nothing_they_were_answered_for(
    start: Callable[..., Server], project: Path, receiver: Receiver
) -> None:
    (project / "edge.toml").write_text(EDGE_TOML.format(backlog_bytes=BACKLOG_BYTES, url=receiver.url))
    server = start(project, "serve")
    kept, status = kept_until_refused(server)
    assert status == 429
    assert kept
    assert receiver.numbers == set()
    receiver.is_open.set()
    receiver.wait_for(kept)
    while (status := post(server, POSTS_MAX)) == 429:  # its room is counted anew within a moment
        pass
    assert status == 200
    receiver.wait_for({POSTS_MAX})
    assert receiver.numbers == {*kept, POSTS_MAX}
    assert server.stop() == 0


def test_control_without_a_small_limit_nothing_is_refused(
    start: Callable[..., Server], project: Path, receiver: Receiver
) -> None:
    (project / "edge.toml").write_text(EDGE_TOML.format(backlog_bytes=1024 * BACKLOG_BYTES, url=receiver.url))
    assert kept_until_refused(start(project, "serve"))[1] == 200
