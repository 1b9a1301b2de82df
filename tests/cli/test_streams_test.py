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
    assert "left out by filter or sample" in done.stdout
    assert "dead letter: deserialization/missing_field $.level" in done.stdout
    assert done.stdout.endswith("3 records: 1 go on to the SQL, 1 are dead letters.\n")
    assert not (project / ".edge").exists(), "nothing is kept"
    assert not (project / "out").exists()


def test_json_tells_the_same(project: Path, edge: Edge) -> None:
    first, second, third = json.loads(edge("streams", "test", "records.ndjson", "--json", cwd=project).stdout)
    assert first["steps"][0]["after"] == {"level": "info", "text": "to [redacted:email]"}
    assert first["rows"] == [{"sink": "all", "row": {"level": "INFO", "text": "to [redacted:email]"}}]
    assert (second["is_kept"], second["rows"]) == (False, [])
    assert third["problem"].startswith("deserialization/missing_field")


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("{", (), "records.ndjson is neither one JSON value a line nor a JSON array: Input data was truncated."),
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
