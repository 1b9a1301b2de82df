"""`edge streams send` and `edge streams dead`: records into a stream from a file, and dead ones again.

A log partition has one writer, and a running server holds its own. So these commands write to a partition of theirs,
beside it or without one; whoever delivers the stream reads every partition. Records pass the same gate as any others.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from ...bindings.pipelines import PipelineEntry
from ...bindings.pipelines.catalogue import Catalogue
from ...bindings.pipelines.dead_letters import DeadLetters
from ...bindings.pipelines.delivery.insert_runner import reader_of
from ...bindings.pipelines.delivery.plan import decide_plan
from ...bindings.pipelines.local import open_binding
from ...bindings.pipelines.records import BATCH_BYTES_MAX
from ...bindings.pipelines.rest_shapes import time_text
from ...bindings.pipelines.stream_log.disk import Disk
from ...bindings.pipelines.stream_log.lock import PartitionInUseError
from ...bindings.pipelines.stream_log.stream_folders import StreamFolders
from ...bindings.spec import Site
from ..core.errors import BackendError, EdgeError
from ..hosts.local import LocalMachine
from ..hosts.logs import configure, printable
from ..hosts.state_folder import prepare_state_folder
from ..serve import load_config
from .options import choice_of, state_folder_of, where_options
from .output import say_json
from .pipelines_state import open_admin, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from ...bindings.pipelines.dead_letters import DeadLetter
    from ...bindings.pipelines.objects import StreamObject
    from ...bindings.pipelines.stream import Stream

FIRST_SLOT = 1000
"""Partitions of these commands begin here, far above the workers of `edge serve`."""
SLOT_COUNT = 16
"""How many of these commands may run at once."""
BATCH_BYTES = min(1024 * 1024, BATCH_BYTES_MAX // 2)
BATCH_COUNT = 10_000


@click.command(name="send")
@click.argument("stream")
@click.argument("file", type=click.File("rb"), default="-")
@where_options
def send(stream: str, file: BinaryIO, **where: Any) -> None:
    """Send FILE to STREAM (id or name): one JSON object a line, or one JSON array. Without FILE, or -, from stdin."""

    async def run() -> int:
        count = 0
        async with _writing_to(stream, **where) as (target, _):
            with _progress(file) as bar:
                try:
                    for batch, size_bytes in _batches(file):
                        await target.send(batch)
                        count += len(batch)
                        bar.update(size_bytes)
                except EdgeError as error:
                    text = getattr(error, "message", None) or str(error)
                    before = (
                        f"The {count:,} records before were sent, the others not." if count else "Nothing was sent."
                    )
                    raise EdgeError(f"{text}\n{before}") from error
        return count

    count = asyncio.run(run())
    click.echo(f"Sent {count:,} record{'s' * (count != 1)} to {stream}.", err=True)


def _progress(file: BinaryIO) -> Any:
    """How much of the file is sent, for a person who watches."""
    total_bytes = os.fstat(file.fileno()).st_size if file.name != "<stdin>" else 0
    is_shown = total_bytes and sys.stderr.isatty()
    return click.progressbar(length=total_bytes, label="Sending", file=sys.stderr, hidden=not is_shown)


@click.group(name="dead")
def dead() -> None:
    """Records that could not be delivered: list them, send them again."""


@dead.command(name="list")
@click.argument("stream")
@click.option("--limit", type=click.IntRange(1), default=100, metavar="N", help="How many at most; 100.")
@click.option("--json", "is_json", is_flag=True, help="As a JSON array, with the records.")
@where_options
def list_dead(stream: str, limit: int, *, is_json: bool, **where: Any) -> None:
    """List the dead letters of STREAM (id or name), the oldest first."""
    admin = open_admin(**where)
    found = require("stream", stream, admin.catalogue.stream, admin.catalogue.streams)
    with closing(DeadLetters(admin.state_dir)) as dead_letters:
        letters, count = dead_letters.list(found.id, limit=limit), dead_letters.count(found.id)
    if is_json:
        say_json([_letter_as_json(letter) for letter in letters])
        return
    for letter in letters:
        where_text = f" at {letter.path}" if letter.path else ""
        text = f"{letter.family}/{letter.kind}{where_text}: {letter.message}"
        click.echo(printable(f"{letter.partition}:{letter.offset} {time_text(letter.died_at)} {text}"))
        click.echo(printable(f"    {letter.record.decode('utf-8', 'backslashreplace')}"))
    if not letters or count > len(letters):
        click.echo(f"{found.name} has {count:,} dead letters.", err=True)


@dead.command(name="replay")
@click.argument("stream")
@where_options
def replay(stream: str, **where: Any) -> None:
    """Send the dead letters of STREAM (id or name) to it again, and forget them. Those that a sink refused stay."""

    async def run() -> int:
        async with _writing_to(stream, **where) as (target, found):

            async def append(records: Sequence[bytes]) -> None:
                await target.send([json.loads(record) for record in records])

            with closing(DeadLetters(found.state_dir)) as dead_letters:
                return await dead_letters.replay(found.stream.id, append)

    count = asyncio.run(run())
    click.echo(f"Sent {count:,} dead record{'s' * (count != 1)} to {stream} again.", err=True)


@dataclass(frozen=True, slots=True)
class _Found:
    state_dir: Path
    stream: StreamObject


@asynccontextmanager
async def _writing_to(
    stream: str, path: Path | None, environment: str | None, persist_to: Path | None
) -> AsyncIterator[tuple[Stream, _Found]]:
    """The stream as a handler would hold it, on a partition that nobody holds."""
    config = load_config(choice_of(path, environment))
    state_dir = prepare_state_folder(state_folder_of(config, persist_to))
    with closing(Catalogue(state_dir)) as catalogue:
        known = require("stream", stream, catalogue.stream, catalogue.streams)
        plans = [one for one in decide_plan(catalogue).values() if one.pipeline and one.key.stream_id == known.id]
    folder = StreamFolders(state_dir).folder(known.id)
    entry = PipelineEntry(binding="STREAM", stream=known.id)
    log = configure("pretty", "warning").logger
    for slot in range(FIRST_SLOT, FIRST_SLOT + SLOT_COUNT):
        async with AsyncExitStack() as stack:
            host = LocalMachine(state_dir, log, process_slot=slot)
            stack.push_async_callback(host.aclose)
            for plan in plans:  # before its first start too, the log waits for a pipeline
                if not folder.load_cursor(reader_of(plan.key), slot):
                    folder.save_cursor(reader_of(plan.key), slot, 0, Disk())
            try:
                opened = await stack.enter_async_context(open_binding([entry], Site(host, config)))
            except PartitionInUseError:
                continue
            yield opened.env["STREAM"], _Found(state_dir, known)
            return
    raise BackendError(f"{SLOT_COUNT} commands are sending to {stream} at this moment. Wait for one of them to end.")


def _letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "error_family": letter.family,
        "error_type": letter.kind,
        "path": letter.path,
        "message": letter.message,
        "ingested_at": time_text(letter.ingested_at),
        "died_at": time_text(letter.died_at),
        "record": letter.record.decode("utf-8", "backslashreplace"),
    }


def _batches(source: BinaryIO) -> Iterator[tuple[list[Any], int]]:
    """Records with how many bytes of the file they took."""
    name = source.name
    head: bytes = source.peek(1)  # type: ignore[attr-defined]  # click opens files and stdin buffered
    if head.lstrip().startswith(b"["):
        yield from _batches_of_array(source.read(), name)
        return
    batch: list[Any] = []
    size_bytes = 0
    for number, line in enumerate(source, start=1):
        size_bytes += len(line)
        if line.strip():
            batch.append(_decoded(line, f"{name}, line {number}"))
        if size_bytes >= BATCH_BYTES or len(batch) >= BATCH_COUNT:
            yield batch, size_bytes
            batch, size_bytes = [], 0
    if batch:
        yield batch, size_bytes


def _batches_of_array(text: bytes, name: str) -> Iterator[tuple[list[Any], int]]:
    try:
        records = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EdgeError(f"{name} is no JSON array: {error}.") from error
    batch: list[Any] = []
    size_bytes = 0
    for number, record in enumerate(records):
        batch.append(_decoded(bytes(record), f"{name}, record {number}"))
        size_bytes += len(bytes(record)) + 1
        if size_bytes >= BATCH_BYTES or len(batch) >= BATCH_COUNT:
            yield batch, size_bytes
            batch, size_bytes = [], 0
    if batch:
        yield batch, size_bytes


def _decoded(text: bytes, place: str) -> dict[str, Any]:
    try:
        record = json.loads(text)  # keeps integers of any size
    except (ValueError, RecursionError) as error:
        raise EdgeError(f"{place} is no JSON: {error}.") from error
    if not isinstance(record, dict):
        raise EdgeError(f"{place} is no JSON object, and records are.")
    return record
