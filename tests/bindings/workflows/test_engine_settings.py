"""`[workflow_engine]` of edge.toml: what it says is what happens."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows import WorkflowEntry
from edge.bindings.workflows.definition import definition_of
from edge.bindings.workflows.engine_settings import EngineSettings
from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.journal.sqlite_journal import Call, open_journal
from edge.runtime.core.errors import ConfigError
from edge.runtime.serve import ConfigChoice, load_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.runtime.testing.fake_host import FakeHost
    from edge.wrangler_config.worker_config import WorkerConfig

ENTRY = {"binding": "ORDERS", "name": "orders", "class_name": "Order"}

SECTION = """
    [workflow_engine]
    durability = "process"
    replay = "always"
    strict_replay = true
    missed_schedules = "all"
    retry_delay = "3 seconds"
    success_retention = "2 days"
    error_retention = 5000
    result_bytes_max = 2000
    state_bytes_max = 100_000_000
    concurrency_max = 4
    queued_count_max = 10
    created_per_second_max = 5
    crash_count_max = 3
    resident_count_max = 100
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., WorkerConfig]:
    def load(settings: str, **entry: Any) -> WorkerConfig:
        (tmp_path / "entry.py").write_text("")
        config = {"name": "demo", "main": "entry.py", "compatibility_date": "2026-09-08"}
        config |= {"compatibility_flags": ["python_workers"], "workflows": [{**ENTRY, **entry}]}
        (tmp_path / "wrangler.jsonc").write_text(json.dumps(config))
        (tmp_path / "edge.toml").write_text("\n".join(line.strip() for line in settings.splitlines()))
        return load_config(ConfigChoice(tmp_path / "wrangler.jsonc"))

    return load


def test_every_setting_is_read(load: Callable[..., Any]) -> None:
    config = load(SECTION)
    assert config.settings.products["workflow_engine"] == EngineSettings(
        "process", "always", True, "all", "3 seconds", "2 days", 5000, 2000, 100_000_000, 4, 10, 5, 3, 100
    )
    made = definition_of(WorkflowEntry(**ENTRY), config, is_dev=True)
    assert (made.delay_ms_default, made.success_retention_ms, made.error_retention_ms) == (3000, 172_800_000, 5000)
    assert (made.result_bytes_max, made.state_bytes_max, made.concurrency_max) == (2000, 100_000_000, 4)
    assert (made.strict_replay, made.is_resident, made.queued_count_max) == (True, False, 10)


def test_the_wrangler_file_wins(load: Callable[..., Any]) -> None:
    config = load(SECTION)
    entry = WorkflowEntry(**ENTRY, concurrency={"limit": 9}, default_retention={"success_retention": "1 day"})
    made = definition_of(entry, config, is_dev=True)
    assert (made.concurrency_max, made.success_retention_ms) == (9, 86_400_000)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("concurrency_max = 0", "workflow_engine.concurrency_max: expected 1 or more, got 0"),
        ('retry_delay = "soon"', "workflow_engine.retry_delay is 'soon': write milliseconds"),
        ('durability = "none"', "workflow_engine.durability"),
        ("error_retention = 0", "workflow_engine.error_retention is 0: it must be longer than nothing."),
    ],
)
def test_a_wrong_setting_is_told_at_its_place(load: Callable[..., Any], line: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[workflow_engine]\n{line}\n")
    assert text in str(caught.value)
    assert "edge.toml:2" in str(caught.value)


@pytest.mark.parametrize(("durability", "synchronous"), [("power", 2), ("process", 1)])
async def test_durability_is_how_the_journal_syncs(tmp_path: Path, durability: Any, synchronous: int) -> None:
    async with open_journal(tmp_path / "j.sqlite", durability) as journal:

        def ask(connection: sqlite3.Connection) -> int:
            found: int = connection.execute("PRAGMA synchronous").fetchone()[0]
            return found

        assert await journal._writes.submit(Call(ask, ())) == synchronous
        with closing(sqlite3.connect(tmp_path / "j.sqlite")) as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_only_so_many_may_wait_to_begin(start: Callable[..., Any]) -> None:
    site = await start(idle, queued_count_max=2)
    await site.stop()
    await site.create()
    await site.create()
    with pytest.raises(
        WorkflowError, match=r"\(workflow.queue_full\) .* 2 instances that have not begun, and may have 2"
    ):
        await site.create()
    site.start()
    await site.until(lambda: not site.runner.passes)


async def test_only_so_many_are_created_in_a_second(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(idle, created_per_second_max=2)
    await site.workflow.create_batch({"count": 100})
    with pytest.raises(WorkflowError, match=r"\(workflow.rate_limited\) .* may create 2 instances per second"):
        await site.create()
    await host.advance(0.5)
    await site.create()
    with pytest.raises(WorkflowError, match="rate_limited"):
        await site.create()


async def idle(self: Any, event: Any, step: Any) -> None: ...
