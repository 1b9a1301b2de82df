"""`edge streams`: make streams, show what they hold, send to them, check and repair their logs; a server may run."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from ...bindings.pipelines.catalogue import Catalogue
from ...bindings.pipelines.delivery.status import DeliveryStatus
from ...bindings.pipelines.log import DamagedStreamError
from ...bindings.pipelines.stream_log.disk import Disk
from ...bindings.pipelines.stream_log.fsck import check_partition, repair_partition
from ...bindings.pipelines.stream_log.lock import lock_partition
from ...bindings.pipelines.stream_log.segments import base_offsets, segment_path
from ...bindings.pipelines.stream_log.stream_folders import (
    FILES_READER,
    TAIL_POLL_SECONDS,
    StreamFolders,
    StreamSummary,
    size_of,
)
from ..core.errors import BackendError
from ..hosts.logs import printable
from ..serve import load_config
from .options import choice_of, config_options, state_folder_of, state_option
from .streams_objects import create, delete, get

if TYPE_CHECKING:
    from pathlib import Path

    from ...bindings.pipelines.objects import StreamObject
    from ...bindings.pipelines.stream_log.fsck import PartitionReport
    from ...bindings.pipelines.stream_log.stream_folders import StreamFolder, TailedRecord

LATE = {"dead": ".streams_send", "send": ".streams_send", "test": ".streams_test"}
"""Command -> its module."""


class StreamsGroup(click.Group):
    """Loads the commands that need all of a server's streams only when one of them is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *LATE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LATE:
            return super().get_command(ctx, cmd_name)
        return cast("click.Command", getattr(import_module(LATE[cmd_name], __package__), cmd_name))


@click.group(name="streams", cls=StreamsGroup, help=__doc__)
def command() -> None:
    pass


for each in (create, get, delete):
    command.add_command(each)


@command.command(name="list")
@click.option("--json", "is_json", is_flag=True, help="As a JSON array.")
@config_options
@state_option
def list_streams(*, is_json: bool, **where: Any) -> None:
    """List every stream: name, id, records, size, newest record."""
    folders = _folders(**where)
    with closing(Catalogue(folders.path.parent)) as catalogue:
        streams = _with_empty(folders.list(), catalogue, folders)
    if is_json:
        click.echo(json.dumps([_as_json(stream) for stream in streams], indent=2))
        return
    if not streams:
        click.echo("There is no stream yet. Those of edge.toml are made when `edge dev` starts.", err=True)
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
    known = _known(folders, stream)
    folder = folders.folder(known.id) if known else folders.require(stream)
    if no_follow and not folder.path.exists():
        click.echo(f"Nobody has sent to {stream} yet.", err=True)
        return

    async def run() -> None:
        while not folder.path.exists():  # noqa: ASYNC110 - another process makes it, with the first record
            await asyncio.sleep(TAIL_POLL_SECONDS)
        async for record in folders.tail(folder.id, from_offset, follow=not no_follow):
            sys.stdout.write(_record_as_json(record) if is_json else _record_line(record))
            if not no_follow:
                sys.stdout.flush()

    asyncio.run(run())


@command.command(name="fsck")
@click.argument("stream", required=False)
@click.option(
    "--repair", "is_repair", is_flag=True, help="Keep damaged bytes in dead/, and make the log readable again."
)
@config_options
@state_option
def fsck(stream: str | None, *, is_repair: bool, **where: Any) -> int:
    """Check every byte of STREAM (id or name), or of all streams; none may be in use.

    Then what became of every record is added up, for each INSERT. Exits 1 when damage is left, or a sum is off.
    """
    folders = _folders(**where)
    if stream is not None:
        known = _known(folders, stream)
        return int(not _is_sound(folders.require(known.id if known else stream), folders, is_repair=is_repair))
    found = folders.all()
    if not found:
        click.echo("Nobody has sent to a stream yet: there is no log to check.", err=True)
    bad_count = 0
    for folder in found:
        click.echo(f"stream {_name_of(folder)}")
        bad_count += not _is_sound(folder, folders, is_repair=is_repair)
    return int(bad_count > 0)


def _name_of(folder: StreamFolder) -> str:
    try:
        return printable(folder.load_meta().get("name", folder.id))
    except DamagedStreamError:  # told by its check
        return folder.id


def _is_sound(folder: StreamFolder, folders: StreamFolders, *, is_repair: bool) -> bool:
    """Check a stream and say what was found; whether all is well now.

    Raises:
        PartitionInUseError, BackendError: it could not be checked.
    """
    with ExitStack() as stack:
        for number in folder.partitions():
            stack.callback(os.close, lock_partition(folder.partition(number)))
        try:
            return not _check_stream(folder, is_repair=is_repair) and _accounts_add_up(folder, folders)
        except OSError as error:
            raise BackendError(f"{error.filename or folder.path}: {error.strerror or error}.") from error


