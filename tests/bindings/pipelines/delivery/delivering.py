"""Processes to kill: each sends numbered records and delivers them to three sinks, dying where it is told.

    python delivering.py        reads one JSON job a line, answers its child's process id, then its exit status

A job's child is forked from this process, which has loaded everything and started nothing: a kill costs the fifth of a
second, not two. `control` names a way to be wrong, which the tests must notice.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.bindings.pipelines.catalogue import Catalogue, TableNames
from edge.bindings.pipelines.delivery import faults, insert_runner, lease, opening, plan, runner, succession
from edge.bindings.pipelines.delivery import store as store_module
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import PipelineObject, RollingPolicy, SinkFormat, SinkObject, StreamObject
from edge.bindings.pipelines.open_streams import OpenStreams
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog

assert opening, "loaded before the first fork"

SCHEMA = Schema((Field("int64", "n", required=True), Field("string", "name"), Field("json", "more")))
PIPELINES = {
    "lines": ("raw", "json", "INSERT INTO lines SELECT * FROM raw"),
    "rows": ("typed", "json", "INSERT INTO rows SELECT n, random() AS chance FROM typed WHERE n % 5 != 0"),
    "table": ("typed", "parquet", "INSERT INTO table_ SELECT n, uuid() AS id FROM typed WHERE 60 / (n % 7) > 0"),
    "iced": ("typed", "iceberg", "INSERT INTO iced SELECT n, random() AS chance FROM typed WHERE n % 5 != 0"),
}
"""Name -> stream, format, SQL. `rows` and `iced` leave out every fifth; `table` fails on every seventh."""
FILES = ("lines", "rows", "table")
"""What a job delivers unless it says which: an Iceberg table takes three times as long."""
NOT_DELIVERED = 3
"""Exit status of a process that ran out of patience."""
BAD = b'{"n":"none"}\n'


def declare(state_dir: Path) -> Catalogue:
    """Streams, sinks and pipelines, on the first run."""
    catalogue = Catalogue(state_dir)
    if catalogue.streams():
        return catalogue
    catalogue.add_stream(StreamObject(id_of("stream", "raw"), "raw", 0.0, 0.0))
    catalogue.add_stream(StreamObject(id_of("stream", "typed"), "typed", 0.0, 0.0, schema=SCHEMA))
    for name, (stream, form, sql) in PIPELINES.items():
        sink = name if name != "table" else "table_"
        policy = RollingPolicy(interval_seconds=0.02)
        if form == "iceberg":
            made = SinkObject(
                id_of("sink", sink), sink, form, 0.0, 0.0, {"table_name": name}, SinkFormat("parquet"), policy
            )
        else:
            config = {"path": name, "partitioning": {"time_pattern": "%H-%M-%S"}}
            made = SinkObject(id_of("sink", sink), sink, "local", 0.0, 0.0, config, SinkFormat(form), policy)  # type: ignore[arg-type]
        catalogue.add_sink(made)
        pipeline = PipelineObject(id_of("pipeline", name), name, sql, 0.0, 0.0)
        catalogue.add_pipeline(pipeline, TableNames((stream,), (sink,)))
    return catalogue


async def deliver(folder: Path, first: int, count: int, slot: int, patience_s: float, *, is_stopping: bool) -> None:
    """Send `count` records from `first` on to both streams, then wait until every one is committed."""
    state_dir = folder / "state"
    state_dir.mkdir(parents=True, exist_ok=True)
    host = LocalMachine(state_dir, RecordingLog(), process_slot=slot)
    catalogue, folders = declare(state_dir), StreamFolders(state_dir)
    delivery = runner.PipelineRunner(host, catalogue, folders, config_folder=folder)
    if is_stopping:
        faults._die = lambda: stop_outside_transactions(delivery)
    async with OpenStreams(host, folders, catalogue) as streams:
        task = host.spawn(delivery.run(), name="delivery")
        raw, typed = await streams.require("raw"), await streams.require("typed")
        with (folder / f"acknowledged.{slot}").open("ab", buffering=0) as ledger:
            for n in range(first, first + count, 10):
                numbers = range(n, min(n + 10, first + count))
                lines = b"".join(b'{"n":%d,"name":"x","more":[%d]}\n' % (one, one) for one in numbers)
                await raw.append(lines, len(numbers), is_lines=True)
                await typed.append(lines + BAD, len(numbers) + 1, is_lines=True)
                ledger.write(b"".join(b"%d\n" % one for one in numbers))
                await asyncio.sleep(0.01)
        async with asyncio.timeout(patience_s):
            await until_delivered(state_dir, catalogue, folders, task)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await host.aclose()


def stop_outside_transactions(delivery: runner.PipelineRunner) -> None:
    """A process that is stopped inside a transaction keeps the file; lease.py says so."""
    with delivery._store._facts._lock:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # before this thread does anything else


async def until_delivered(
    state_dir: Path, catalogue: Catalogue, folders: StreamFolders, task: asyncio.Task[None]
) -> None:
    store = DeliveryStore(state_dir)
    while not task.done():
        inserts = store.inserts()
        ends = {f.id: {p: runner.StreamFeed(f).durable(p) for p in f.partitions()} for f in folders.all()}
        behind = [
            one
            for one in inserts
            if {p: progress.committed for p, progress in one.progress.items()} != ends[one.key.stream_id]
        ]
        if {one.key.id for one in inserts} == plan.decide_plan(catalogue).keys() and not behind:
            return
        await asyncio.sleep(0.01)
    task.result()


def go_wrong(control: str) -> None:
    """Be wrong in the way a control names."""
    store = DeliveryStore
    if control == "no intent":  # what was staged is forgotten by a crash
        store.intent = lambda *_: None  # type: ignore[method-assign, assignment]
        insert_runner.InsertRunner._write_intent = lambda self, _: None  # type: ignore[method-assign]
    elif control == "no ending":  # a roll that is half out is left as it is
        succession.Succession.decide_due = lambda _, plans: dict(plans)  # type: ignore[method-assign]
    elif control == "no fence":
        store_module._require = lambda *_: None
        store.require_fence = lambda *_: None  # type: ignore[method-assign]
    elif control == "commit before publish":
        publish = insert_runner.InsertRunner._publish

        async def early(self: Any, intent: Any) -> None:
            commit = self._commit
            await self._thread(commit, intent, None)
            self._commit = lambda *_: None
            try:
                await publish(self, intent)
            finally:
                del self._commit

        insert_runner.InsertRunner._publish = early  # type: ignore[method-assign]


def child(job: dict[str, Any]) -> None:
    faults._WANTED, _, times = job.get("fault", "").partition("#")
    faults._left = int(times or 1)
    # On a busy machine a living leader's beats may stand still for seconds: only a test that stops one looks for that.
    lease.STALL_S, lease.BEAT_S, lease.WATCH_S = job.get("stall_s", 60.0), 0.1, 0.05
    insert_runner.POLL_S = runner.FOLLOW_S = 0.01
    go_wrong(job.get("control", ""))
    for name in set(PIPELINES) - set(job.get("only", FILES)):
        del PIPELINES[name]
    patience_s = job.get("patience_s", 60.0)
    asyncio.run(
        deliver(
            Path(job["folder"]), job["first"], job["count"], job.get("slot", 0), patience_s, is_stopping="stop" in job
        )
    )


def serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        if (pid := os.fork()) == 0:
            status = 1
            try:
                child(job)
                status = 0
            except TimeoutError:
                status = NOT_DELIVERED
            except BaseException:  # noqa: BLE001 - told to whoever reads the test's output
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(pid, flush=True)  # noqa: T201 - the answer
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    serve()
