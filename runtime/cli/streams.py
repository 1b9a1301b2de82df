"""`edge streams`: show what streams hold, beside a running server or without one."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ...bindings.pipelines.stream_folders import StreamFolders
from ..hosts.logs import printable
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option

if TYPE_CHECKING:
    from pathlib import Path

    from ...bindings.pipelines.stream_folders import StreamSummary, TailedRecord


@click.group(name="streams", help=__doc__)
def command() -> None:
    pass


@command.command(name="list")
@click.option("--json", "is_json", is_flag=True, help="As a JSON array.")
@config_options
@state_option
def list_streams(*, is_json: bool, **where: Any) -> None:
    """List every stream: name, id, records, size, newest record."""
    streams = _folders(**where).list()
    if is_json:
        click.echo(json.dumps([_as_json(stream) for stream in streams], indent=2))
        return
    if not streams:
        click.echo("No stream holds anything yet.", err=True)
        return
    rows = [("name", "id", "records", "log bytes", "newest record")]
    rows += [
        (printable(s.name), s.id, str(s.record_count), str(s.log_bytes), _time(s.newest_at) if s.newest_at else "-")
        for s in streams
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command.command(name="tail")
@click.argument("stream")
@click.option(
    "--from", "from_offset", type=click.IntRange(0), metavar="OFFSET", help="Begin at this offset of each partition."
)
@click.option("--json", "is_json", is_flag=True, help="One JSON object per record, with partition, offset and time.")
@click.option("--no-follow", is_flag=True, help="End after the newest record.")
@config_options
@state_option
def tail(stream: str, from_offset: int | None, *, is_json: bool, no_follow: bool, **where: Any) -> None:
    """Show the records of STREAM (id or name) that the log still holds, then new ones as they come."""
    folders = _folders(**where)
    folders.require(stream)

    async def run() -> None:
        async for record in folders.tail(stream, from_offset, follow=not no_follow):
            sys.stdout.write(_record_as_json(record) if is_json else _record_line(record))
            if not no_follow:
                sys.stdout.flush()

    asyncio.run(run())


def _folders(path: Path | None, environment: str | None, persist_to: Path | None) -> StreamFolders:
    """Streams of the state folder; with --persist-to no config is needed."""
    if persist_to is not None:
        return StreamFolders(persist_to.absolute() / "state")
    return StreamFolders(state_folder_of(load_config(choice_of(path, environment)), None) / "state")


def _as_json(stream: StreamSummary) -> dict[str, Any]:
    return {
        "id": stream.id,
        "name": stream.name,
        "record_count": stream.record_count,
        "log_bytes": stream.log_bytes,
        "partitions": list(stream.partitions),
        "oldest_at": _time(stream.oldest_at) if stream.oldest_at else None,
        "newest_at": _time(stream.newest_at) if stream.newest_at else None,
        "files_folder": str(stream.files_folder),
    }


def _record_line(record: TailedRecord) -> str:
    """`partition:offset time record`; data cannot drive the terminal."""
    text = printable(record.json.decode("utf-8", "backslashreplace"))
    return f"{record.partition}:{record.offset} {_time(record.ingested_at)} {text}\n"


def _record_as_json(record: TailedRecord) -> str:
    """The record's own bytes, so that numbers keep their digits."""
    head = json.dumps(
        {"partition": record.partition, "offset": record.offset, "ingested_at": _time(record.ingested_at)}
    )
    return f'{head[:-1]}, "record": {record.json.decode("utf-8", "backslashreplace")}}}\n'


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
