"""Columns straight from the text of records, by Arrow's own JSON reader, which runs without the interpreter lock.

It is not exact for everything a schema may hold. It leaves base64 as it is, cannot give an object's text, reads no
number as a timestamp, refuses a key that is there twice, and takes NaN and infinite numbers. So it is used only for
schemas made of other types, only on records that were checked; whatever it refuses then, the caller reads another way.
Source: spec "Pipelines" 5.4, measured with pyarrow 26.0.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import json as arrow_json

from .columns_types import arrow_field

if TYPE_CHECKING:
    from .schema import Field, Schema

_READ_EXACTLY = {"string", "bool", "int32", "int64", "uint32", "uint64", "float32", "float64", "timestamp"}
_BLOCK_BYTES_MIN = 64 * 1024


def can_read(schema: Schema) -> bool:
    """Whether Arrow's reader gives the exact columns of every checked record that it does not refuse."""
    return all(_is_read_exactly(field, is_nested=False) for field in schema.fields)


def _is_read_exactly(field: Field, *, is_nested: bool) -> bool:
    if is_nested and field.sql_name is not None:
        return False  # the reader knows one name for a key and its column
    if field.type == "struct":
        return all(_is_read_exactly(child, is_nested=True) for child in field.fields)
    if field.items is not None:
        return _is_read_exactly(field.items, is_nested=True)
    return field.type in _READ_EXACTLY


class ArrowReader:
    """Reads checked lines of a schema that it `can_read`."""

    def __init__(self, schema: Schema) -> None:
        self._target = pa.schema([arrow_field(field) for field in schema.fields])
        read = [
            _as_read(column).with_name(field.name) for column, field in zip(self._target, schema.fields, strict=True)
        ]
        self._parse_options = arrow_json.ParseOptions(
            explicit_schema=pa.schema(read), newlines_in_values=False, unexpected_field_behavior="ignore"
        )

    def read(self, lines: bytes) -> pa.RecordBatch:
        """One row a line.

        Raises:
            pa.ArrowInvalid: the reader cannot read these records; nothing is wrong with them.
        """
        options = arrow_json.ReadOptions(use_threads=False, block_size=max(len(lines) + 1, _BLOCK_BYTES_MIN))
        table = arrow_json.read_json(pa.BufferReader(lines), read_options=options, parse_options=self._parse_options)
        columns = [
            column.combine_chunks().cast(wanted.type, safe=False)
            for column, wanted in zip(table.columns, self._target, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._target)


def _as_read(field: pa.Field) -> pa.Field:
    """float32 is read as a double and rounded, as everywhere else; Arrow's reader would round the text, once."""
    kind = field.type
    if pa.types.is_float32(kind):
        return field.with_type(pa.float64())
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_as_read(kind.field(index)) for index in range(kind.num_fields)]))
    if pa.types.is_list(kind):
        return field.with_type(pa.list_(_as_read(kind.value_field)))
    return field
