"""docs/, executed: what a page tells to write is taken, and does what the page says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bindings.pipelines.sink_types import sink_type_names
from edge.runtime.core.edge_only import EdgeOnly
from edge.runtime.testing.project import open_project
from edge.runtime.testing.worker import WorkerUnderTest
from edge.runtime.testing.workflow_introspectors import IntrospectionError, WorkflowInstanceIntrospector
from edge.runtime.testing.workflow_modifier import WorkflowInstanceModifier
from edge.runtime.testing.workflows import WorkflowsUnderTest

ROOT = Path(__file__).parent.parent
PIPELINES = (ROOT / "docs/pipelines.md").read_text()
TESTING = (ROOT / "docs/testing.md").read_text()
COMPAT = (ROOT / "docs/compat.md").read_text()
EDGE = Path(sys.executable).parent / "edge"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with every TOML block of the page in its edge.toml."""
    (tmp_path / "wrangler.toml").write_text('name = "demo"\nmain = "entry.py"\n')
    (tmp_path / "entry.py").write_text("async def fetch(request, env): ...\n")
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


def test_everything_that_works_on_edge_only_has_its_row() -> None:
    rows = re.findall(r"^\| (?!works on Edge only|---)", COMPAT, re.MULTILINE)
    assert len(rows) == len(EdgeOnly)


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    """The project of the page on testing: each block that begins with the name of a file is that file."""
    for name, text in re.findall(r"```\w+\n(?:#|//) (\S+)\n(.*?)```", TESTING, re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_tests_on_the_page_pass(tested: Path) -> None:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "asyncio", "-p", "edge"]
    done = subprocess.run(command, cwd=tested, capture_output=True, text=True, check=False, env=environment)
    assert "4 passed" in done.stdout, done.stdout


def test_waiting_in_vain_says_what_the_page_says(tested: Path) -> None:
    told = re.search(r"```text\nIntrospectionError: (.*?)```", TESTING, re.DOTALL)
    assert told

    async def wait() -> str:
        async with open_project(tested / "wrangler.jsonc", state=tested) as project:
            order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
            await order.modify(lambda m: m.mock_step_result({"name": "charge"}, {}))
            await project.env.ORDERS.create(id="a", params={"cents": 5})
            with pytest.raises(IntrospectionError) as raised:
                await order.wait_for_status("complete")
            return str(raised.value)

    is_time = re.compile(r"until \S+Z")
    assert is_time.sub("", asyncio.run(wait())) == is_time.sub("", told[1].strip())


@pytest.mark.slow
def test_the_tests_on_the_page_are_typed(tested: Path) -> None:
    (tested / "edge").symlink_to(ROOT)  # mypy follows no editable install
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent", "tests/test_shop.py"]
    done = subprocess.run(command, cwd=tested, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_page_on_testing_has_every_name() -> None:
    for one in (WorkerUnderTest, WorkflowsUnderTest, WorkflowInstanceIntrospector, WorkflowInstanceModifier):
        names = [name for name in vars(one) if not name.startswith("_")]
        assert [name for name in names if name not in TESTING] == []
