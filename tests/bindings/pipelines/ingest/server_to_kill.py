"""`edge serve` as a process to kill.

    python server_to_kill.py FOLDER [early]

`early` is the control: a request is answered before its records are handed to the log.
"""

from __future__ import annotations

import asyncio
import os
import sys

from edge.bindings.pipelines.open_streams import OpenStream
from edge.runtime.cli.main import main

append = OpenStream.append


async def append_later(*given: object, **named: object) -> None:
    asyncio.get_running_loop().call_later(0.02, lambda: append(*given, **named))


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    if "early" in sys.argv:
        OpenStream.append = append_later
    sys.argv = ["edge", "serve", "--port", "0"]
    main()
