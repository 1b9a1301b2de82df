"""A schema as Arrow types: what its records' columns are.

Timestamps are UTC without saying so, as SQL's TIMESTAMP; json is its text. A nested field is nullable wherever
something above it may be null: a planner that trusts "not null" would answer `s.f IS NULL` without looking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .record_types import column_unit

if TYPE_CHECKING:
    from .schema import Field, Schema, TimestampUnit

VALUE_COLUMN = "value"
"""The one column of an unstructured stream. Source: Cloudflare docs, Pipelines "Manage streams"."""
JSON_MARK = {b"edge.type": b"json"}
"""Metadata of a text column that holds JSON; the engine keeps it where a query takes a column as it is."""

_PLAIN_TYPES = {
    "string": pa.string(),
    "json": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "binary": pa.binary(),
    "bytes": pa.binary(),
}
_UNITS = {"second": "s", "millisecond": "ms", "microsecond": "us", "nanosecond": "ns"}


def arrow_schema_of(schema: Schema | None) -> pa.Schema:
    """The columns of a stream, without the hidden ones."""
    if schema is None:
        return pa.schema([pa.field(VALUE_COLUMN, pa.string(), nullable=False, metadata=JSON_MARK)])
    return pa.schema([arrow_field(field) for field in schema.fields])


def arrow_field(field: Field, *, is_parent_nullable: bool = False) -> pa.Field:
    is_nullable = is_parent_nullable or not field.required
    kind: Any
    if field.type == "struct":
        kind = pa.struct([arrow_field(child, is_parent_nullable=is_nullable) for child in field.fields])
    elif field.type == "list":
        assert field.items is not None, "a list has items"
        kind = pa.list_(arrow_field(field.items, is_parent_nullable=is_nullable).with_name("item"))
    elif field.type == "timestamp":
        kind = timestamp_type(field.unit)
    elif field.type == "decimal128":
        kind = pa.decimal128(field.precision, field.scale or 0)
    else:
        kind = _PLAIN_TYPES[field.type]
    mark = JSON_MARK if field.type == "json" else None
    return pa.field(field.sql_name or field.name, kind, nullable=is_nullable, metadata=mark)


def timestamp_type(unit: TimestampUnit | None, zone: str | None = None) -> pa.TimestampType:
    return pa.timestamp(_UNITS[column_unit(unit)], zone)
