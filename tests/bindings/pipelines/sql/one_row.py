"""A pipeline run on rows given as Python values: the shortest way from SQL to its result."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from edge.bindings.pipelines.sql.engine import HIDDEN_FIELDS, CompiledInsert, Outcome, compile_insert
from edge.bindings.pipelines.sql.statements import parse_pipeline

STARTED_AT = 1_700_000_000.25


def with_hidden(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the hidden columns at its end: partition 0, offsets from 100."""
    count = batch.num_rows
    hidden = [
        pa.array([0] * count, pa.int32()),
        pa.array(range(100, 100 + count), pa.int64()),
        pa.array([0] * count, pa.timestamp("us", "UTC")),
    ]
    schema = pa.schema([*batch.schema, *HIDDEN_FIELDS])
    return pa.RecordBatch.from_arrays([*batch.columns, *hidden], schema=schema)


def compiled(select: str, schema: pa.Schema) -> CompiledInsert:
    (insert,) = parse_pipeline(f"INSERT INTO k {select}")
    return compile_insert(insert, schema, started_at=STARTED_AT)


def outcome(select: str, batch: pa.RecordBatch) -> Outcome:
    return compiled(select, batch.schema).run(with_hidden(batch))


def rows(select: str, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """What the SELECT makes of the columns, without the hidden ones; no row may fail."""
    made = outcome(select, pa.record_batch(columns))
    assert not made.bad
    return [{k: v for k, v in row.items() if not k.startswith("__edge_")} for row in made.rows.to_pylist()]


def value(expression: str, columns: dict[str, Any] | None = None) -> Any:
    """The expression's value for the one row of `columns`."""
    (row,) = rows(f"SELECT {expression} AS x FROM s", columns or {"one": pa.array([1])})
    return row["x"]
