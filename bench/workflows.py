"""Durable steps and sleeping instances, in a real `edge serve`, beside dbos on SQLite and the disk's own sync.

Every step's result, 300 bytes, is on the disk (SQLite, WAL, synchronous FULL) before the next line of `run` goes on.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

from delivery import peak_memory_mb
from figures import Figure, at_least, at_most, fsync_cost, paced_append_p99_ms
from load import EDGE, HERE, edge, served

ROUNDS = 5
ALONE_STEPS = 2000
INSTANCES, STEPS = 200, 50
PEER_INSTANCES, PEER_STEPS = 64, 20
CREATED, CREATING_AT_ONCE = 6000, 64
PACED_INSTANCES, PACED_STEPS, PACED_PER_S = 50, 200, 1000
STEP_BYTES = 300
SLEEPING, WAKING, WAKING_PER_S = 100_000, 20_000, 1000
WAKING_IN_S = 60.0
"""From the creation of those that wake to the first of them: time to fall asleep, and for a restart."""
PATIENCE_S = 300


def figures() -> list[Figure]:
    with edge("serve", "workflows") as (url, _):
        _ask(url, "steps", instances=10, steps=10)  # warm
        alone = [ALONE_STEPS / _ask(url, "steps", instances=1, steps=ALONE_STEPS)["seconds"] for _ in range(ROUNDS)]
        many, peers = [], []
        for _ in range(ROUNDS):
            many.append(INSTANCES * STEPS / _ask(url, "steps", instances=INSTANCES, steps=STEPS)["seconds"])
            peers.append(_peer_steps_per_second())
        created = [
            CREATED / _ask(url, "create", count=CREATED, at_once=CREATING_AT_ONCE)["seconds"] for _ in range(ROUNDS)
        ]
        paced, disk_paced = [], []
        for _ in range(ROUNDS):
            paced.append(_paced_p99_ms(url))
            disk_paced.append(paced_append_p99_ms(STEP_BYTES, PACED_PER_S, PACED_INSTANCES * PACED_STEPS / PACED_PER_S))
    disk = fsync_cost()
    ratio = median(ours / peer for ours, peer in zip(many, peers, strict=True))
    return [
        at_least("one instance, steps one after another", median(alone), 2000, unit=" steps/s", beside=disk),
        at_least(f"{INSTANCES} instances at once", median(many), 10_000, unit=" durable steps/s", beside=disk),
        at_least("the same / dbos 3.4.0 on SQLite, in turns", ratio, 20, beside=f"dbos {median(peers):,.0f} steps/s"),
        at_least("create of one-step instances", median(created), 3000, unit="/s", beside="each on the disk"),
        at_most(
            f"p99 added to the disk's own at {PACED_PER_S:,} steps/s",
            median(ours - raw for ours, raw in zip(paced, disk_paced, strict=True)),
            5,
            unit=" ms",
            beside=f"step p99 {median(paced):.2f} ms; raw append+fdatasync at that pace, in turns, p99 "
            f"{median(disk_paced):.2f} ms",
        ),
        *_sleepers(),
    ]


def _ask(url: str, what: str, **options: float) -> Any:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    with urlopen(f"{url}/{what}?{query}", timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


def _paced_p99_ms(url: str) -> float:
    every_s = PACED_INSTANCES / PACED_PER_S
    took_s = _ask(url, "steps", instances=PACED_INSTANCES, steps=PACED_STEPS, every_s=every_s)["took_s"]
    return float(took_s[int(len(took_s) * 0.99)] * 1000)


def _peer_steps_per_second() -> float:
    command = (sys.executable, "peers/dbos_sqlite.py", str(PEER_INSTANCES), str(PEER_STEPS))
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE).stdout
    return float(PEER_INSTANCES * PEER_STEPS / json.loads(told.splitlines()[-1])["seconds"])


def _sleepers() -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as state:
        command = (EDGE, "serve", "--config", "workers/workflows/wrangler.jsonc", "--port", "0", "--persist-to", state)
        with served(*command) as (url, pid):
            _ask(url, "sleepers", count=SLEEPING - WAKING)
            first_due_s = _ask(url, "sleepers", count=WAKING, waking_in_s=WAKING_IN_S, per_s=WAKING_PER_S)[
                "first_due_s"
            ]
            _until_all_sleep(Path(state))
            filling_mb = peak_memory_mb(pid)
            os.kill(pid, signal.SIGKILL)
        start = time.perf_counter()
        with served(*command) as (url, pid):
            ready_s = time.perf_counter() - start
            spare_s = first_due_s - time.time()
            while _ask(url, "woken")["count"] < WAKING:
                time.sleep(1)
            woken, waking_mb = _ask(url, "woken"), peak_memory_mb(pid)
    assert spare_s > 0, f"the restart came {-spare_s:.1f} s after the first was due: nothing of lateness was measured"
    assert woken["earliest_s"] >= 0, f"one woke {-woken['earliest_s']} s before its time"
    return [
        at_most(
            f"{SLEEPING:,} sleeping instances, resident",
            max(filling_mb, waking_mb),
            300,
            unit=" MB",
            beside=f"peak while they fell asleep {filling_mb} MB, after the restart {waking_mb} MB",
        ),
        at_most("  restart after kill -9, to ready", ready_s, 2, unit=" s", beside=f"{SLEEPING:,} asleep"),
        at_most(
            f"  latest waking of {WAKING:,} at {WAKING_PER_S:,}/s",
            woken["latest_s"],
            1,
            unit=" s",
            beside="none before its time",
        ),
    ]


def _until_all_sleep(state: Path) -> None:
    (file,) = state.rglob("workflows.sqlite")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as journal:
        give_up_at = time.monotonic() + PATIENCE_S
        while (found := dict(journal.execute("SELECT status, count(*) FROM instance GROUP BY status"))) != {
            "waiting": SLEEPING
        }:
            assert time.monotonic() < give_up_at, f"after {PATIENCE_S} s: {found}"
            time.sleep(0.5)
