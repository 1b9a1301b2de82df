"""A process with a stream that has a schema and no pipeline: prints which heavy libraries it has loaded.

python checking.py STATE_DIR
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.dead_letters import DeadLetters
from edge.bindings.pipelines.delivery.runner import PipelineRunner
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import StreamObject
from edge.bindings.pipelines.open_streams import OpenStreams
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog


async def main(state_dir: Path) -> None:
    host = LocalMachine(state_dir, RecordingLog())
    catalogue, folders, letters = Catalogue(state_dir), StreamFolders(state_dir), DeadLetters(state_dir)
    stream = StreamObject(id_of("stream", "s"), "s", 0.0, 0.0, schema=Schema((Field("int64", "n"),)))
    catalogue.add_stream(stream)
    async with OpenStreams(host, folders, catalogue) as streams:
        runner = PipelineRunner(host, catalogue, folders, config_folder=state_dir)
        task = host.spawn(runner.run(), name="delivery")
        await (await streams.require("s")).append(b'{"n":"none"}\n', 1, is_lines=True)
        while not letters.count(stream.id):  # noqa: ASYNC110 - there is no event across the store
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    print(sorted({"pyarrow", "datafusion", "pandas"} & set(sys.modules)))  # noqa: T201 - what it is for


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
