"""A process that puts until it is killed, and prints the number of each put once it is acknowledged.

    put_until_killed.py FILE FIRST_NUMBER [COUNT] [--ack-first]

`--ack-first` is the control: it acknowledges before it writes, so kills must lose something.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from edge.bindings.kv_namespaces.local import open_store
from edge.bindings.kv_namespaces.store import Entry

CALLERS = 32


async def main(path: Path, first: int, total: int | None, *, acks_first: bool) -> None:
    numbers = iter(range(first, first + total) if total else count(first))

    async def put() -> None:
        for number in numbers:
            key = b"%d" % number
            if acks_first:
                os.write(1, b"%d\n" % number)
            await store.put("n", key, Entry(key * 50))
            if not acks_first:
                os.write(1, b"%d\n" % number)

    async with open_store(path) as store:
        await asyncio.gather(*(put() for _ in range(CALLERS)))


if __name__ == "__main__":
    positional = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    asyncio.run(
        main(
            Path(positional[0]),
            int(positional[1]),
            int(positional[2]) if len(positional) > 2 else None,
            acks_first="--ack-first" in sys.argv,
        )
    )
