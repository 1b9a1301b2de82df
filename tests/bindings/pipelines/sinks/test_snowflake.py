"""The Snowflake sink against fakesnow, which has pins of its own and so an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.objects import SinkObject
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkSite
from edge.bindings.pipelines.sinks.types import snowflake

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
PYTHON = HERE.parents[3] / ".venv-snowflake" / "bin" / "python"
TABLE = "table:carrier VARCHAR, distance INT, landed TIMESTAMP_NTZ"
ROWS = [["AA", 100 + i, "2026-01-01 00:00:00"] for i in range(5)]
SETTINGS = {"account": "a", "user": "u", "password": "p", "database": "D", "schema": "S", "table": "T"}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[Any]]:
    """Run commands in a process of that environment; gives what it printed, line by line."""
    if not PYTHON.exists():
        pytest.skip("run `make snowflake-env` first")

    def child(*commands: str, status: int = 0) -> list[Any]:
        script = [PYTHON, "-W", "ignore", HERE / "snowflake_child.py", tmp_path, *commands]
        done = subprocess.run(script, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return child


@pytest.mark.slow
def test_rows_are_in_the_table_by_name_and_type(run: Callable[..., list[Any]]) -> None:
    assert run("table:CARRIER VARCHAR, distance INT, Landed TIMESTAMP_NTZ", "publish", "rows") == [5, ROWS]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["CREATE TABLE", "INSERT", "PUT", "BEGIN", "UPDATE", "COPY", "COMMIT", "REMOVE"])
def test_a_process_killed_at_any_statement_leaves_every_row_once(run: Callable[..., list[Any]], where: str) -> None:
    run(TABLE)
    run(f"die:{where}", "publish", status=9)
    assert run("publish", "rows") == [5, ROWS]


@pytest.mark.slow
def test_without_the_offset_rows_are_there_twice(run: Callable[..., list[Any]]) -> None:
    """The control of the test above."""
    run(TABLE)
    run("die:REMOVE", "publish", status=9)
    (_, rows) = run("no-offsets", "publish", "rows")
    assert len(rows) == 2 * len(ROWS)


@pytest.mark.slow
def test_the_next_roll_is_added_and_an_older_one_is_not(run: Callable[..., list[Any]]) -> None:
    *_, rows = run(TABLE, "publish:1", "publish:2", "publish:1", "publish:2", "rows")
    assert [row[1] for row in rows] == [100, 101, 102, 103, 104, 200, 201, 202, 203, 204]


@pytest.mark.slow
def test_a_table_that_does_not_fit_needs_a_person_and_keeps_nothing(run: Callable[..., list[Any]]) -> None:
    (error, message), rows = run("table:carrier INT, distance INT", "publish", "rows")
    assert error == "SinkMisconfiguredError"
    assert message.startswith("Snowflake account acme: ")
    assert message.endswith("Check the sink's settings, the table and the role's rights.")
    assert rows == []


@pytest.mark.slow
def test_a_missing_table_needs_a_person_and_heals(run: Callable[..., list[Any]]) -> None:
    ((error, message),) = run("publish")
    assert (error, "FLIGHTS" in message) == ("SinkMisconfiguredError", True)
    assert run(TABLE, "publish", "rows") == [5, ROWS]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"table": "T; DROP TABLE X"}, "is no plain identifier"),
        ({"password": None}, "give one of password, token and private_key_pem"),
        ({"token": "t"}, "give one of password, token and private_key_pem"),
    ],
    ids=["no name", "no secret", "two secrets"],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        snowflake.Config(**{**SETTINGS, **config})


async def test_without_the_library_its_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snowflake.connector.errors", None)
    made = SinkObject(id="c" * 32, name="far", type="snowflake", created_at=0, modified_at=0, config=SETTINGS)
    sink = snowflake.open_sink(made, SinkSite(host=None, config_folder=tmp_path, default_interval_s=10.0))
    with pytest.raises(SinkMisconfiguredError, match=r"pip install 'edge-workers\[snowflake\]'"), sink._mapped():
        pass


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(snowflake.Config(**{**SETTINGS, "password": "hush"}))
