"""The steps of a stream together: order, what goes on, what is dropped, what dies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.processing.declared import (
    EnrichStep,
    GeoDatabase,
    IngestDeclaration,
    LookupTable,
    MaskStep,
    ParseStep,
    Step,
)
from edge.bindings.pipelines.processing.facts import Facts
from edge.bindings.pipelines.processing.processor import DeadRecord, Processed, Processor
from edge.runtime.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(received_at=1_700_000_000.25, ip="192.0.2.1", user_agent="curl/8")


def processed(folder: Path, records: list[Any], *steps: Step) -> Processed:
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    return Processor(steps, "s", folder).before_sql(lines, FACTS)


def records_of(result: Processed) -> list[Any]:
    return [json.loads(line) for line in result.lines.splitlines()]


def test_steps_run_in_the_order_of_the_file(tmp_path: Path) -> None:
    parse = ParseStep("parse", "logfmt", "m", remove=True)
    mask = MaskStep("mask", paths=("user",))
    records = [{"m": "user=ada"}]
    assert records_of(processed(tmp_path, records, parse, mask)) == [{"user": "[redacted]"}]
    assert records_of(processed(tmp_path, records, mask, parse)) == [{"user": "ada"}]


@pytest.mark.parametrize(
    ("on_failure", "kept", "dead", "dropped_count"),
    [
        ("keep", None, (), 0),
        ("drop", (0,), (), 1),
        ("dead_letter", (0,), (DeadRecord(1, "parse_failure", "m is no json: m is no text"),), 0),
    ],
)
def test_a_record_that_cannot_be_parsed(
    tmp_path: Path, on_failure: Any, kept: Any, dead: Any, dropped_count: int
) -> None:
    step = ParseStep("parse", "json", "m", on_failure=on_failure)
    result = processed(tmp_path, [{"m": '{"a": 1}'}, {"m": 5}], step)
    assert (result.kept, result.dead, result.dropped_count) == (kept, dead, dropped_count)
    assert records_of(result)[0] == {"m": '{"a": 1}', "a": 1}
    if on_failure == "keep":
        assert records_of(result)[1] == {"m": 5, "_parse_failed": ["json"]}


def test_constants_and_facts_are_added_and_never_overwrite(tmp_path: Path) -> None:
    step = EnrichStep("enrich", constants={"site.name": "eu", "n": 1}, facts=("ip", "user_agent", "received_at"))
    added, untouched = records_of(processed(tmp_path, [{"n": 2, "ip": "own"}, "no object"], step))
    moment = "2023-11-14T22:13:20.250Z"
    assert added == {"n": 2, "ip": "own", "site": {"name": "eu"}, "user_agent": "curl/8", "received_at": moment}
    assert untouched == "no object"


@pytest.mark.parametrize("name", ["t.csv", "t.json"])
def test_a_lookup_adds_the_row_it_finds(tmp_path: Path, name: str) -> None:
    text = "code,city\nBER,Berlin\n" if name.endswith("csv") else '[{"code": "BER", "city": "Berlin"}]'
    (tmp_path / name).write_text(text)
    step = EnrichStep("enrich", lookup=LookupTable(name, "code", "at.airport", "place"))
    result = processed(tmp_path, [{"at": {"airport": "BER"}}, {"at": {"airport": "XXX"}}, {}], step)
    assert records_of(result) == [
        {"at": {"airport": "BER"}, "place": {"code": "BER", "city": "Berlin"}}, {"at": {"airport": "XXX"}}, {}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, r"t\.csv cannot be read: No such file"),
        ("a,b\n1,2\n", r'has no column "code"\. It has: a, b'),
        ('code\n"x', r"is no CSV with a header"),
    ],
)
def test_a_lookup_that_cannot_work_is_refused_at_start(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigError, match=told):
        processed(tmp_path, [], EnrichStep("enrich", lookup=LookupTable("t.csv", "code", "a", "b")))


def test_a_geo_database_that_is_none_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "g.mmdb").write_bytes(b"no database")
    with pytest.raises(ConfigError, match=r"Geo database .*g\.mmdb cannot be read"):
        processed(tmp_path, [], EnrichStep("enrich", geo=GeoDatabase("g.mmdb", "ip")))


def test_a_stream_without_steps_has_no_processor(tmp_path: Path) -> None:
    declared = IngestDeclaration((MaskStep("mask", streams=("a",), detectors=("ip",)),))
    assert Processor.of(declared, "b", tmp_path) is None
    assert Processor.of(declared, "a", tmp_path) is not None
    assert Processor.of(None, "a", tmp_path) is None


def test_records_that_no_step_concerns_keep_their_bytes(tmp_path: Path) -> None:
    lines = b'{ "a" : 1.50 }\n{"b":"ada@example.com"}\n'
    result = Processor([MaskStep("mask", detectors=("email",))], "s", tmp_path).before_sql(lines, FACTS)
    assert result == Processed(b'{ "a" : 1.50 }\n{"b":"[redacted:email]"}\n', None)
