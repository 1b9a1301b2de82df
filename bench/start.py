"""What waiting costs: `edge dev` to its first answer, `import edge`, and the memory of an idle server."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median

from figures import Figure, at_most
from load import edge

TRIES = 9


def figures() -> list[Figure]:
    first_answers = [_first_answer() for _ in range(TRIES)]
    bare = median(_run("pass") for _ in range(TRIES))
    with_edge = median(_run("import edge") for _ in range(TRIES))
    return [
        at_most(
            "edge dev, start to first 200, median of nine",
            median(first_answers),
            0.6,
            unit=" s",
            beside=f"python -c pass {bare * 1000:.0f} ms",
        ),
        at_most(
            "import edge, over the bare interpreter",
            (with_edge - bare) * 1000,
            30,
            unit=" ms",
            beside=f"python -c pass {bare * 1000:.0f} ms",
        ),
        at_most("resident memory, idle edge serve", _idle_memory_mb(), 80, unit=" MB", beside="after one answer"),
    ]


def _first_answer() -> float:
    start = time.perf_counter()
    with edge("dev", "hello") as (url, _):
        urllib.request.urlopen(url).read()
        return time.perf_counter() - start


def _run(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    return time.perf_counter() - start


def _idle_memory_mb() -> float:
    with edge("serve", "hello") as (url, pid):
        urllib.request.urlopen(url).read()
        status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
