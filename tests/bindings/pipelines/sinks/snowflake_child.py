"""Runs the Snowflake sink against fakesnow, in the environment that has both, and prints what came of it as JSON.

    python snowflake_child.py FOLDER COMMAND...

FOLDER keeps the databases between runs. Commands, in order: `table COLUMNS` makes the table FLIGHTS, `publish` delivers
roll 1 of five rows, `publish:N` roll N, `die:WHERE` ends the process without a word before the statement that begins
with WHERE, `no-offsets` makes the offset forget, `rows` prints the table.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import fakesnow
import pyarrow as pa
import snowflake.connector
from fakesnow.cursor import FakeSnowflakeCursor

from edge.bindings.pipelines.objects import SinkObject
from edge.bindings.pipelines.sinks.sink import (
    OFFSET_COLUMN,
    PARTITION_COLUMN,
    TIME_COLUMN,
    Roll,
    Rows,
    SinkSite,
)
from edge.bindings.pipelines.sinks.types import snowflake as sink_module
from edge.runtime.core.errors import BackendError

CONFIG = {
    "account": "acme",
    "user": "u",
    "password": "p",
    "database": "DB",
    "schema": "PUBLIC",
    "table": "FLIGHTS",
}
INSERT_ID = "a" * 32


def staged(sink: Any, folder: Path, epoch: int) -> Roll:
    count = 5
    batch = pa.record_batch(
        {
            "carrier": pa.array(["AA"] * count),
            "distance": pa.array([epoch * 100 + i for i in range(count)], pa.int64()),
            "landed": pa.array([1_767_225_600_000_000] * count, pa.timestamp("us", "UTC")),
            PARTITION_COLUMN: pa.array([0] * count, pa.int32()),
            OFFSET_COLUMN: pa.array(range(count), pa.int64()),
            TIME_COLUMN: pa.array([1_767_225_600_000_000] * count, pa.timestamp("us", "UTC")),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    stager = sink.open_stager(folder, INSERT_ID, epoch)
    stager.write(Rows(stream_id="5" * 32, batch=batch, count=count))
    files = tuple(stager.close())
    return Roll(INSERT_ID, "c" * 32, "5" * 32, epoch, 1, {0: 0}, {0: count}, files)


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")


def die_before(where: str) -> None:
    """End the process when a statement that begins so is about to run."""
    execute = FakeSnowflakeCursor.execute

    def watched(self: Any, command: str, *args: Any, **options: Any) -> Any:
        if command.upper().startswith(where.upper()):
            os._exit(9)
        return execute(self, command, *args, **options)

    FakeSnowflakeCursor.execute = watched


async def main(folder: Path, commands: list[str]) -> None:
    site = SinkSite(host=None, config_folder=folder, default_interval_s=10.0)
    made = SinkObject(id="c" * 32, name="far", type="snowflake", created_at=0, modified_at=0, config=CONFIG)
    with fakesnow.patch(db_path=str(folder)):
        for command in commands:
            name, _, argument = command.partition(":")
            with snowflake.connector.connect(database="DB", schema="PUBLIC") as connection:
                cursor = connection.cursor()
                if name == "table":
                    cursor.execute(f"CREATE TABLE FLIGHTS ({argument})")
                elif name == "no-offsets":
                    cursor.execute("DELETE FROM EDGE_OFFSETS")
                elif name == "rows":
                    say(cursor.execute("SELECT * FROM FLIGHTS ORDER BY 2").fetchall())
            if name == "die":
                die_before(argument)
            elif name == "publish":
                sink = sink_module.open_sink(made, site)
                epoch = int(argument or 1)
                staging = folder / f"staging-{epoch}"
                try:
                    published = await sink.publish(staged(sink, staging, epoch), staging)
                    say(published.rows_written)
                except BackendError as error:
                    say([type(error).__name__, str(error)])
                await sink.aclose()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
