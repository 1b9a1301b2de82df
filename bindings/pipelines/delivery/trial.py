"""What a stream's steps, checks and INSERTs would make of records: `edge streams test`. Nothing is kept or sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..frame_extra import FrameExtra
from ..processing.preview import preview
from ..sinks.json_rows import json_rows
from ..sinks.sink import OFFSET_COLUMN
from ..sql.statements import parse_pipeline
from .columns import StreamColumns
from .feed import Chunk
from .transform import compiled_query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..declared import Declared
    from ..objects import StreamObject
    from ..processing.facts import Facts
    from ..processing.preview import StepView
    from ..processing.processor import Processor


@dataclass(frozen=True, slots=True)
class TriedRecord:
    """One record of the file, from its text to its rows."""

    number: int
    """In the file, from 1."""
    record: bytes
    steps: tuple[StepView, ...]
    problem: str
    """Why it becomes a dead letter; empty for the others."""
    is_kept: bool
    """Filter and sample let it through."""
    rows: tuple[tuple[str, str], ...]
    """Sink and row (JSON) for every row that an INSERT makes of it."""


def try_records(
    records: Sequence[bytes],
    stream: StreamObject,
    declared: Declared,
    *,
    processor: Processor | None,
    folder: Path,
    facts: Facts,
) -> list[TriedRecord]:
    """Each record (JSON text on one line) as it would fare. A sample without a key counts records as offsets.

    Raises:
        ConfigError, SqlError: a step or an INSERT cannot work.
    """
    lines = b"".join(record + b"\n" for record in records)
    if processor is not None:
        lines = processor.before_log(lines)
    chunk = Chunk(0, 0, len(records), size_bytes=len(lines))
    chunk.bodies, chunk.firsts, chunk.counts = [lines], [0], [len(records)]
    chunk.times_us, chunk.extras = [int(facts.received_at * 1e6)], [_extra(facts)]

    columns = StreamColumns(stream, processor)
    problems = {one.index: f"{one.family}/{one.kind} {one.path}: {one.message}" for one in columns.of(chunk).bad}
    kept = set(columns.of(chunk).batch.column(OFFSET_COLUMN).to_pylist())
    rows: dict[int, list[tuple[str, str]]] = {}
    for pipeline in declared.pipelines:
        for insert in parse_pipeline(pipeline.sql):
            if insert.stream not in (stream.name, stream.id):
                continue
            query = compiled_query(
                insert,
                columns,
                stream_id=stream.id,
                insert_id=pipeline.name,
                started_at=facts.received_at,
                on_error="dead_letter",
                now=lambda: facts.received_at,
            )
            made = query(chunk)
            for letter in made.dead:
                problems.setdefault(letter.offset, f"{letter.family}/{letter.kind} {letter.path}: {letter.message}")
            for part in made.rows:
                assert part.batch is not None, "a query gives columns"
                offsets = part.batch.column(OFFSET_COLUMN).to_pylist()
                for offset, row in zip(offsets, json_rows(part.batch).to_pylist(), strict=True):
                    rows.setdefault(offset, []).append((insert.sink, row))
    steps = declared.ingest.of(stream.name)
    return [
        TriedRecord(
            view.number,
            records[index],
            view.steps,
            problems.get(index, ""),
            index in kept,
            tuple(rows.get(index, ())),
        )
        for index, view in enumerate(preview(records, steps, stream.name, folder, facts))
    ]


def _extra(facts: Facts) -> FrameExtra:
    return FrameExtra(ip=facts.ip or "", user_agent=facts.user_agent or "")
