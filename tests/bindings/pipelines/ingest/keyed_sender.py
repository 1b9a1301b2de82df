"""A process to kill: sends one request with the Idempotency-Key "one" and stops at a point of it.

python keyed_sender.py STATE_DIR claimed|written|noted
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path

from edge.bindings.pipelines import PipelineEntry
from edge.bindings.pipelines.catalogue import Catalogue
from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.ingest.idempotency import IdempotencyKeys
from edge.bindings.pipelines.local import open_binding
from edge.bindings.pipelines.objects import HttpIngest, StreamObject
from edge.bindings.pipelines.open_streams import OpenStream
from edge.bindings.spec import Site
from edge.runtime.core.body import Body
from edge.runtime.core.request import incoming_request
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog


async def stop(*_: object, **__: object) -> None:
    os.write(1, b"at the point\n")
    await asyncio.Event().wait()


async def main(state_dir: Path, point: str) -> None:
    http = HttpIngest(authentication=False)
    with closing(Catalogue(state_dir)) as catalogue:
        catalogue.add_stream(StreamObject(id_of("stream", "flights"), "flights", 1.0, 1.0, http=http))
    if point == "claimed":
        OpenStream.append = stop
    elif point == "written":
        append = OpenStream.append

        async def append_and_stop(*given: object, **named: object) -> None:
            await append(*given, **named)
            await stop()

        OpenStream.append = append_and_stop
    else:
        work = IdempotencyKeys._work

        async def work_and_stop(*given: object) -> None:
            await work(*given)
            await stop()

        IdempotencyKeys._work = work_and_stop
    host = LocalMachine(state_dir, RecordingLog())
    async with open_binding([PipelineEntry("STREAM", stream="flights")], Site(host, None)) as opened:
        pairs = [(b"idempotency-key", b"one")]
        body = Body(b'[{"carrier":"UA"},{"carrier":"B6"}]')
        await opened.doors[0].fetch(incoming_request("POST", "http://flights.ingest.localhost/", pairs, body))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
