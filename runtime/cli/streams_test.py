"""`edge streams test`: what the steps, the schema and the SQL would make of the records in a file."""

from __future__ import annotations

import json
import shutil
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from ...bindings.pipelines.declared import declared_objects
from ...bindings.pipelines.extras import needing
from ..core.errors import BackendError
from ..hosts.logs import printable
from ..serve import load_config
from .options import choice_of, config_options
from .output import say_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ...bindings.pipelines.declared import Declared
    from ...bindings.pipelines.delivery.trial import TriedRecord
    from ...bindings.pipelines.objects import StreamObject
    from ...bindings.pipelines.processing.preview import StepView

RECORDS_MAX = 10_000
WIDTH_MIN, WIDTH_MAX = 60, 160


@click.command(name="test")
@click.argument("file", type=click.File("rb"))
@click.option("--stream", "name", help="Which stream; needed where several are declared.")
@click.option("--json", "is_json", is_flag=True, help="As a JSON array.")
@config_options
def test(file: BinaryIO, name: str | None, path: Path | None, environment: str | None, *, is_json: bool) -> None:
    """Show each record of FILE before and after every step, and the rows it would become.

    FILE holds one JSON object a line, or one JSON array; - is stdin. Nothing is sent, kept or delivered.
    """
    config = load_config(choice_of(path, environment))
    declared = declared_objects(config)
    tried = _tried(_records(file), _stream(declared, name), declared, config.path.parent)
    if is_json:
        say_json([_as_json(one) for one in tried])
        return
    width = min(max(shutil.get_terminal_size((WIDTH_MAX, 24)).columns, WIDTH_MIN), WIDTH_MAX)
    for one in tried:
        click.echo("\n".join(_told(one, width)) + "\n")
    dead_count, kept_count = sum(bool(one.problem) for one in tried), sum(one.is_kept for one in tried)
    click.echo(f"{len(tried)} records: {kept_count} go on to the SQL, {dead_count} are dead letters.")


def _tried(records: Sequence[bytes], stream: StreamObject, declared: Declared, folder: Path) -> Sequence[TriedRecord]:
    with needing("Pipelines need"):
        from ...bindings.pipelines.delivery.trial import try_records  # noqa: PLC0415 - loads the SQL engine
        from ...bindings.pipelines.processing.facts import Facts  # noqa: PLC0415 - as above
        from ...bindings.pipelines.processing.processor import Processor  # noqa: PLC0415 - as above
    processor = Processor.of(declared.ingest, stream.name, folder)
    facts = Facts(time.time(), ip="192.0.2.1", user_agent="edge-streams-test")
    return try_records(records, stream, declared, processor=processor, folder=folder, facts=facts)


def _stream(declared: Declared, name: str | None) -> StreamObject:
    known = ", ".join(one.name for one in declared.streams) or "none"
    if name is None and len(declared.streams) == 1:
        return declared.streams[0]
    if name is None:
        raise BackendError(f"Which stream? Name one with --stream. Declared are: {known}.")
    for one in declared.streams:
        if name in (one.name, one.id):
            return one
    raise BackendError(f'There is no stream "{name}" in this config. Declared are: {known}.')


def _records(file: BinaryIO) -> list[bytes]:
    """The records' JSON, each without line breaks."""
    text = file.read()
    try:
        if text.lstrip().startswith(b"["):
            values = msgspec.json.decode(text, type=list[msgspec.Raw])
        else:
            values = msgspec.json.Decoder(msgspec.Raw).decode_lines(text)
        records = [msgspec.json.format(bytes(value), indent=-1) for value in values]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"{file.name} is neither one JSON value a line nor a JSON array: {_bad_line(text)}{error}."
        raise BackendError(msg) from error
    for number, record in enumerate(records, 1):
        if not record.startswith(b"{"):
            msg = f"{file.name}: record {number} is no object. A stream refuses every request with such a record."
            raise BackendError(msg)
    if len(records) > RECORDS_MAX:
        raise BackendError(f"{file.name} has {len(records):,} records; at most {RECORDS_MAX:,} are tried at once.")
    return records


def _bad_line(text: bytes) -> str:
    """Where the first value is that is no JSON; empty for an array, and where no line alone is bad."""
    if text.lstrip().startswith(b"["):
        return ""
    for number, line in enumerate(text.split(b"\n"), 1):
        try:
            if line.strip():
                msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return f"line {number}: "
    return ""


def _told(one: TriedRecord, width: int) -> Iterator[str]:
    yield click.style(f"record {one.number}", bold=True)
    if not one.steps:
        yield f"  {printable(one.record.decode())}"
    for step in one.steps:
        yield from _step(step, width)
    if one.problem:
        yield click.style(f"  dead letter: {printable(one.problem)}", fg="red")
    elif one.steps and one.steps[-1].after is None:
        yield "  ends here"
    for sink, row in one.rows:
        yield click.style(f"  -> {sink}", fg="green") + f"  {printable(row)}"
    if one.is_kept and not one.rows and not one.problem:
        yield "  no INSERT takes it"


def _step(step: StepView, width: int) -> Iterator[str]:
    """The step's title, then the record before and after it in two columns; lines that differ are marked."""
    if step.note:
        yield f"  {step.title}: {printable(step.note)}"
        return
    assert step.after is not None, "a step that ends a record says why"
    if step.after == step.before:
        yield f"  {step.title}: unchanged"
        return
    yield f"  {step.title}"
    half = (width - 9) // 2
    before, after = _pretty(step.before), _pretty(step.after)
    for left, right in zip_longest(*_aligned(before, after), fillvalue=""):
        mark = " " if left.rstrip(",") == right.rstrip(",") else "|"
        for one, other in zip_longest(_wrapped(left, half), _wrapped(right, half), fillvalue=""):
            yield f"    {one:{half}} {mark} {other}".rstrip()


def _pretty(record: bytes) -> list[str]:
    return msgspec.json.format(record, indent=2).decode().split("\n")


def _aligned(before: list[str], after: list[str]) -> tuple[list[str], list[str]]:
    """Both, with empty lines where one side has more."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - for this command alone

    plain_before, plain_after = ([line.rstrip(",") for line in side] for side in (before, after))
    left: list[str] = []
    right: list[str] = []
    for _, a, b, c, d in SequenceMatcher(None, plain_before, plain_after, autojunk=False).get_opcodes():
        rows = max(b - a, d - c)
        left += before[a:b] + [""] * (rows - (b - a))
        right += after[c:d] + [""] * (rows - (d - c))
    return left, right


def _wrapped(text: str, width: int) -> list[str]:
    """The whole text in lines: what a mask hid may be at its end."""
    text = printable(text)
    return [text[at : at + width] for at in range(0, len(text), width)]


def _as_json(one: TriedRecord) -> dict[str, Any]:
    return {
        "number": one.number,
        "record": json.loads(one.record),
        "steps": [
            {
                "step": step.title,
                "before": json.loads(step.before),
                "after": None if step.after is None else json.loads(step.after),
                "note": step.note,
            }
            for step in one.steps
        ],
        "problem": one.problem or None,
        "is_kept": one.is_kept,
        "rows": [{"sink": sink, "row": json.loads(row)} for sink, row in one.rows],
    }
