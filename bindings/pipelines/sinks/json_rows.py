"""Rows as JSON text, column by column in Arrow's kernels: exact, and the interpreter lock stays free.

`to_pylist` and an encoder would make 110,000 rows a second out of Python objects; this makes several times that out of
none. Each column becomes text (numbers as they are, strings quoted, structs, maps and lists built from their children),
then each row is one join. Integers, decimals and floats keep every digit; NaN and infinities are null, which JSON
lacks; timestamps are RFC 3339 in UTC; binary is base64; a column of type json is written as the JSON value it holds.

Every row has every column: a missing value is `null`.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ..schemas.columns_types import JSON_MARK
from .sink import HIDDEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPED = r'[\x00-\x1f"\\]'
_SHORT_ESCAPES = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r"}


def json_rows(batch: pa.RecordBatch, *, end: str = "") -> pa.Array:
    """Each row as one JSON object without the hidden columns; `end` stands behind each one."""
    names = [name for name in batch.schema.names if name not in HIDDEN_COLUMNS]
    fields = [batch.schema.field(name) for name in names]
    columns = [batch.column(name) for name in names]
    return _objects(fields, columns, batch.num_rows, end)


def json_lines(batch: pa.RecordBatch) -> memoryview:
    """The rows as newline-delimited JSON, each line ended, without a copy."""
    rows = json_rows(batch, end="\n")
    _, offsets, data = rows.buffers()
    if data is None:
        return memoryview(b"")
    ends = memoryview(offsets).cast("i" if pa.types.is_string(rows.type) else "q")
    return memoryview(data)[ends[rows.offset] : ends[rows.offset + len(rows)]]


def is_json(field: pa.Field) -> bool:
    """Whether the column's text is JSON, so is written as it stands."""
    return isinstance(field.type, pa.JsonType) or JSON_MARK.items() <= (field.metadata or {}).items()


def _objects(fields: Sequence[pa.Field], columns: Sequence[pa.Array], count: int, end: str) -> pa.Array:
    parts: list[object] = []
    before = "{"
    for field, column in zip(fields, columns, strict=True):
        parts += (pa.scalar(f"{before}{_quoted(field.name)}:"), _values(field, column))
        before = ","
    if not parts:
        return pa.repeat(pa.scalar("{}" + end), count)
    return pc.binary_join_element_wise(*parts, pa.scalar("}" + end), "")


def _values(field: pa.Field, column: pa.Array) -> pa.Array:
    """JSON text of each value; never null."""
    return pc.fill_null(_texts(field, column), "null")


def _texts(field: pa.Field, column: pa.Array) -> pa.Array:
    """JSON text of each value; null where the value is."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(field.with_type(kind.value_type), column.dictionary_decode())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_struct(kind):
        return _structs(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column)
    if pa.types.is_map(kind):
        return _maps(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        text = column.cast(pa.string())
        return _on_one_line(text) if is_json(field) else _strings(text)
    return _scalars(column)


def _scalars(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        return finite.cast(pa.string())
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.timestamp(kind.unit)).cast(pa.string())  # with a zone the cast is 25 times as slow
        return _join('"', pc.replace_substring(moments, " ", "T"), 'Z"')
    if pa.types.is_temporal(kind):
        return _join('"', column.cast(pa.string()), '"')
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _base64(column)
    if pa.types.is_binary_view(kind):
        return _base64(column.cast(pa.binary()))
    return column.cast(pa.string())


def _structs(column: pa.StructArray) -> pa.Array:
    kind = column.type
    fields = [kind.field(at) for at in range(kind.num_fields)]
    texts = _objects(fields, column.flatten(), len(column), "")
    return pc.if_else(column.is_valid(), texts, pa.scalar(None, pa.string()))


def _lists(column: pa.ListArray) -> pa.Array:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        column = column.cast(pa.list_(kind.value_field))
    texts = _values(kind.value_field, column.flatten())
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    ends = pc.cumulative_sum(lengths.cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    inner = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ",")
    return pc.if_else(column.is_valid(), _join("[", inner, "]"), pa.scalar(None, pa.string()))


def _maps(column: pa.MapArray) -> pa.Array:
    """An object whose keys are the text of the map's, which are no lists, structs or maps."""
    kind = column.type
    keys = _values(kind.key_field, column.keys)
    if not pc.all(pc.starts_with(keys, '"')).as_py():
        keys = _join('"', keys, '"')
    entries = pc.binary_join_element_wise(keys, _values(kind.item_field, column.items), ":")
    inner = pc.binary_join(pa.ListArray.from_arrays(column.offsets, entries), ",")
    return pc.if_else(column.is_valid(), _join("{", inner, "}"), pa.scalar(None, pa.string()))


def _strings(column: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        column = _escaped(column)
    return _join('"', column, '"')


def _escaped(column: pa.Array) -> pa.Array:
    column = pc.replace_substring(column, "\\", "\\\\")
    column = pc.replace_substring(column, '"', '\\"')
    for code in range(0x20):
        character = chr(code)
        if pc.any(pc.match_substring(column, character)).as_py():
            column = pc.replace_substring(column, character, _SHORT_ESCAPES.get(character, f"\\u{code:04x}"))
    return column


def _on_one_line(column: pa.Array) -> pa.Array:
    """Outside strings a line break is white space, and inside JSON strings there is none."""
    for character in "\r\n":
        if pc.any(pc.match_substring(column, character)).as_py():
            column = pc.replace_substring(column, character, " ")
    return column


def _base64(column: pa.Array) -> pa.Array:
    values = (
        None if value is None else f'"{b2a_base64(value, newline=False).decode()}"' for value in column.to_pylist()
    )
    return pa.array(values, pa.string())


def _join(before: str, column: pa.Array, after: str) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(before), column, pa.scalar(after), "")


def _quoted(name: str) -> str:
    return _strings(pa.array([name]))[0].as_py()  # type: ignore[no-any-return]  # pyarrow ships no types
