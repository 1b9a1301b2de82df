"""From a POST to the sink's files, all in one process: what arrives is counted by pyarrow, not by us.

wrk posts at a steady pace, above the target. The clock stops when the last record is in a file: a backlog that grew
would show.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from figures import Figure, at_least, fsync_cost
from load import EDGE, HERE, served
from streams import record

from edge.bindings.pipelines.delivery.status import DeliveryStatus
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders

CONNECTIONS = 32
SECONDS = 60
RECORDS = 100
PACE = 1.15
"""Of the target: the clock runs until the last file is there, which is up to a roll after the last request."""
PACED = """
local ffi = require("ffi")
ffi.cdef[[typedef struct { long s; long us; } tv; int gettimeofday(tv *, void *);]]
local at, due = ffi.new("tv"), 0
local function now() ffi.C.gettimeofday(at, nil); return tonumber(at.s) * 1000 + tonumber(at.us) / 1000 end
wrk.method = "POST"
wrk.body = [==[%s]==]
function delay()
    if due == 0 then due = now() end
    due = due + %f
    return math.max(0, due - now())
end
"""


def figures(seconds: int = SECONDS) -> list[Figure]:
    return [
        _delivered("plain", "POST to NDJSON, passed through", 300_000, seconds),
        _delivered("typed", "POST to Parquet, through SQL", 200_000, seconds),
    ]


def _delivered(stream: str, what: str, target: int, seconds: int) -> Figure:
    body = json.dumps([record(1000 + n) for n in range(RECORDS)], separators=(",", ":"))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        folder, state_dir = Path(place) / "worker", Path(place) / "state"
        shutil.copytree(HERE / "workers" / "delivery", folder)
        command = (EDGE, "serve", "--config", str(folder / "wrangler.jsonc"), "--port", "0")
        with served(*command, "--persist-to", place) as (url, pid):
            status = DeliveryStatus(state_dir, StreamFolders(state_dir))
            started_at = time.perf_counter()
            told = _post(f"{url}/cdn-cgi/ingest/{stream}", body, target * PACE, seconds)
            waited = _waiting(status)
            while _waiting(status):
                time.sleep(0.05)
            rate = _committed(status) / (time.perf_counter() - started_at)
            memory_mb = peak_memory_mb(pid)
            status.close()
        arrived = _arrived(folder, stream)
    sent = int(re.search(r"(\d+) requests in", told)[1]) * RECORDS  # type: ignore[index]  # wrk always says
    assert "Non-2xx" not in told, told
    assert arrived >= sent, f"{sent:,} records were answered, {arrived:,} arrived"
    beside = (
        f"sent {sent / seconds:,.0f}/s for {seconds} s, {waited:,} waited at the end, all arrived, "
        f"{memory_mb:,} MB at most, {fsync_cost()}"
    )
    return at_least(f"{what}, until the last file", rate, target, unit=" records/s", beside=beside)


def _post(url: str, body: str, per_second: float, seconds: int) -> str:
    """Run wrk, which posts at a steady pace as far as the server lets it; returns what it told."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(PACED % (body, RECORDS / per_second * 1000))
        script.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script.name, url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _committed(status: DeliveryStatus) -> int:
    return sum(one.committed - one.started for state in status.inserts() for one in state.progress.values())


def _waiting(status: DeliveryStatus) -> int:
    return sum(status.backlog(state).record_count for state in status.inserts())


def peak_memory_mb(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def _arrived(folder: Path, stream: str) -> int:
    if stream == "typed":
        return sum(pq.ParquetFile(path).metadata.num_rows for path in (folder / "columns").rglob("*.parquet"))
    return sum(path.read_bytes().count(b"\n") for path in (folder / "lines").rglob("*.json"))
