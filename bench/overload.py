"""A sink that is down while records come as fast as they can, and a start after kill -9 with a million waiting.

The overload is whatever wrk can send: the sink takes nothing, so it is more than ten times what is delivered. Memory is
the process's own peak; what was acknowledged is counted by the receiver once it is up again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from delivery import peak_memory_mb
from figures import Figure, at_most
from load import EDGE, HERE, served
from streams import record

SECONDS = 15
RECORDS = 100
UNREAD = 1_000_000
STARTS = 5
RECOVERY_SECONDS_MAX = 300
COUNTING = """
wrk.method = "POST"
wrk.body = [==[%s]==]
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() kept, busy, other = 0, 0, 0 end
function response(status)
    if status == 200 then kept = kept + 1 elseif status == 429 then busy = busy + 1 else other = other + 1 end
end
function done()
    local sums = {kept = 0, busy = 0, other = 0}
    for _, thread in ipairs(threads) do
        for name in pairs(sums) do sums[name] = sums[name] + thread:get(name) end
    end
    io.write(string.format("kept=%%d busy=%%d other=%%d\\n", sums.kept, sums.busy, sums.other))
end
"""


def figures() -> list[Figure]:
    return [*_overload(), _restart()]


def _overload() -> list[Figure]:
    body = json.dumps([record(1000 + n) for n in range(RECORDS)], separators=(",", ":"))
    receiver = _Receiver()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        folder = _worker(Path(place), receiver.url)
        config = str(folder / "wrangler.jsonc")
        with served(EDGE, "serve", "--config", config, "--port", "0", "--persist-to", place) as (url, pid):
            target = f"{url}/cdn-cgi/ingest/events"
            kept, busy, other = _flood(target, body)
            memory_mb = peak_memory_mb(pid)
            assert busy, "the backlog's limit was not reached: nothing was refused"
            assert not other, f"{other} answers were neither 200 nor 429"
            receiver.start()
            started_at = time.perf_counter()
            while receiver.count < kept * RECORDS:
                assert time.perf_counter() - started_at < RECOVERY_SECONDS_MAX, f"{receiver.count:,} arrived so far"
                time.sleep(0.1)
            took_s = time.perf_counter() - started_at
            while _status(target, body) != 200:
                time.sleep(0.1)
        receiver.close()
    beside = (
        f"sink down: {kept * RECORDS:,} records kept, then {busy:,} requests answered 429; up again: "
        f"{receiver.count:,} arrived in {took_s:.0f} s, and the next POST was taken"
    )
    return [at_most("memory under overload with the sink down", memory_mb, 400, unit=" MB", beside=beside)]


def _restart() -> Figure:
    body = json.dumps([record(n) for n in range(1000)], separators=(",", ":")).encode()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        folder = _worker(Path(place), "http://127.0.0.1:9/", backlog_bytes=2 * 1024**3)
        command = (EDGE, "serve", "--config", str(folder / "wrangler.jsonc"), "--port", "0", "--persist-to", place)
        with served(*command) as (url, pid):
            for _ in range(UNREAD // 1000):
                urlopen(Request(f"{url}/cdn-cgi/ingest/events", body, method="POST")).close()
            os.kill(pid, signal.SIGKILL)
        took: list[float] = []
        for _ in range(STARTS):
            started_at = time.perf_counter()
            with served(*command) as (url, pid):
                urlopen(Request(f"{url}/cdn-cgi/ingest/events", body, method="POST")).close()
                took.append(time.perf_counter() - started_at)
                os.kill(pid, signal.SIGKILL)
    beside = f"median of {STARTS} starts, slowest {max(took):.2f} s"
    return at_most(
        "kill -9 with 1,000,000 unread records, to the first POST kept", median(took), 2, unit=" s", beside=beside
    )


def _worker(place: Path, sink_url: str, *, backlog_bytes: int = 128 * 1024 * 1024) -> Path:
    folder = Path(shutil.copytree(HERE / "workers" / "overload", place / "worker"))
    settings = (folder / "edge.toml").read_text()
    (folder / "edge.toml").write_text(settings % {"backlog_bytes": backlog_bytes, "url": sink_url})
    return folder


def _flood(url: str, body: str) -> tuple[int, int, int]:
    """As many POSTs as go; how many were kept, answered 429, and anything else."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(COUNTING % body)
        script.flush()
        command = ["wrk", "-t1", "-c64", f"-d{SECONDS}s", "-s", script.name, url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"kept=(\d+) busy=(\d+) other=(\d+)", told)
    assert found, told
    return int(found[1]), int(found[2]), int(found[3])


def _status(url: str, body: str) -> int:
    try:
        with urlopen(Request(url, body.encode(), method="POST")) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


class _Receiver:
    """A webhook's other end: nobody listens on its port before `start`."""

    def __init__(self) -> None:
        self.count = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.count += body.count(b"\n")
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.server_bind()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def start(self) -> None:
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
