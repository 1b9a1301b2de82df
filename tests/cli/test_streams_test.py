"""`edge streams test`: each record before and after every step, and the rows it would become."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Edge = Callable[..., subprocess.CompletedProcess[str]]

SETTINGS = """
[streams.events]
[[streams.events.schema.fields]]
name = "level"
type = "string"
required = true
[[streams.events.schema.fields]]
name = "text"
type = "string"
[sinks.all]
type = "local"
path = "out"
[[pipelines]]
name = "p"
sql = "INSERT INTO all SELECT upper(level) AS level, text FROM events"
[[ingest.steps]]
type = "mask"
detectors = ["email"]
[[ingest.steps]]
type = "filter"
where = "level <> 'debug'"
"""
RECORDS = '{"level":"info","text":"to ada@example.com"}\n{"level":"debug"}\n{"text":"x"}\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "wrangler.toml").write_text('name = "demo"\nmain = "entry.py"\n')
    (tmp_path / "entry.py").touch()
    (tmp_path / "edge.toml").write_text(SETTINGS)
    (tmp_path / "records.ndjson").write_text(RECORDS)
    return tmp_path


def test_each_record_is_shown_before_and_after_side_by_side(project: Path, edge: Edge) -> None:
    done = edge("streams", "test", "records.ndjson", cwd=project)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if " | " in line]
    assert [part.strip() for part in line.split(" | ")] == [
        '"text": "to ada@example.com"', '"text": "to [redacted:email]"'
    ]  # fmt: skip
    assert '-> all  {"level":"INFO","text":"to [redacted:email]"}' in done.stdout
    assert "  2 filter: kept (level <> 'debug')" in done.stdout
    assert "  2 filter: left out (level <> 'debug')\n  ends here\n" in done.stdout
    assert "dead letter: deserialization/missing_field $.level" in done.stdout
    assert done.stdout.endswith("3 records: 1 go on to the SQL, 1 are dead letters.\n")
    assert not (project / ".edge").exists(), "nothing is kept"
    assert not (project / "out").exists()


ROUTED = """
[streams.events]
[[streams.events.schema.fields]]
name = "level"
type = "string"
[[streams.events.schema.fields]]
name = "user"
type = "string"
[sinks.pager]
type = "local"
path = "out/pager"
[sinks.archive]
type = "local"
path = "out/archive"
[sinks.rest]
type = "local"
path = "out/rest"
[[ingest.steps]]
type = "rules"
rules = [
  { to = ["pager"], when = "level = 'fatal'", final = true },
  { to = ["archive"], when = "level <> 'info'" },
]
default = ["rest"]
[[ingest.steps]]
type = "sample"
rate = 0
key = "user"
always = "level <> 'debug'"
"""


def test_rules_and_samples_are_steps_that_say_what_they_decided(project: Path, edge: Edge) -> None:
    (project / "edge.toml").write_text(ROUTED)
    records = [{"level": level, "user": "ada"} for level in ("fatal", "error", "info", "debug")]
    (project / "records.json").write_text(json.dumps(records))
    tried = json.loads(edge("streams", "test", "records.json", "--json", cwd=project).stdout)
    notes = [[f"{step['step']}: {step['note']}" for step in one["steps"]] for one in tried]
    kept = "2 sample: kept (a share of 0, or level <> 'debug')"
    assert notes == [
        [kept, "1 rules: rule 1 (level = 'fatal') matches: pager"],
        [kept, "1 rules: rule 2 (level <> 'info') matches: archive"],
        [kept, "1 rules: no rule matches: rest"],
        ["2 sample: left out (a share of 0, or level <> 'debug')"],
    ]
    assert [[row["sink"] for row in one["rows"]] for one in tried] == [["pager"], ["archive"], ["rest"], []]


def test_a_long_value_is_shown_to_its_end(project: Path, edge: Edge) -> None:
    text = "x" * 300 + " ada@example.com"
    (project / "records.json").write_text(json.dumps([{"level": "info", "text": text}]))
    shown = edge("streams", "test", "records.json", cwd=project).stdout
    left, right = zip(*(line[4:].split(" | ") for line in shown.splitlines() if " | " in line), strict=False)
    assert "".join(map(str.strip, left)) == f'"text": "{text}"'
    assert "".join(map(str.strip, right)).endswith('[redacted:email]"')
    assert "…" not in shown


def test_json_tells_the_same(project: Path, edge: Edge) -> None:
    first, second, third = json.loads(edge("streams", "test", "records.ndjson", "--json", cwd=project).stdout)
    assert first["steps"][0]["after"] == {"level": "info", "text": "to [redacted:email]"}
    assert first["rows"] == [{"sink": "all", "row": {"level": "INFO", "text": "to [redacted:email]"}}]
    assert (second["is_kept"], second["rows"]) == (False, [])
    assert third["problem"].startswith("deserialization/missing_field")


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (
            '{"a":1}\n\n{',
            (),
            "records.ndjson is neither one JSON value a line nor a JSON array: line 3: Input data was truncated.",
        ),
        (
            '[{"level":"info"},3]',
            (),
            "records.ndjson: record 2 is no object. A stream refuses every request with such a record.",
        ),
        ("[]", ("--stream", "evnts"), 'There is no stream "evnts" in this config. Declared are: events.'),
    ],
)
def test_what_cannot_be_tried_is_said(
    project: Path, edge: Edge, text: str, arguments: tuple[str, ...], told: str
) -> None:
    (project / "records.ndjson").write_text(text)
    done = edge("streams", "test", "records.ndjson", *arguments, cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == f"error: {told}"
