"""What a stream's steps, checks and INSERTs would make of records: `edge streams test`. Nothing is kept or sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..processing.declared import EnrichStep, FilterStep, MaskStep, ParseStep, RulesStep, SampleStep
from ..processing.preview import StepView, preview
from ..processing.processor import Processor
from ..processing.routing import Route, condition_of, insert_of, rule_conditions
from ..sinks.json_rows import json_rows
from ..sinks.sink import OFFSET_COLUMN
from ..sql.engine import compile_insert
from ..sql.statements import parse_pipeline
from ..stream_log.frame_extra import FrameExtra
from .columns import StreamColumns
from .feed import Chunk
from .transform import compiled_query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..declared import Declared
    from ..objects import StreamObject
    from ..processing.declared import Step
    from ..processing.facts import Facts


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
    chunk = _chunk(lines, len(records), facts)
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
    decided = _decided(steps, stream, folder, _chunk(lines, len(records), facts)) if processor else {}
    return [
        TriedRecord(
            view.number,
            records[index],
            (*view.steps, *(one.view(view.result) for one in decided.get(index, ()) if view.result is not None)),
            problems.get(index, ""),
            index in kept,
            tuple(rows.get(index, ())),
        )
        for index, view in enumerate(preview(records, steps, stream.name, folder, facts))
    ]


@dataclass(frozen=True, slots=True)
class _Decision:
    """What a filter, a sample or rules said of one record."""

    title: str
    note: str
    is_kept: bool

    def view(self, record: bytes) -> StepView:
        return StepView(self.title, record, record if self.is_kept else None, self.note)


def _decided(steps: Sequence[Step], stream: StreamObject, folder: Path, chunk: Chunk) -> dict[int, Sequence[_Decision]]:
    """By record: the steps that became SQL, one by one, until one leaves the record out."""
    changing = [step for step in steps if isinstance(step, (ParseStep, EnrichStep, MaskStep))]
    columns = StreamColumns(stream, Processor(changing, stream.name, folder) if changing else None)
    batch = columns.of(chunk).batch
    decided: dict[int, list[_Decision]] = {index: [] for index in batch.column(OFFSET_COLUMN).to_pylist()}
    left = set(decided)

    def matching(condition: str) -> set[int]:
        [insert] = parse_pipeline(insert_of(Route("kept", condition), stream.name), may_name_hidden=True)
        made = compile_insert(insert, columns.schema, started_at=stream.created_at).run(batch)
        return set(made.rows.column(OFFSET_COLUMN).to_pylist())

    for number, step in enumerate(steps, 1):
        title = f"{number} {step.type}"
        if isinstance(step, (FilterStep, SampleStep)):
            passed = matching(condition_of(step))
            what = step.where if isinstance(step, FilterStep) else _sample_text(step)
            for index in left:
                is_kept = index in passed
                decided[index].append(_Decision(title, f"{'kept' if is_kept else 'left out'} ({what})", is_kept))
            left &= passed
    for number, step in enumerate(steps, 1):
        if isinstance(step, RulesStep):
            matches = [matching(condition) for condition in rule_conditions(step)]
            for index in left:
                note = _rules_note(step, [position for position, one in enumerate(matches) if index in one])
                decided[index].append(_Decision(f"{number} {step.type}", note, is_kept=True))
    return {index: tuple(decisions) for index, decisions in decided.items()}


def _sample_text(step: SampleStep) -> str:
    return f"a share of {step.rate:g}" + (f", or {step.always}" if step.always else "")


def _rules_note(step: RulesStep, matched: Sequence[int]) -> str:
    if matched:
        rules = [(position + 1, step.rules[position]) for position in matched]
        return "; ".join(f"rule {number} ({rule.when}) matches: {', '.join(rule.to)}" for number, rule in rules)
    return f"no rule matches: {', '.join(step.default)}" if step.default else "no rule matches, and there is no default"


def _chunk(lines: bytes, count: int, facts: Facts) -> Chunk:
    """The records as one frame of a log."""
    extra = FrameExtra(ip=facts.ip or "", user_agent=facts.user_agent or "")
    chunk = Chunk(0, 0, count, size_bytes=len(lines))
    chunk.bodies, chunk.firsts, chunk.counts = [lines], [0], [count]
    chunk.times_us, chunk.extras = [int(facts.received_at * 1e6)], [extra]
    return chunk
