"""The steps of `[ingest]` where they run: between the log and the SQL, with every record accounted for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.declared import Declared
from edge.bindings.pipelines.delivery.columns import StreamColumns
from edge.bindings.pipelines.delivery.feed import Chunk
from edge.bindings.pipelines.delivery.transform import compiled_query
from edge.bindings.pipelines.delivery.trial import TriedRecord, try_records
from edge.bindings.pipelines.objects import PipelineObject, StreamObject
from edge.bindings.pipelines.processing.declared import (
    EnrichStep,
    FilterStep,
    IngestDeclaration,
    MaskStep,
    ParseStep,
    Rule,
    RulesStep,
    SampleStep,
    Step,
)
from edge.bindings.pipelines.processing.facts import Facts
from edge.bindings.pipelines.processing.processor import Processor
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.sql.statements import parse_pipeline
from edge.bindings.pipelines.stream_log.frame_extra import FrameExtra
from edge.runtime.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Schema((Field("string", "level", required=True), Field("string", "text"), Field("string", "user")))
STREAM = StreamObject("0" * 32, "events", 0.0, 0.0, schema=SCHEMA)
FACTS = Facts(1_700_000_000.0)
SQL = "INSERT INTO out SELECT level, text FROM events WHERE level <> 'debug'"


def tried(folder: Path, records: list[Any], *steps: Step, sql: str = SQL) -> list[TriedRecord]:
    declared = Declared((STREAM,), (), (PipelineObject("1" * 32, "p", sql, 0.0, 0.0),), IngestDeclaration(steps))
    processor = Processor.of(declared.ingest, "events", folder)
    lines = [json.dumps(record).encode() for record in records]
    return try_records(lines, STREAM, declared, processor=processor, folder=folder, facts=FACTS)


def rows(one: TriedRecord) -> list[tuple[str, Any]]:
    return [(sink, json.loads(row)) for sink, row in one.rows]


def test_records_reach_the_sql_as_the_steps_left_them(tmp_path: Path) -> None:
    steps = (ParseStep("parse", "logfmt", "line", remove=True), MaskStep("mask", detectors=("email",)))
    [one] = tried(tmp_path, [{"line": 'level=info text="to ada@example.com"'}], *steps)
    assert rows(one) == [("out", {"level": "info", "text": "to [redacted:email]"})]


def test_each_record_ends_in_one_place(tmp_path: Path) -> None:
    records = [{"level": "info"}, {"level": "debug"}, {"level": "error"}, {"text": "no level"}, {"level": "drop"}]
    info, debug, error, bad, dropped = tried(tmp_path, records, FilterStep("filter", "level <> 'drop'"))
    assert (rows(info), rows(error)) == (
        [("out", {"level": "info", "text": None})],
        [("out", {"level": "error", "text": None})],
    )
    assert (debug.is_kept, debug.rows) == (True, ())
    assert (bad.problem, bad.rows) == ("deserialization/missing_field $.level: A required field is missing.", ())
    assert (dropped.is_kept, dropped.problem, dropped.rows) == (False, "", ())


def test_a_step_s_dead_letter_names_the_record_behind_dropped_ones(tmp_path: Path) -> None:
    steps = (
        ParseStep("parse", "json", "a", on_failure="drop"),
        ParseStep("parse", "json", "b", on_failure="dead_letter"),
    )
    good = {"level": "x", "a": "{}", "b": "{}"}
    records = [{**good, "a": "no"}, good, {**good, "b": "no"}, {"a": "{}", "b": "{}"}]
    first, second, third, fourth = tried(tmp_path, records, *steps)
    assert (first.problem, first.is_kept) == ("", False)
    assert second.is_kept
    assert third.problem.startswith("processing/parse_failure")
    assert fourth.problem.startswith("deserialization/missing_field")


def test_a_filter_that_fails_on_a_record_makes_it_a_dead_letter(tmp_path: Path) -> None:
    steps = (FilterStep("filter", "arrow_cast(text, 'Int32') > 0"),)
    one, other = tried(tmp_path, [{"level": "a", "text": "1"}, {"level": "b", "text": "no number"}], *steps)
    assert rows(one) == [("out", {"level": "a", "text": "1"})]
    assert other.problem.startswith("execution/runtime_error")


def test_a_sample_decides_by_offset_and_the_same_again(tmp_path: Path) -> None:
    records = [{"level": str(n)} for n in range(400)]
    kept = [one.is_kept for one in tried(tmp_path, records, SampleStep("sample", 0.5))]
    assert 120 < sum(kept) < 280
    assert [one.is_kept for one in tried(tmp_path, records, SampleStep("sample", 0.5))] == kept


def test_a_condition_that_is_no_sql_names_the_stream(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'The steps of stream "events" make no SQL condition: There is no column x'):
        tried(tmp_path, [{}], FilterStep("filter", "x = 1"))


def test_a_condition_is_one_expression(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make no SQL condition"):
        tried(tmp_path, [{}], FilterStep("filter", "true); INSERT INTO out SELECT * FROM events WHERE (true"))


def test_the_account_of_a_chunk_adds_up_with_every_step(tmp_path: Path) -> None:
    steps = (
        ParseStep("parse", "json", "text", on_failure="dead_letter"),
        EnrichStep("enrich", facts=("ip",)),
        FilterStep("filter", "level <> 'drop'"),
        RulesStep("rules", (Rule(("out",), "level = 'a'"),)),
    )
    records = [
        {"level": "a", "text": "{}"}, {"level": "b", "text": "{}"}, {"level": "drop", "text": "{}"},
        {"level": "a", "text": "no"}, {"text": "{}"},
    ]  # fmt: skip
    columns = StreamColumns(STREAM, Processor(steps, "events", tmp_path))
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    chunk = Chunk(0, 10, 15, bodies=[lines], firsts=[10], counts=[5], times_us=[0], extras=[FrameExtra()])
    [insert] = parse_pipeline("INSERT INTO out SELECT level FROM events WHERE level = 'a'")
    query = compiled_query(
        insert, columns, stream_id=STREAM.id, insert_id="i", started_at=0.0, on_error="dead_letter", now=lambda: 0.0
    )
    made = query(chunk)
    assert (made.tally.delivered, made.tally.filtered, made.tally.dead) == (1, 2, 2)
    assert {letter.offset: letter.family for letter in made.dead} == {13: "processing", 14: "deserialization"}
    assert made.counters["recordsUnrouted"] == 1
