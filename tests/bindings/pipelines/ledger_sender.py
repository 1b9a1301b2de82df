"""A process to kill: sends numbered records as fast as it can and writes each acknowledged number to stdout.

    python ledger_sender.py STATE_DIR FIRST_NUMBER [early]

`early` is the control: it acknowledges before it sends. Files are rolled every few milliseconds, so that kills also hit
the delivery.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from itertools import count
from pathlib import Path

from edge.bindings.pipelines import PipelineEntry, local, open_streams
from edge.bindings.pipelines.batcher import RollPolicy
from edge.bindings.spec import Site
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog


async def main(state_dir: Path, first: int, *, is_early: bool) -> None:
    host = LocalMachine(state_dir, RecordingLog())
    numbers = count(first)
    async with local.open_binding([PipelineEntry("STREAM", stream="ledger")], Site(host, None)) as opened:
        host.spawn(opened.sources[0].run(), name="delivery")
        stream = opened.env["STREAM"]

        async def sender() -> None:
            for number in numbers:
                if is_early:
                    os.write(1, b"%d\n" % number)
                await stream.send([{"n": number}, {"n": number, "pad": "x" * (number % 50 * 10)}])
                if not is_early:
                    os.write(1, b"%d\n" % number)

        await asyncio.gather(*(sender() for _ in range(8)))


if __name__ == "__main__":
    local.CHECK_SECONDS = 0.005
    open_streams.RollPolicy = partial(RollPolicy, interval_s=0.005, first_interval_s=0.0)
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), is_early="early" in sys.argv))
