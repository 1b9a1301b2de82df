"""Servers as child processes, and wrk against them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
EDGE = str(Path(sys.executable).parent / "edge")
ROUNDS = 5
SECONDS = 3


@contextmanager
def served(*command: str) -> Iterator[tuple[str, int]]:
    """Start a server, wait for its line `Ready on URL`; yields (URL, pid)."""
    # What it says goes to a file: reading a pipe here would take from the cores that are measured.
    with (
        tempfile.TemporaryFile("w+") as told,
        subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, cwd=HERE) as child,
    ):
        try:
            yield _ready_url(told, child), child.pid
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()


def _ready_url(told: IO[str], child: subprocess.Popen[bytes]) -> str:
    while True:
        told.seek(0)
        text = told.read()
        if found := re.search(r"Ready on (http://\S+)\n", text):
            return found[1]
        if child.poll() is not None:
            raise SystemExit(f"{child.args[0]} did not start:\n{text}")
        time.sleep(0.002)


@contextmanager
def edge(command: str, worker: str, *options: str) -> Iterator[tuple[str, int]]:
    """`edge serve` or `edge dev` on one of bench/workers, with fresh state."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as state,
        served(
            EDGE,
            command,
            "--config",
            f"workers/{worker}/wrangler.jsonc",
            "--port",
            "0",
            "--persist-to",
            state,
            *options,
        ) as url,
    ):
        yield url


@contextmanager
def peer(name: str) -> Iterator[tuple[str, int]]:
    with served(sys.executable, f"peers/{name}.py") as url:
        yield url


def requests_per_second(url: str, *, connections: int, body: bytes | None = None, seconds: int = SECONDS) -> float:
    """One wrk run; with a body it POSTs. Any answer that is not 2xx ends the benchmark."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("make bench needs wrk: apt-get install wrk, or brew install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if body is not None:
            script.write(f'wrk.method = "POST"\nwrk.body = [==[{body.decode()}]==]\n')
            script.flush()
        told = subprocess.run(
            [wrk, "-t2", f"-c{connections}", f"-d{seconds}s", *(["-s", script.name] if body else []), url],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(f"{url} failed under load:\n{told}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found, told
    return float(found[1])
