"""docs/, executed: what a page tells to write is taken, and does what the page says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bindings.pipelines.sink_types import sink_type_names

ROOT = Path(__file__).parent.parent
PIPELINES = (ROOT / "docs/pipelines.md").read_text()
EDGE = Path(sys.executable).parent / "edge"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with every TOML block of the page in its edge.toml."""
    (tmp_path / "wrangler.toml").write_text('name = "demo"\nmain = "entry.py"\n')
    (tmp_path / "entry.py").touch()
    (tmp_path / "edge.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", PIPELINES, re.DOTALL)))
    return tmp_path


def edge(project: Path, *arguments: str) -> str:
    done = subprocess.run([EDGE, *arguments], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_page_declares_has_no_problem(project: Path) -> None:
    edge(project, "check")


def test_the_record_it_sends_becomes_the_rows_it_says(project: Path) -> None:
    sent = re.search(r"curl -d '(.*?)' http://127.0.0.1:8787/cdn-cgi/ingest/clicks", PIPELINES)
    assert sent
    (project / "sent.json").write_text(sent[1].replace('"ms": 1204', '"ms": 6204'))  # a sample always keeps it
    [record] = json.loads(edge(project, "streams", "test", "sent.json", "--json"))
    assert record["problem"] is None
    assert record["rows"] == [
        {"sink": "slow_pages", "row": {"page": "/prices", "ms": 6204}},
        {"sink": "everything", "row": {"user": "ada", "page": "/Prices", "ms": 6204}},
    ]


def test_every_sink_type_has_its_row() -> None:
    table = PIPELINES.partition("## Sinks")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(sink_type_names())
