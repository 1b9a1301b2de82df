"""A process that is killed between taking a time of a schedule and making its instance.

    die_while_firing.py STATE_FOLDER CRON AT_MS [--commit-first]

`--commit-first` is the control: the time is taken in a commit of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from edge.bindings.workflows.journal import catalogue_statements
from edge.bindings.workflows.journal.records import Fire, NewInstance, Trigger
from edge.bindings.workflows.journal.sqlite_journal import open_journal


def die(connection: Any, *_: object) -> None:
    if "--commit-first" in sys.argv:
        connection.execute("COMMIT")
    os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, cron: str, at_ms: int) -> None:
    catalogue_statements.create = die  # type: ignore[assignment]
    async with open_journal(folder / "workflows.sqlite") as journal:
        new = NewInstance(f"{cron}-{at_ms}", b"{}", 0, 0, trigger=Trigger.CRON, fire=Fire(cron, at_ms))
        await journal.fire("orders", cron, at_ms, new, at_ms)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
