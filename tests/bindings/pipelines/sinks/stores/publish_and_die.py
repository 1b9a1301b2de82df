"""Publishes a staged roll to an Iceberg table, and is killed (SIGKILL) at the point it is given.

publish_and_die.py FOLDER POINT      FOLDER/roll.json: config and roll, from test_iceberg_kill.py
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from edge.bindings.pipelines.objects import SinkFormat, SinkObject
from edge.bindings.pipelines.sinks.iceberg_table import IcebergTable
from edge.bindings.pipelines.sinks.sink import Roll, SinkSite, StagedFile
from edge.bindings.pipelines.sinks.types import iceberg
from edge.runtime.testing.fake_host import FakeHost


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    upload, commit = IcebergTable._upload, IcebergTable._commit
    uploads = []

    def armed_upload(self: IcebergTable, *args: Any) -> str:
        if point == "before upload" or (point == "between uploads" and uploads):
            die()
        uploads.append(args)
        return upload(self, *args)

    def armed_commit(self: IcebergTable, *args: Any) -> None:
        if point == "before commit":
            die()
        commit(self, *args)
        if point == "after commit":
            die()

    IcebergTable._upload, IcebergTable._commit = armed_upload, armed_commit  # type: ignore[method-assign]


async def main(folder: Path, point: str) -> None:
    told = json.loads((folder / "roll.json").read_text())
    files = tuple(StagedFile(**file) for file in told["files"])
    roll = Roll("0" * 32, "5" * 32, "s", told["epoch"], 1, {0: 0}, {0: 9}, files)
    sink = SinkObject("5" * 32, "my_sink", "iceberg", 1.0, 1.0, config=told["config"], format=SinkFormat("parquet"))
    arm(point)
    opened = iceberg.open_sink(sink, SinkSite(FakeHost(folder / "state"), folder, 60.0))
    await opened.publish(roll, Path(told["staging"]))
    await opened.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