def _accounts_add_up(folder: StreamFolder, folders: StreamFolders) -> bool:
    """Print what became of every record, for each INSERT that reads the stream, and whether it adds up."""
    with closing(DeliveryStatus(folders.path.parent, folders)) as status:
        accounts = status.accounts(folder)
    for one in accounts:
        what = f"pipeline {one.pipeline_id}, INSERT {one.position + 1}" if one.pipeline_id else "check of the schema"
        click.echo(
            f"{what}, partition {one.partition}: accepted {one.accepted} = delivered {one.delivered} + filtered "
            f"{one.filtered} + dead {one.dead} + lost {one.lost} + in the log {one.in_log}"
            f"{'' if one.is_balanced else '   THIS DOES NOT ADD UP'}"
        )
    return all(one.is_balanced for one in accounts)


def _check_stream(folder: StreamFolder, *, is_repair: bool) -> bool:
    is_damaged = False
    try:
        folder.load_meta()
    except DamagedStreamError as error:
        is_damaged = True
        click.echo(str(error))
    for number in folder.partitions():
        try:
            folder.load_cursor(FILES_READER, number)
        except DamagedStreamError as error:
            click.echo(f"{error} It is also made anew, from the delivered files, when the stream is opened.")
        report = check_partition(folder, number, _Progress(folder, number))
        _say_report(report)
        if report.damages and is_repair:
            for path in repair_partition(folder, report, Disk(), time.time()):
                click.echo(f"  kept: {path}")
            lost_count = sum(damage.lost_count for damage in report.damages)
            click.echo(f"  repaired: {lost_count} offsets lost, none will be given out again")
        elif report.damages:
            is_damaged = True
    return is_damaged


class _Progress:
    """Says on a terminal how far the check of a partition is."""

    def __init__(self, folder: StreamFolder, number: int) -> None:
        path = folder.partition(number)
        self._total_bytes = sum(size_of(segment_path(path, base)) for base in base_offsets(path))
        self._number = number
        self._done_bytes = 0

    def __call__(self, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        if sys.stderr.isatty():
            text = f"partition {self._number}: {self._done_bytes:,} of {self._total_bytes:,} bytes read"
            click.echo(f"\r{text}", err=True, nl=self._done_bytes >= self._total_bytes)


def _say_report(report: PartitionReport) -> None:
    click.echo(
        f"partition {report.number}: {report.segment_count} segments, {report.record_count} records, "
        f"{report.size_bytes} bytes, next offset {report.next_offset}"
    )
    for reader, offset in report.readers.items():
        click.echo(f"  reader {printable(reader)}: at offset {offset}")
    if report.declared_lost_count:
        click.echo(f"  declared lost earlier: {report.declared_lost_count} offsets")
    if report.torn_bytes:
        click.echo(f"  torn tail: {report.torn_bytes} bytes of a write that was never acknowledged")
    for damage in report.damages:
        click.echo(f"  damaged: {damage.path}, bytes {damage.start} to {damage.end}: {damage.reason}")
        if damage.lost_count:
            delivered_count = max(0, min(report.readers.get(FILES_READER, 0), damage.next_offset) - damage.first_offset)
            click.echo(
                f"    lost: {damage.lost_count} offsets, {damage.first_offset} to {damage.next_offset - 1}; "
                f"{delivered_count} of them were delivered to files"
            )


def _folders(path: Path | None, environment: str | None, persist_to: Path | None) -> StreamFolders:
    """Streams of the state folder; with --persist-to no config is needed."""
    if persist_to is not None:
        return StreamFolders(persist_to.absolute() / "state")
    return StreamFolders(state_folder_of(load_config(choice_of(path, environment)), None) / "state")


def _known(folders: StreamFolders, id_or_name: str) -> StreamObject | None:
    with closing(Catalogue(folders.path.parent)) as catalogue:
        return catalogue.stream(id_or_name)


def _with_empty(streams: list[StreamSummary], catalogue: Catalogue, folders: StreamFolders) -> list[StreamSummary]:
    """The summaries, and those of streams that nobody has sent to yet."""
    seen = {one.id for one in streams}
    empty = [
        StreamSummary(one.id, one.name, 0, 0, (), None, None, folders.folder(one.id).files)
        for one in catalogue.streams()
        if one.id not in seen
    ]
    return sorted([*streams, *empty], key=lambda one: one.name)


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
