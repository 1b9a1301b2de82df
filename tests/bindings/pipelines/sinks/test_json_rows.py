"""Rows as JSON: exact for every type a stream or its SQL can yield."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.sinks.json_rows import json_lines, json_rows


def texts(column: pa.Array, field: pa.Field | None = None) -> list[str]:
    """The JSON text of each value."""
    field = field or pa.field("v", column.type)
    batch = pa.RecordBatch.from_arrays([column], schema=pa.schema([field]))
    return [row.removeprefix('{"v":').removesuffix("}") for row in json_rows(batch).to_pylist()]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([2**53 + 1, -(2**63), None]), ["9007199254740993", "-9223372036854775808", "null"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([0.1, 1e300, 5e-324, math.nan, math.inf]), ["0.1", "1e+300", "5e-324", "null", "null"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([Decimal("1.50"), Decimal("-0.01")], pa.decimal128(38, 2)), ["1.50", "-0.01"]),
        (pa.array([True, False, None]), ["true", "false", "null"]),
        (pa.array([None, None]), ["null", "null"]),
        (pa.array([0, 1], pa.timestamp("s")), ['"1970-01-01T00:00:00Z"', '"1970-01-01T00:00:01Z"']),
        (pa.array([1], pa.timestamp("us", "UTC")), ['"1970-01-01T00:00:00.000001Z"']),
        (pa.array([-1], pa.timestamp("ns")), ['"1969-12-31T23:59:59.999999999Z"']),
        (pa.array([date(2026, 1, 2)]), ['"2026-01-02"']),
        (pa.array([b"\x00\xff", None]), ['"AP8="', "null"]),
        (pa.array([b"ab"], pa.binary_view()), ['"YWI="']),
        (pa.array(["x", None], pa.string_view()), ['"x"', "null"]),
        (pa.array(["a", "a", "b"]).dictionary_encode(), ['"a"', '"a"', '"b"']),
        (pa.array([[1, None], [], None]), ["[1,null]", "[]", "null"]),
        (pa.array([[["a"], None]]), ['[["a"],null]']),
        (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), ["[1,2]"]),
        (pa.array([{"a": 1, "b": None}, None]), ['{"a":1,"b":null}', "null"]),
        (pa.array([{"a": [{"b": "x"}]}]), ['{"a":[{"b":"x"}]}']),
    ],
    ids=str,
)
def test_values_are_exact(column: pa.Array, expected: list[str]) -> None:
    assert texts(column) == expected
    assert texts(pa.concat_arrays([column, column])[len(column) :]) == expected, "also of a slice"


def test_json_columns_are_written_as_values_on_one_line() -> None:
    field = pa.field("v", pa.string(), metadata={"edge.type": "json"})
    assert texts(pa.array(['{"a": 1}', "[1,\n2]", "null", None]), field) == ['{"a": 1}', "[1, 2]", "null", "null"]
    assert texts(pa.array(['{"a":"\\n"}']).cast(pa.json_())) == ['{"a":"\\n"}']


def test_maps_are_objects_whose_keys_are_text() -> None:
    column = pa.array([[("a", 1), ('b"', None)], None, []], pa.map_(pa.string(), pa.int64()))
    assert texts(column) == ['{"a":1,"b\\"":null}', "null", "{}"]
    assert texts(column.slice(1)) == ["null", "{}"]
    assert texts(pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string()))) == ['{"1":"x"}']
    moments = pa.MapArray.from_arrays([0, 1], pa.array([0], pa.int64()).view(pa.timestamp("s")), pa.array([[1]]))
    assert texts(moments) == ['{"1970-01-01T00:00:00Z":[1]}']


def test_hidden_columns_stay_hidden_and_lines_end() -> None:
    batch = pa.record_batch({'q"': [1, 2], "__edge_offset": [7, 8]})
    assert bytes(json_lines(batch)) == b'{"q\\"":1}\n{"q\\"":2}\n'
    assert bytes(json_lines(batch.slice(1))) == b'{"q\\"":2}\n'
    assert bytes(json_lines(batch.slice(2))) == b""


def test_rows_without_columns_are_empty_objects() -> None:
    assert bytes(json_lines(pa.record_batch({"__edge_offset": [1, 2]}))) == b"{}\n{}\n"


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_text_comes_back(values: list[str]) -> None:
    lines = bytes(json_lines(pa.record_batch({"v": pa.array(values, pa.string())})))
    assert [json.loads(line)["v"] for line in lines.split(b"\n")[:-1]] == values


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_any_float_comes_back(values: list[float]) -> None:
    assert [float(text) for text in texts(pa.array(values, pa.float64()))] == values


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - hypothesis wants them naive
def test_any_moment_comes_back(moment: datetime) -> None:
    column: Any = pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", "UTC"))
    assert datetime.fromisoformat(json.loads(texts(column)[0])) == moment.replace(tzinfo=UTC)
