"""Columns: bad records never fail a batch, both ways to read give the same, and no value changes on the way."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import datafusion
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.schemas.columns import BATCHES_UNTIL_RETRY, ColumnBuilder
from edge.bindings.pipelines.schemas.columns_from_json import ArrowReader, can_read
from edge.bindings.pipelines.schemas.columns_from_rows import RowReader
from edge.bindings.pipelines.schemas.columns_types import arrow_schema_of
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.schemas.schema_json import schema_from_json
from edge.bindings.pipelines.schemas.validation import RecordChecker

PER_SECOND = {"second": 1, "millisecond": 10**3, "microsecond": 10**6, "nanosecond": 10**9}


def schema_of(*fields: dict[str, Any]) -> Schema:
    return schema_from_json({"fields": list(fields)})


def lines_of(*records: str | bytes) -> bytes:
    return b"".join((record if isinstance(record, bytes) else record.encode()) + b"\n" for record in records)


def column_of(kind: dict[str, Any], *values: str) -> list[Any]:
    """What JSON values of a type, each the only field of a record, are as Arrow values, read both ways."""
    schema = schema_of({"name": "a", **kind})
    lines = lines_of(*(f'{{"a":{value}}}' for value in values))
    read = RowReader(schema, timestamp_format="rfc3339").read(lines)
    built = ColumnBuilder(schema).build(lines)
    assert not built.errors
    assert built.batch.equals(read)
    if pa.types.is_timestamp(read.schema.field(0).type):
        return read.column(0).view(pa.int64()).to_pylist()
    return read.column(0).to_pylist()


# Generated schemas and records.

NAMES = ("a", "b", "userId", "user-id", "x.y", "class", "ä b", "f0", "$", "[0]", "value", "日")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
INTS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([s * 2**p + d for p in (31, 32, 53, 63, 64) for s in (1, -1) for d in (-1, 0, 1)]),
)
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([3.4028234663852886e38, 3.4028235677973362e38, 3.4028235677973366e38, 1e39, 1.0000000596046448]),
)
MOMENTS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["1970-01-01", "2026-02-28", "1969-12-31"] * 3 + ["0001-01-01", "1677-09-21", "2262-04-11"]),
    st.sampled_from(["T", "T", "T", "t", " "]),
    st.sampled_from(["00:00:00", "23:59:59", "00:12:44", "23:47:16", "24:00:00"]),
    st.sampled_from(["", "", ".5", ".123", ".123456", ".123456789", ".0000000019", "."]),
    st.sampled_from(["", "Z", "z", "+02:00", "-0130", "-00:00"]),
)
DECIMALS = st.builds("{}{}".format, st.decimals(-1000, 1000, places=2), st.sampled_from(["", "0", "e1", "e-2", "e9"]))
JSON = st.recursive(st.one_of(TEXTS, INTS, FLOATS, st.none()), lambda inner: st.lists(inner, max_size=2), max_leaves=4)
STRAY = st.sampled_from(["null", "1.0", "true", '"x"', "[]", "{}", "[null]", "NaN", "1e400", "-0", '"YQ"', '"\\ud800"'])


@st.composite
def fields(draw: st.DrawFn, depth: int = 3) -> Field:
    kinds = [
        "string", "bool", "int32", "int64", "uint32", "uint64", "float32", "float64", "timestamp", "json", "binary",
        "decimal128",
    ]  # fmt: skip
    kind: Any = draw(st.sampled_from(kinds + ["list", "struct"] * (4 if depth > 1 else 0)))
    return Field(
        kind,
        required=draw(st.booleans()),
        unit=draw(st.sampled_from(sorted(PER_SECOND))) if kind == "timestamp" else None,  # type: ignore[arg-type]
        items=draw(fields(depth - 1)) if kind == "list" else None,
        fields=draw(named_fields(depth - 1)) if kind == "struct" else (),
        precision=6 if kind == "decimal128" else None,
        scale=2 if kind == "decimal128" else None,
    )


@st.composite
def named_fields(draw: st.DrawFn, depth: int = 3) -> tuple[Field, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    made = [draw(fields(depth)) for _ in names]
    return tuple(
        Field(f.type, name, f.required, f.unit, f.items, f.fields, f.precision, f.scale)
        for name, f in zip(names, made, strict=True)
    )


schemas = st.builds(Schema, named_fields())


@st.composite
def values(draw: st.DrawFn, field: Field) -> str:
    """JSON text that mostly fits the field."""
    chance = draw(st.integers(0, 40))
    if chance == 40:
        return draw(STRAY)
    if chance > 35 and not field.required:
        return "null"
    if field.items is not None:
        return f"[{','.join(draw(st.lists(values(field.items), max_size=3)))}]"
    if field.type == "struct":
        return draw(objects(field.fields))
    if field.type == "timestamp":
        return draw(st.one_of(MOMENTS.map(json.dumps), INTS.map(str)))
    if field.type == "decimal128":
        return draw(st.one_of(DECIMALS, DECIMALS.map(json.dumps)))
    if field.type == "binary":
        return json.dumps(base64.b64encode(draw(st.binary(max_size=5))).decode())
    if field.type.startswith(("int", "uint")):
        return str(draw(INTS if chance > 25 else st.integers(0, 9)))
    kind: Any = {"string": TEXTS, "bool": st.booleans(), "json": JSON}.get(field.type, FLOATS)
    return json.dumps(draw(kind), ensure_ascii=draw(st.booleans()))


@st.composite
def objects(draw: st.DrawFn, fields: tuple[Field, ...]) -> str:
    """Keys in any order, some absent, rarely one that no field has or one that is there twice."""
    members = [(f.name, draw(values(f))) for f in fields if f.required or draw(st.integers(0, 3))]
    if draw(st.integers(0, 15)) == 0:
        members.append(("zz", draw(STRAY.filter(lambda text: text != "NaN"))))
    if members and draw(st.integers(0, 15)) == 0:
        members.append(draw(st.sampled_from(members)))
    shuffled = draw(st.permutations(members))
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in shuffled) + "}"


@st.composite
def streams(draw: st.DrawFn) -> tuple[Schema, list[str]]:
    schema = draw(schemas)
    count = draw(st.integers(1, 5))
    records = [draw(objects(schema.fields)) if draw(st.integers(0, 15)) < 15 else draw(STRAY) for _ in range(count)]
    return schema, records


def expected(field: Field, value: Any) -> Any:
    """What a good value is as Python gives an Arrow value back; written from the spec alone."""
    if field.type == "json":
        return None if value in (None, "null") else value
    if value is None:
        return None
    if field.items is not None:
        return [expected(field.items, item) for item in value]
    if field.type == "struct":
        return {child.name: expected(child, value.get(child.name)) for child in field.fields}
    if field.type == "timestamp":
        return value if isinstance(value, int) else instant(value, PER_SECOND[field.unit or ""])
    if field.type == "binary":
        return base64.b64decode(value)
    if field.type == "decimal128":
        return Decimal(str(value))
    if field.type == "float32":
        return pa.scalar(float(value), pa.float32()).as_py()
    return float(value) if field.type == "float64" else value


def instant(text: str, per_second: int) -> int:
    whole, zone = text[:19].upper().replace(" ", "T"), text[19:].lstrip(".0123456789").upper().replace("Z", "")
    fraction = text[20:].rstrip("zZ").split("+")[0].split("-")[0] if text[19:20] == "." else ""
    since = datetime.fromisoformat(whole).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    if zone:
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        since -= timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
    return since // timedelta(seconds=1) * per_second + int(fraction.ljust(9, "0")[:9]) * per_second // 10**9


def as_python(field: Field, column: pa.Array) -> list[Any]:
    """`to_pylist`, with timestamps as numbers (a datetime ends before what a column holds) and json decoded."""
    if field.type == "timestamp":
        return column.view(pa.int64()).to_pylist()
    if field.type == "json":
        return [None if text is None else loads(text) for text in column.to_pylist()]
    if field.type == "struct":
        members = [as_python(child, column.field(position)) for position, child in enumerate(field.fields)]
        rows = [dict(zip((f.name for f in field.fields), row, strict=True)) for row in zip(*members, strict=True)]
        return [row if is_there else None for row, is_there in zip(rows, column.is_valid().to_pylist(), strict=True)]
    if field.items is not None:
        return [None if item.values is None else as_python(field.items, item.values) for item in column]
    return column.to_pylist()


def loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


@given(streams())
def test_checker_and_builder_agree_on_which_records_are_good(stream: tuple[Schema, list[str]]) -> None:
    schema, records = stream
    built = ColumnBuilder(schema).build(lines_of(*records))
    checker = RecordChecker(schema, extra_fields="strip")
    assert built.errors == checker.check(lines_of(*records)).errors
    assert built.errors == checker.check([record.encode() for record in records]).errors
    bad = {error.index for error in built.errors}
    kept = built.kept.to_pylist() if built.kept is not None else list(range(len(records)))
    assert kept == [index for index in range(len(records)) if index not in bad]
    built.batch.validate(full=True)
    assert_null_all_the_way(*built.batch.columns)
    assert built.batch.num_rows == len(kept)
    assert built.batch.schema.equals(arrow_schema_of(schema))


def assert_null_all_the_way(*columns: pa.Array) -> None:
    """Where a struct is null, its children are: an engine may look at them alone."""
    for column in columns:
        if pa.types.is_struct(column.type):
            children = [column.field(index) for index in range(column.type.num_fields)]
            for child in children:
                assert child.filter(column.is_null()).null_count == column.null_count
            assert_null_all_the_way(*children)
        elif pa.types.is_list(column.type):
            assert_null_all_the_way(column.values)


@given(streams())
def test_good_values_arrive_unchanged(stream: tuple[Schema, list[str]]) -> None:
    schema, records = stream
    built = ColumnBuilder(schema).build(lines_of(*records))
    bad = {error.index for error in built.errors}
    good = [loads(record) for index, record in enumerate(records) if index not in bad]
    for position, field in enumerate(schema.fields):
        want = [expected(field, record.get(field.name)) for record in good]
        assert as_python(field, built.batch.column(position)) == want


@given(streams())
def test_both_ways_to_read_give_equal_columns(stream: tuple[Schema, list[str]]) -> None:
    schema, records = stream
    bad = {error.index for error in RecordChecker(schema).check(lines_of(*records)).errors}
    lines = lines_of(*(record for index, record in enumerate(records) if index not in bad))
    if lines and can_read(schema):
        try:
            read = ArrowReader(schema).read(lines)
        except pa.ArrowInvalid:
            return  # the builder reads them the other way
        read.validate(full=True)
        assert_null_all_the_way(*read.columns)
        assert read.equals(RowReader(schema, timestamp_format="rfc3339").read(lines))


MAYBE_STRING = {"type": "string"}


def timestamp(unit: str) -> dict[str, Any]:
    return {"type": "timestamp", "unit": unit}


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        (MAYBE_STRING, ['"a"', "null", '"\\u00e9\\ud83d\\ude00"', '""'], ["a", None, "\u00e9\U0001f600", ""]),
        ({"type": "bool"}, ["true", "false", "null"], [True, False, None]),
        ({"type": "int32"}, ["-2147483648", "2147483647"], [-(2**31), 2**31 - 1]),
        ({"type": "int64"}, ["9007199254740993", "-9223372036854775808"], [2**53 + 1, -(2**63)]),
        ({"type": "uint32"}, ["0", "4294967295"], [0, 2**32 - 1]),
        ({"type": "uint64"}, ["18446744073709551615", "-0"], [2**64 - 1, 0]),
        ({"type": "float32"}, ["0.1", "1", "1.0000000596046448"], [0.10000000149011612, 1.0, 1.0]),
        ({"type": "float64"}, ["0.1", "1", "5e-324", "1e-400"], [0.1, 1.0, 5e-324, 0.0]),
        (
            {"type": "json"},
            ['{"b" : [1.0, 1e999]}', '"x"', "1.50", "null"],
            ['{"b" : [1.0, 1e999]}', '"x"', "1.50", None],
        ),
        ({"type": "binary"}, ['"aGVsbG8="', '""', "null"], [b"hello", b"", None]),
        ({"type": "bytes"}, ['"/+8="'], [b"\xff\xef"]),
        (
            {"type": "decimal128", "precision": 38, "scale": 2},
            ["1.10", '"1.1"', "1.100", "1e2", "0.00e9", "123456789012345678901234567890123456.78"],
            [
                Decimal(text)
                for text in ("1.10", "1.10", "1.10", "100.00", "0", "123456789012345678901234567890123456.78")
            ],
        ),
        (timestamp("second"), ['"1970-01-01T00:00:01.9Z"', "1", "-1", '"1969-12-31T23:59:59.5Z"'], [1, 1, -1, -1]),
        (timestamp("millisecond"), ['"1970-01-01T00:00:01.9999Z"', "1999"], [1999, 1999]),
        (timestamp("microsecond"), ['"1970-01-01T00:00:00.1234567Z"', '"1970-01-01T00:00:00.1Z"'], [123456, 100000]),
        (timestamp("nanosecond"), ['"1970-01-01T00:00:00.123456789Z"', "5", "null"], [123456789, 5, None]),
        (
            timestamp("second"),
            [f'"{text}"' for text in ("1970-01-01T00:00:00", "1970-01-01 00:00:00z", "1970-01-01t01:30:00+01:30")],
            [0, 0, 0],
        ),
        (
            timestamp("second"),
            ['"9999-12-31T23:59:59+12:00"', '"0001-01-01T00:00:00Z"'],
            [253402257600 - 1, -62135596800],
        ),
        (
            {"type": "list", "items": {"type": "int32"}},
            ["[1,null,2]", "[]", "null"],
            [[1, None, 2], [], None],
        ),
        (
            {"type": "struct", "fields": [{"name": "x", "type": "list", "items": {"type": "json"}}]},
            ['{"x":[{"k":1},null]}', "{}", "null"],
            [{"x": ['{"k":1}', None]}, {"x": None}, None],
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_values_of_every_type_arrive(kind: dict[str, Any], texts: list[str], values: list[Any]) -> None:
    assert column_of(kind, *texts) == values


def test_key_that_is_there_twice_has_its_last_value() -> None:
    assert column_of({"type": "int32"}, '1,"a":2', "3") == [2, 3]
    struct = {"type": "struct", "fields": [{"name": "x", "type": "int32"}, {"name": "y", "type": "int32"}]}
    assert column_of(struct, '{"x":1,"x":2}', '{"x":1},"a":{"y":2}') == [{"x": 2, "y": None}, {"x": None, "y": 2}]


def test_white_space_between_values_changes_nothing() -> None:
    assert column_of({"type": "int32"}, "\r1", " 2 \t", "3\r") == [1, 2, 3]


def test_one_bad_record_in_ten_thousand_is_named_and_the_others_arrive() -> None:
    records = [f'{{"n":{number}}}' for number in range(10_000)]
    records[5_000] = '{"n":"five thousand"}'
    built = ColumnBuilder(schema_of({"name": "n", "type": "int64"})).build(lines_of(*records))
    (error,) = built.errors
    assert (error.index, error.kind, error.path) == (5_000, "type_mismatch", "$.n")
    assert built.kept is not None
    assert built.kept.to_pylist() == built.batch.column(0).to_pylist() == [n for n in range(10_000) if n != 5_000]


def test_batch_of_bad_records_only_has_no_rows() -> None:
    built = ColumnBuilder(schema_of({"name": "n", "type": "int64"})).build(lines_of("5", "{", '{"n":true}'))
    assert built.batch.num_rows == 0
    assert built.kept is not None
    assert built.kept.to_pylist() == []
    assert [(e.kind, e.path) for e in built.errors] == [
        ("type_mismatch", "$"),
        ("parse_failure", "$"),
        ("type_mismatch", "$.n"),
    ]


@pytest.mark.parametrize(
    "schema", [None, schema_of({"name": "s", "type": "struct", "fields": [{"name": "n", "type": "int64"}]})]
)
@pytest.mark.parametrize("is_checked", [True, False])
def test_no_lines_make_an_empty_batch(schema: Schema | None, is_checked: bool) -> None:
    built = ColumnBuilder(schema).build(b"", is_checked=is_checked)
    assert built.batch.num_rows == 0
    assert built.batch.schema.equals(arrow_schema_of(schema))


def test_unstructured_records_are_one_column_of_their_text() -> None:
    built = ColumnBuilder(None).build(lines_of('{"a" : "\u00e9"}', "5", "null", '"x"'))
    assert built.batch.to_pylist() == [
        {"value": '{"a" : "\u00e9"}'},
        {"value": "5"},
        {"value": "null"},
        {"value": '"x"'},
    ]


def test_unstructured_record_that_is_not_json_is_named() -> None:
    built = ColumnBuilder(None).build(lines_of("{}", "{", b'"\xff"', "[]"))
    assert built.batch.to_pylist() == [{"value": "{}"}, {"value": "[]"}]
    assert [(e.index, e.kind) for e in built.errors] == [(1, "parse_failure"), (2, "parse_failure")]


def test_columns_have_the_types_and_names_of_the_schema() -> None:
    schema = schema_of(
        {"name": "userId", "type": "string", "required": True, "sql_name": "user_id"},
        {"name": "at", "type": "timestamp", "unit": "microsecond"},
        {"name": "price", "type": "decimal128", "precision": 12, "scale": 2},
        {"name": "l", "type": "list", "items": {"type": "json", "required": True}, "required": True},
        {"name": "s", "type": "struct", "fields": [{"name": "b", "type": "bytes", "required": True, "sql_name": "c"}]},
    )
    assert ColumnBuilder(schema).arrow_schema.equals(
        pa.schema(
            [
                pa.field("user_id", pa.string(), nullable=False),
                pa.field("at", pa.timestamp("us")),
                pa.field("price", pa.decimal128(12, 2)),
                pa.field("l", pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False),
                pa.field("s", pa.struct([pa.field("c", pa.binary())])),  # null where `s` is
            ]
        )
    )
    record = '{"userId":"u","at":null,"price":1,"l":[1],"s":{"b":"YQ=="}}'
    built = ColumnBuilder(schema).build(lines_of(record))
    assert built.batch.to_pylist() == [{"user_id": "u", "at": None, "price": Decimal(1), "l": ["1"], "s": {"c": b"a"}}]


@pytest.mark.parametrize("kind", ["string", "binary", "json"], ids=["read by Arrow", "read from rows", "json"])
def test_child_of_a_null_struct_is_null_for_a_planner(kind: str) -> None:
    child = {"name": "f", "type": kind, "required": True}
    schema = schema_of(
        {"name": "s", "type": "struct", "fields": [child, {"name": "n", "type": "int32", "required": True}]},
    )
    built = ColumnBuilder(schema).build(lines_of('{"s":null}', "{}", '{"s":{"f":"YQ==","n":1}}'))
    column = built.batch.column(0)
    assert column.field(0).null_count == column.field(1).null_count == 2
    context = datafusion.SessionContext()
    context.register_record_batches("stream", [[built.batch]])
    found = context.sql("SELECT s['f'] IS NULL AS f, s['n'] IS NULL AS n FROM stream").to_pylist()
    assert found == [{"f": True, "n": True}] * 2 + [{"f": False, "n": False}]


def test_pyarrows_own_way_from_dicts_would_not_be_null() -> None:
    """Why structs are built by hand; when this fails, pyarrow has mended it."""
    column = pa.array([None, {"n": 1}], pa.struct([pa.field("n", pa.int32())]))
    assert column.field(0).to_pylist() == [0, 1]


def test_numbers_are_milliseconds_where_the_stream_says_so() -> None:
    fields = [{"name": unit, **timestamp(unit)} for unit in PER_SECOND]
    builder = ColumnBuilder(schema_of(*fields), timestamp_format="unix_millis")
    built = builder.build(lines_of(json.dumps(dict.fromkeys(PER_SECOND, 1999)), json.dumps({"nanosecond": 2**53})))
    assert [built.batch.column(unit).view(pa.int64())[0].as_py() for unit in PER_SECOND] == [
        1,
        1999,
        1999 * 10**3,
        1999 * 10**6,
    ]
    assert [(e.index, e.kind, e.path) for e in built.errors] == [(1, "type_mismatch", "$.nanosecond")]


def test_extra_fields_are_counted_or_refused_as_the_stream_says() -> None:
    schema, lines = schema_of({"name": "a", "type": "int32"}), lines_of('{"a":1,"b":2}', '{"a":3}')
    stripped = ColumnBuilder(schema).build(lines)
    assert stripped.batch.to_pylist() == [{"a": 1}, {"a": 3}]
    assert stripped.unknown_field_count == 0
    assert ColumnBuilder(schema, extra_fields="warn").build(lines).unknown_field_count == 1
    refused = ColumnBuilder(schema, extra_fields="reject").build(lines)
    assert refused.batch.to_pylist() == [{"a": 3}]
    assert [(e.kind, e.path) for e in refused.errors] == [("unknown_field", "$.b")]


@pytest.mark.parametrize(
    "kind", [{"type": "int32"}, {"type": "uint64"}, {"type": "decimal128", "precision": 5, "scale": 2}]
)
def test_wrong_claim_that_records_are_good_is_found_out(kind: dict[str, Any]) -> None:
    builder = ColumnBuilder(schema_of({"name": "a", **kind}))
    built = builder.build(lines_of('{"a":1}', '{"a":99999999999999999999}'), is_checked=True)
    assert built.batch.num_rows == 1
    assert [(e.index, e.kind, e.path) for e in built.errors] == [(1, "type_mismatch", "$.a")]


def test_wrong_claim_about_a_timestamp_is_found_out() -> None:
    builder = ColumnBuilder(schema_of({"name": "at", **timestamp("second")}))
    built = builder.build(lines_of('{"at":1}', '{"at":"soon"}'), is_checked=True)
    assert [(e.index, e.kind, e.path) for e in built.errors] == [(1, "parse_failure", "$.at")]


def test_nested_column_may_have_a_name_of_its_own() -> None:
    inner = [{"name": "userId", "type": "string", "sql_name": "user_id"}]
    schema = schema_of({"name": "s", "type": "struct", "sql_name": "S", "fields": inner})
    built = ColumnBuilder(schema).build(lines_of('{"s":{"userId":"u"}}'))
    assert built.batch.to_pylist() == [{"S": {"user_id": "u"}}]


def test_what_arrow_refuses_is_read_the_other_way_and_then_tried_again() -> None:
    builder = ColumnBuilder(schema_of({"name": "at", **timestamp("second")}))
    for number in range(BATCHES_UNTIL_RETRY + 1):
        built = builder.build(lines_of(f'{{"at":{number}}}'), is_checked=True)
        assert built.batch.column(0).view(pa.int64()).to_pylist() == [number]
    built = builder.build(lines_of('{"at":"1970-01-01T00:00:07Z"}'), is_checked=True)
    assert built.batch.column(0).view(pa.int64()).to_pylist() == [7]


def test_missing_pyarrow_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from edge.runtime.core.errors import UnsupportedError\n"
        "try:\n    import edge.bindings.pipelines.schemas.columns\n"
        "except UnsupportedError as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == "Pipelines need pyarrow, which is not installed. Run: pip install 'edge-workers[pipelines]'"


def test_checking_loads_no_arrow() -> None:
    code = "import edge.bindings.pipelines.schemas.validation, sys; print('pyarrow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == "False"
