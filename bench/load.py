"""Servers as child processes, and wrk against them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
EDGE = str(Path(sys.executable).parent / "edge")
ROUNDS = 5
SECONDS = 3


@contextmanager
def served(*command: str) -> Iterator[tuple[str, int]]:
    """Start a server, wait for its line `Ready on URL`; yields (URL, pid)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE) as child:
        assert child.stdout is not None
        seen = []
        try:
            for line in child.stdout:
                seen.append(line)
                if found := re.search(r"Ready on (http://\S+)", line):
                    threading.Thread(target=child.stdout.read, daemon=True).start()
                    yield found[1], child.pid
                    return
            raise SystemExit(f"{command[0]} did not start:\n{''.join(seen)}")
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()


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
