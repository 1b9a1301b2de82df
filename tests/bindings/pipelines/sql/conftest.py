"""A pipeline run on rows given as Python values: the shortest way from SQL to its result."""

from __future__ import annotations

from typing import Any, Protocol

import pyarrow as pa
import pytest

from edge.bindings.pipelines.sql.engine import HIDDEN_FIELDS, Outcome, compile_insert
from edge.bindings.pipelines.sql.statements import parse_pipeline

STARTED_AT = 1_700_000_000.25


class Run(Protocol):
    def __call__(self, select: str, columns: dict[str, Any]) -> Outcome: ...


class Rows(Protocol):
    def __call__(self, select: str, columns: dict[str, Any]) -> list[dict[str, Any]]: ...


class Value(Protocol):
    def __call__(self, expression: str, columns: dict[str, Any] | None = None) -> Any: ...


@pytest.fixture
def run() -> Run:
    """Runs a SELECT over stream `s`. Its records have partition 0 and offsets from 100."""

    def run_select(select: str, columns: dict[str, Any]) -> Outcome:
        batch = pa.record_batch(columns)
        (insert,) = parse_pipeline(f"INSERT INTO k {select}")
        compiled = compile_insert(insert, batch.schema, started_at=STARTED_AT)
        outcome = compiled.run(_with_hidden(batch))
        assert outcome.rows.schema.names == [*compiled.output_schema.names, *(each.name for each in HIDDEN_FIELDS)]
        return outcome

    return run_select


@pytest.fixture
def rows(run: Run) -> Rows:
    """The rows a SELECT makes, without the hidden columns; no record may fail."""

    def visible_rows(select: str, columns: dict[str, Any]) -> list[dict[str, Any]]:
        outcome = run(select, columns)
        assert not outcome.bad
        return [{k: v for k, v in row.items() if not k.startswith("__edge_")} for row in outcome.rows.to_pylist()]

    return visible_rows


@pytest.fixture
def value(rows: Rows) -> Value:
    """An expression's value for the one row of `columns`."""

    def value_of(expression: str, columns: dict[str, Any] | None = None) -> Any:
        (row,) = rows(f"SELECT {expression} AS x FROM s", columns or {"one": pa.array([1])})
        return row["x"]

    return value_of


def _with_hidden(batch: pa.RecordBatch) -> pa.RecordBatch:
    count = batch.num_rows
    hidden = [
        pa.array([0] * count, pa.int32()),
        pa.array(range(100, 100 + count), pa.int64()),
        pa.array([0] * count, pa.timestamp("us", "UTC")),
    ]
    return pa.RecordBatch.from_arrays([*batch.columns, *hidden], schema=pa.schema([*batch.schema, *HIDDEN_FIELDS]))
