"""What a save and a crash cost: saved to served through `edge dev`, and killed to answering through `edge serve`."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from figures import Figure, at_most, machine
from load import EDGE, HERE, served

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SAVES = 40
KILLS = 9
SENDERS = 8
ANSWERS_BEFORE_KILL = 500
ENTRY = "from workers import Response\n\nasync def fetch(request, env, ctx):\n    return Response({!r})\n"


def figures() -> list[Figure]:
    saves = sorted(_saves_s())
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as state:
        _killed_under_load(state)
        restarts = sorted(_restart_s(state) for _ in range(KILLS))
    return [
        at_most(
            f"edge dev, saved to served, p95 of {SAVES}",
            saves[int(SAVES * 0.95)] * 1000,
            300,
            unit=" ms",
            beside=f"p50 {median(saves) * 1000:.0f} ms; one client asks all the time",
        ),
        at_most(
            f"edge serve, restart after kill -9 to first 200, slowest of {KILLS}",
            restarts[-1],
            2.0,
            unit=" s",
            beside=f"median {median(restarts):.2f} s; killed while {SENDERS} clients send to STREAM; {machine()}",
        ),
    ]


def _saves_s() -> list[float]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shutil.copy(HERE / "workers/hello/wrangler.jsonc", folder)
        entry = folder / "entry.py"
        entry.write_text(ENTRY.format("first"))
        with served(EDGE, "dev", "--config", str(folder / "wrangler.jsonc"), "--port", "0") as (url, _):
            connection = http.client.HTTPConnection(url.removeprefix("http://"))
            _ask_until(connection, "first")
            return [_save_s(entry, connection, f"version {number}") for number in range(SAVES)]


def _save_s(entry: Path, connection: http.client.HTTPConnection, text: str) -> float:
    start = time.perf_counter()
    entry.write_text(ENTRY.format(text))
    _ask_until(connection, text)
    return time.perf_counter() - start


def _ask_until(connection: http.client.HTTPConnection, text: str) -> None:
    body = ""
    while body != text:
        connection.request("GET", "/")
        body = connection.getresponse().read().decode()


def _restart_s(state: str) -> float:
    """Seconds from starting the process to its first 200, on what a killed one left; it is killed under load again."""
    start = time.perf_counter()
    with _serving(state) as (url, pid):
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        connection.request("GET", "/hello")
        status = connection.getresponse().status
        took = time.perf_counter() - start
        connection.close()
        assert status == 200, status
        _kill_under_load(url, pid)
    return took


def _killed_under_load(state: str) -> None:
    with _serving(state) as (url, pid):
        _kill_under_load(url, pid)


def _kill_under_load(url: str, pid: int) -> None:
    """Kill the server once it has answered a number of sends, with others in flight."""
    enough = threading.Semaphore(0)
    senders = [threading.Thread(target=_send_until_gone, args=(url, enough)) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for _ in range(ANSWERS_BEFORE_KILL):
        enough.acquire()
    os.kill(pid, signal.SIGKILL)
    for sender in senders:
        sender.join()


def _send_until_gone(url: str, answered: threading.Semaphore) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    with suppress(OSError, http.client.HTTPException):
        while True:
            connection.request("POST", "/send", '[{"kind": "page_view"}]')
            assert connection.getresponse().read() == b"sent"
            answered.release()
    connection.close()


def _serving(state: str) -> AbstractContextManager[tuple[str, int]]:
    return served(
        EDGE, "serve", "--config", "workers/bindings/wrangler.jsonc", "--port", "0", "--persist-to", state
    )  # fmt: skip
