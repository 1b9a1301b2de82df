"""Arrow columns as Iceberg can hold them, with `__ingest_ts` added.

Iceberg has no unsigned numbers, no small integers and no nanoseconds: each becomes the next type that holds every
value, and a time is cut to microseconds, as in hosted tables.
Source: Iceberg spec, "Primitive types"; Cloudflare docs, Pipelines "R2 Data Catalog sink".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from .sink import HIDDEN_COLUMNS, TIME_COLUMN, SinkMisconfiguredError

if TYPE_CHECKING:
    from collections.abc import Iterable

INGEST_COLUMN = "__ingest_ts"
"""timestamp[us], UTC: when the record was accepted. The table is partitioned by its day."""

_WIDER = {
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20),
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
    pa.null(): pa.string(),
}


class IcebergColumns:
    """Turns batches of one output schema into batches of the table's."""

    def __init__(self) -> None:
        self._source: pa.Schema | None = None
        self._target: pa.Schema | None = None

    def convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as the table takes it; the hidden columns stay as they are, at the end.

        Raises:
            SinkMisconfiguredError: a column has a type that Iceberg has not.
        """
        if self._source != batch.schema:
            self._source, self._target = batch.schema, _with_ingest_column(batch.schema)
        assert self._target is not None, "set together with the source"
        times = pc.cast(batch.column(TIME_COLUMN), pa.timestamp("us", "UTC"), safe=False)
        columns = {**dict(zip(batch.schema.names, batch.columns, strict=True)), INGEST_COLUMN: times}
        return pa.RecordBatch.from_arrays(
            [_cast(columns[one.name], one.type) for one in self._target], schema=self._target
        )


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    return column if column.type == wanted else pc.cast(column, wanted, safe=False)  # cuts nanoseconds


def _with_ingest_column(schema: pa.Schema) -> pa.Schema:
    if INGEST_COLUMN in schema.names:
        raise SinkMisconfiguredError(
            f"The SQL gives a column {INGEST_COLUMN}, which the table has of its own: the time of ingest. "
            f"Give the column another name."
        )
    visible = [_iceberg_field(one) for one in schema if one.name not in HIDDEN_COLUMNS]
    hidden = [one for one in schema if one.name in HIDDEN_COLUMNS]
    return pa.schema([*visible, pa.field(INGEST_COLUMN, pa.timestamp("us")), *hidden])


def _iceberg_field(one: pa.Field, path: str = "") -> pa.Field:
    """The field as Iceberg has it. Whether it may be null is not told: one INSERT may know it, the next may not."""
    return pa.field(one.name, iceberg_type(one.type, f"{path}{one.name}"))


def iceberg_type(given: pa.DataType, path: str = "") -> pa.DataType:
    """The type a table has for a column of type `given`.

    Raises:
        SinkMisconfiguredError: there is none.
    """
    if given in _WIDER:
        return _WIDER[given]
    if types.is_timestamp(given):
        return pa.timestamp("us", given.tz and "UTC")
    if types.is_time(given):
        return pa.time64("us")
    if types.is_dictionary(given):
        return iceberg_type(given.value_type, path)
    if types.is_struct(given):
        return pa.struct(_members(given, path))
    if types.is_list(given) or types.is_large_list(given) or types.is_fixed_size_list(given):
        return pa.list_(pa.field("element", iceberg_type(given.value_type, f"{path}[]")))
    if types.is_map(given):
        return pa.map_(iceberg_type(given.key_type, path), iceberg_type(given.item_type, path))
    if not _is_known(given):
        raise SinkMisconfiguredError(
            f"Column {path} has the type {given}, which an Iceberg table cannot hold. Cast it in the SQL, "
            f"as arrow_cast({path}, 'Utf8')."
        )
    return given


def _members(given: pa.StructType, path: str) -> Iterable[pa.Field]:
    return [_iceberg_field(given.field(at), f"{path}.") for at in range(given.num_fields)]


def _is_known(given: pa.DataType) -> bool:
    return (
        given in {pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary()}
        or given == pa.date32()
        or (types.is_decimal128(given) and given.scale >= 0)
        or types.is_fixed_size_binary(given)
    )
