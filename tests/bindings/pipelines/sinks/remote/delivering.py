"""A process to kill: sends numbered records once, then delivers them to a sink of records until all are committed.

    python delivering.py FOLDER TYPE CONFIG [CONTROL]

CONFIG is the sink's, as JSON. CONTROL "random ids" forgets what makes a repeat known to the target.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from edge.bindings.pipelines.catalogue import Catalogue, TableNames
from edge.bindings.pipelines.delivery import insert_runner, runner
from edge.bindings.pipelines.delivery.store import DeliveryStore
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import PipelineObject, RollingPolicy, SinkObject, StreamObject
from edge.bindings.pipelines.open_streams import OpenStreams
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.sinks.row_staging import StagedRow
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog

COUNT = 200
SCHEMA = Schema((Field("int64", "n", required=True),))


async def deliver(folder: Path, kind: str, config: dict[str, object]) -> None:
    state_dir = folder / "state"
    is_first = not state_dir.exists()
    state_dir.mkdir(exist_ok=True)
    host = LocalMachine(state_dir, RecordingLog())
    catalogue, folders = Catalogue(state_dir), StreamFolders(state_dir)
    if is_first:
        catalogue.add_stream(StreamObject(id_of("stream", "s"), "s", 0.0, 0.0, schema=SCHEMA))
        policy = RollingPolicy(interval_seconds=0.05)
        sink = SinkObject(id_of("sink", "far"), "far", kind, 0.0, 0.0, config, rolling_policy=policy)
        catalogue.add_sink(sink)
        sql = "INSERT INTO far SELECT n FROM s"
        pipeline = PipelineObject(id_of("pipeline", "p"), "p", sql, 0.0, 0.0)
        catalogue.add_pipeline(pipeline, TableNames(("s",), ("far",)))
    delivery = runner.PipelineRunner(host, catalogue, folders, config_folder=folder)
    async with OpenStreams(host, folders, catalogue) as streams:
        if is_first:
            lines = b"".join(b'{"n":%d}\n' % n for n in range(COUNT))
            await (await streams.require("s")).append(lines, COUNT, is_lines=True)
        task = host.spawn(delivery.run(), name="delivery")
        store = DeliveryStore(state_dir)
        while not any(p.committed == COUNT for one in store.inserts() for p in one.progress.values()):
            assert not task.done(), task
            await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await host.aclose()


if __name__ == "__main__":
    insert_runner.POLL_S = runner.FOLLOW_S = 0.01
    insert_runner.MISCONFIGURED_RETRY_S = 0.05
    if "random ids" in sys.argv:
        StagedRow.id_in = lambda *_: os.urandom(8).hex()  # type: ignore[method-assign]
    asyncio.run(deliver(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
