"""Processes that end without closing their machine end quietly, wherever its loop is by then."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS = """
import asyncio, sys, threading
from edge import Request
from edge.runtime.hosts.aws import LambdaMachine
from edge.runtime.testing.fake_host import RecordingLog

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
machine = LambdaMachine(RecordingLog(), environ={**KEYS, "AWS_ENDPOINT_URL": sys.argv[1]})

async def call():
    assert (await machine.fetch(Request(sys.argv[1]))).ok
    assert await machine.client("dynamodb").call("ListTables", {}) == {}
"""
ENDS = {
    "loop-runs": """
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(call(), loop).result()
""",
    "loop-stopped": """
loop = asyncio.new_event_loop()
loop.run_until_complete(call())
""",
    "loop-closed": """
asyncio.run(call())
""",
}
UNTOLD = """
import atexit
from edge.runtime.hosts import closing_at_exit
atexit.unregister(closing_at_exit._close_all)
"""


class Service(BaseHTTPRequestHandler):
    """Answers everything with an empty JSON object, on connections that are kept."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def told_by(code: str, url: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    return ended.stdout + ended.stderr


@pytest.mark.slow  # a process that loads aiohttp takes half a second
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_said_of_sessions_left_open(end: str, url: str) -> None:
    assert told_by(CALLS + end, url) == ""


@pytest.mark.slow
def test_without_it_aiohttp_complains(url: str) -> None:
    """The control."""
    assert "Unclosed client session" in told_by(CALLS + UNTOLD + ENDS["loop-runs"], url)
