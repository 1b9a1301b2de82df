"""Checking: every type takes what it should; what is wrong is named by kind and path, never by value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.schemas.schema_json import schema_from_json
from edge.bindings.pipelines.schemas.validation import (
    RECORDS_AT_ONCE_MAX,
    Checked,
    MalformedBodyError,
    RecordChecker,
    RecordError,
)

if TYPE_CHECKING:
    from edge.bindings.pipelines.schemas.schema import Schema

PRIORITY = {"name": "priority", "type": "int32"}
MD = {"name": "md", "type": "struct", "fields": [PRIORITY, {"name": "id", "type": "string", "required": True}]}
TAGS = {"name": "tags", "type": "list", "items": {"type": "string", "required": True}}


def schema_of(*fields: dict[str, Any]) -> Schema:
    return schema_from_json({"fields": list(fields)})


def field(kind: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "a", **(kind if isinstance(kind, dict) else {"type": kind}), **more}


def error_of(schema: Schema, record: str | bytes) -> RecordError:
    """The one error, the same whether a record is checked as a line, in an array or by itself."""
    text = record if isinstance(record, bytes) else record.encode()
    checker = RecordChecker(schema)
    by_itself = checker.check([text])
    assert checker.check(text + b"\n") == by_itself
    (error,) = by_itself.errors
    return error


def kind_and_path(schema: Schema, record: str | bytes) -> tuple[str, str]:
    error = error_of(schema, record)
    return error.kind, error.path


DECIMAL = {"type": "decimal128", "precision": 5, "scale": 2}


def a_timestamp(unit: str) -> dict[str, Any]:
    return {"type": "timestamp", "unit": unit}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("string", ['""', '"\\u0000"', '"日"', '"\\ud83d\\ude00"']),
        ("bool", ["true", "false"]),
        ("int32", ["-2147483648", "2147483647", "-0"]),
        ("int64", ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
        ("uint32", ["0", "4294967295"]),
        ("uint64", ["0", "18446744073709551615"]),
        ("float32", ["0", "0.1", "-3.4028234663852886e38", "1e-99"]),
        ("float64", ["0", "0.1", "1.7976931348623157e308", "123456789012345678901234567890"]),
        ("json", ["{}", "[null]", '"x"', "1e999", "true"]),
        ("binary", ['""', '"aGVsbG8="', '"/+8="']),
        (DECIMAL, ["0", "-999.99", '"999.99"', "1.100", "0.00e9", "1e2"]),
        (
            a_timestamp("second"),
            ["0", "-62135596800", "253402300799", '"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00"'],
        ),
        (a_timestamp("millisecond"), ["253402300799999", '"2026-01-01t00:00:00.123z"']),
        (a_timestamp("microsecond"), ["1", '"2026-01-01 00:00:00.123456789+05:30"']),
        (a_timestamp("nanosecond"), ["1", '"1677-09-21T00:12:44Z"', '"2262-04-11T23:47:16"']),
        ({"type": "list", "items": {"type": "int32"}}, ["[]", "[1,null]"]),
        ({"type": "struct", "fields": [PRIORITY]}, ["{}", '{"priority":null}', '{"priority":1}']),
    ],
    ids=str,
)
def test_good_values_pass(kind: str | dict[str, Any], values: list[str]) -> None:
    for is_required in (True, False):
        checker = RecordChecker(schema_of(field(kind, required=is_required)))
        lines = "".join(f'{{"a":{value}}}\n' for value in values).encode()
        assert checker.check(lines) == Checked(len(values))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("string", ["1", "true", "{}", "[]"]),
        ("bool", ["0", '"true"']),
        ("int32", ["1.0", "1e3", "2147483648", "-2147483649", '"1"', "true"]),
        ("int64", ["9223372036854775808", "-9223372036854775809", "9" * 5000]),
        ("uint32", ["-1", "4294967296"]),
        ("uint64", ["-1", "18446744073709551616", "9" * 400]),
        ("float32", ["1e39", "3.4028235677973366e38", '"1"']),
        ("float64", ["1e400", '"1"', "true"]),
        ("binary", ["1", "[1,2]"]),
        (DECIMAL, ["1000", "0.001", '"NaN"', '"Infinity"', "1e999999999", "true"]),
        (a_timestamp("second"), ["1.5", "9223372036854775808", "true", "{}", "253402300800", "-62135596801"]),
        (a_timestamp("millisecond"), ["253402300800000", "-62135596800001", "9223372036854775807"]),
        (a_timestamp("microsecond"), ["253402300800000000", "-62135596800000001"]),
        ({"type": "list", "items": {"type": "int32"}}, ["{}", '"[]"', "1"]),
        ({"type": "struct", "fields": [PRIORITY]}, ["[]", "1"]),
    ],
    ids=str,
)
def test_value_of_another_type_is_a_mismatch(kind: str | dict[str, Any], values: list[str]) -> None:
    for value in values:
        assert kind_and_path(schema_of(field(kind)), f'{{"a":{value}}}') == ("type_mismatch", "$.a"), value


def test_nested_timestamp_outside_the_calendar_is_found() -> None:
    moment = {"name": "t", **a_timestamp("second")}
    schema = schema_of(field({"type": "struct", "fields": [moment]}))
    assert kind_and_path(schema, '{"a":{"t":2305843009213693952}}') == ("type_mismatch", "$.a.t")
    assert kind_and_path(schema, '{"a":{"t":"9999-12-31T23:59:59-01:00"}}') == ("parse_failure", "$.a.t")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("binary", ['"%"', '"YQ"', '"YQ==="', '"Y Q=="', '"_w=="']),
        (DECIMAL, ['"one"', '""']),
        (a_timestamp("second"), ['"yesterday"', '"2026-01-01"', '"2026-02-30T00:00:00Z"', '"2026-01-01T24:00:00Z"']),
        (a_timestamp("microsecond"), ['"9999-12-31T23:59:59-00:01"', '"0001-01-01T00:00:00+00:01"']),
        (a_timestamp("nanosecond"), ['"1677-09-20T00:00:00Z"', '"2262-04-12T00:00:00Z"', '"0001-01-01T00:00:00"']),
    ],
    ids=str,
)
def test_text_that_cannot_be_parsed_into_the_type_is_a_parse_failure(
    kind: str | dict[str, Any], values: list[str]
) -> None:
    for value in values:
        assert kind_and_path(schema_of(field(kind)), f'{{"a":{value}}}') == ("parse_failure", "$.a"), value


@pytest.mark.parametrize(
    "kind",
    ["string", "bool", "int64", "uint64", "float64", "json", "binary", DECIMAL, a_timestamp("second"),
     a_timestamp("nanosecond"), {"type": "list", "items": {"type": "int32"}}, {"type": "struct", "fields": [PRIORITY]}],
    ids=str,
)  # fmt: skip
def test_required_field_must_be_there_and_not_null(kind: str | dict[str, Any]) -> None:
    required = schema_of(field(kind, required=True))
    assert kind_and_path(required, "{}") == ("missing_field", "$.a")
    assert kind_and_path(required, '{"a":null}') == ("null_value", "$.a")
    assert kind_and_path(required, '{"a": null }') == ("null_value", "$.a")
    assert RecordChecker(schema_of(field(kind))).check(b'{}\n{"a":null}\n') == Checked(2)


@pytest.mark.parametrize(
    ("record", "kind", "path"),
    [
        ('{"md":{"id":"x","priority":"high"}}', "type_mismatch", "$.md.priority"),
        ('{"md":{"priority":1}}', "missing_field", "$.md.id"),
        ('{"md":{"id":null}}', "null_value", "$.md.id"),
        ('{"tags":["a",1]}', "type_mismatch", "$.tags[1]"),
        ('{"tags":["a","b",null]}', "null_value", "$.tags[2]"),
        ('{"deep":[{"js":[1]},{"js":[1,null]}]}', "null_value", "$.deep[1].js[1]"),
        ('{"deep":[{"u":1},null,{"u":18446744073709551616}]}', "type_mismatch", "$.deep[2].u"),
        ('{"user id.x":1}', "type_mismatch", "$.user id.x"),
    ],
)
def test_path_leads_to_the_value(record: str, kind: str, path: str) -> None:
    js = {"name": "js", "type": "list", "items": {"type": "json", "required": True}}
    inner = {"type": "struct", "fields": [js, {"name": "u", "type": "uint64"}]}
    schema = schema_of(
        MD, TAGS, {"name": "deep", "type": "list", "items": inner}, {"name": "user id.x", "type": "string"}
    )
    assert kind_and_path(schema, record) == (kind, path)


def test_long_path_is_cut() -> None:
    schema = schema_of({"name": "n" * 200, "type": "int32"})
    assert error_of(schema, json.dumps({"n" * 200: "x"})).path == "$." + "n" * 118 + "..."


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{}", "A required field is missing."),
        ('{"a":1}', "Expected string, got whole number."),
        ('{"a":null}', "Expected string, got null."),
        ('{"a":"x","n":1.5}', "Expected whole number or null, got number."),
        ('{"a":"x","n":99999999999}', "Expected whole number <= 2147483647."),
        ('{"a":"x","b":"%"}', "Invalid base64 encoded string."),
        ('{"a":"x","b":{}}', "Expected base64 text or null, got object."),
        ('{"a":"x","t":true}', "Expected whole number or RFC 3339 text or null, got true or false."),
        ('{"a":"x","t":"soon"}', "Invalid RFC3339 encoded datetime."),
        (
            '{"a":"x","t":"1500-01-01T00:00:00Z"}',
            "The timestamp is outside what nanoseconds can count: 1677-09-21 to 2262-04-11.",
        ),
        ('{"a":"x","d":0.001}', "Expected a decimal with at most 5 digits, 2 of them after the point."),
        ('{"a":"x","u":18446744073709551616}', "Expected whole number <= 18446744073709551615."),
        ('{"a":"x","j":[null]}', "Expected any JSON value but null, got null."),
        ("[]", "Expected object, got array."),
        ("nul", "The record is not JSON."),
        (b'{"a":"\xff"}', "The record is not UTF-8."),
        ('{"zz":' + "[" * 100_000 + "}", "The record is nested too deep."),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_message_says_what_was_expected(record: str | bytes, message: str) -> None:
    schema = schema_of(
        field("string", required=True),
        {"name": "n", "type": "int32"},
        {"name": "b", "type": "binary"},
        {"name": "t", **a_timestamp("nanosecond")},
        {"name": "d", **DECIMAL},
        {"name": "u", "type": "uint64"},
        {"name": "j", "type": "list", "items": {"type": "json", "required": True}},
    )
    assert error_of(schema, record).message == message


SECRET = "hunter2"


@given(
    st.sampled_from(["string", "int32", "bool", "binary", DECIMAL, a_timestamp("nanosecond"), MD, TAGS]),
    st.integers(0, 3),
)
def test_no_error_holds_a_value_of_the_record(kind: str | dict[str, Any], depth: int) -> None:
    value: Any = SECRET
    for _ in range(depth):
        value = [value] if depth % 2 else {"id": value, "priority": value}
    checked = RecordChecker(schema_of(field(kind))).check([json.dumps({"a": value}).encode()])
    assert SECRET not in str(checked.errors)


@pytest.mark.parametrize("record", ["[]", "1", '"x"', "null", "true"])
def test_record_that_is_no_object_is_a_mismatch_of_the_record_itself(record: str) -> None:
    assert kind_and_path(schema_of(field("string")), record) == ("type_mismatch", "$")


@pytest.mark.parametrize(
    "record",
    ["", "{", "{'a':1}", '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":01}', '{"a":"\\ud800"}', "{}{}",
     '{"zz":NaN}', '{"zz":"\\x"}', b'{"a":"\xff"}', b'{"zz":"\xff"}', b'{"a":"\xed\xa0\x80"}'],
)  # fmt: skip
def test_record_that_is_not_json_in_utf8_is_a_parse_failure(record: str | bytes) -> None:
    assert kind_and_path(schema_of(field("json")), record) == ("parse_failure", "$")
    assert kind_and_path(schema_of(field("float64")), record) == ("parse_failure", "$")


def test_the_five_rows_of_the_hosted_service() -> None:
    """valid, required missing, wrong type, extra field, malformed JSON. Source: spec "Pipelines" 1.4."""
    checker = RecordChecker(schema_of(field("string", required=True), PRIORITY))
    records = ['{"a":"x","priority":1}', '{"priority":1}', '{"a":"x","priority":"1"}', '{"a":"x","extra":1}', '{"a":']
    checked = checker.check("".join(f"{record}\n" for record in records).encode())
    assert [(error.index, error.kind) for error in checked.errors] == [
        (1, "missing_field"),
        (2, "type_mismatch"),
        (4, "parse_failure"),
    ]
    assert (checked.count, checked.unknown_field_count, checked.unknown_field_path) == (5, 1, "$.extra")


def test_key_that_is_there_twice_counts_with_its_last_value() -> None:
    checker = RecordChecker(schema_of(PRIORITY))
    assert checker.check(b'{"priority":1,"priority":2}\n') == Checked(1)
    assert kind_and_path(schema_of(PRIORITY), '{"priority":1,"priority":"x"}') == ("type_mismatch", "$.priority")


def test_extra_fields_are_counted_when_the_stream_warns() -> None:
    lines = b'{"priority":1}\n{"priority":2,"x":{"y":1}}\n{"z":null}\n'
    assert RecordChecker(schema_of(PRIORITY)).check(lines) == Checked(3, (), 2, "$.x")


def test_extra_fields_are_not_looked_for_when_they_are_stripped() -> None:
    assert RecordChecker(schema_of(PRIORITY), extra_fields="strip").check(b'{"x":1}\n') == Checked(1)


def test_extra_fields_are_an_error_when_the_stream_rejects_them() -> None:
    checker = RecordChecker(schema_of(PRIORITY, MD), extra_fields="reject")
    checked = checker.check(b'{"priority":1}\n{"md":{"id":"x","secret":1}}\n')
    assert checked.errors == (RecordError(1, "unknown_field", "$.md.secret", "The schema has no such field."),)
    assert checked.unknown_field_count == 0


@pytest.mark.parametrize(
    ("key", "path"),
    [("x - at `$.y`", "$.x - at `$.y`"), ("Expected `int`, got `null`", None), ("x" * 1000, "$." + "x" * 118 + "...")],
)
def test_key_of_any_text_is_an_extra_field_and_no_error(key: str, path: str | None) -> None:
    checked = RecordChecker(schema_of(PRIORITY)).check([json.dumps({key: 1}).encode()])
    assert checked == Checked(1, (), 1, path or f"$.{key}")


def test_key_made_to_confuse_costs_no_more_than_its_length() -> None:
    record = json.dumps({" - at `$" * 100_000: 1}).encode()
    assert RecordChecker(schema_of(PRIORITY)).check([record]).unknown_field_count == 1


def test_what_is_wrong_counts_more_than_what_is_extra() -> None:
    schema = schema_of({"name": "u", "type": "uint64"}, PRIORITY)
    assert kind_and_path(schema, '{"x":1,"priority":"high"}') == ("type_mismatch", "$.priority")
    assert kind_and_path(schema, '{"x":1,"u":18446744073709551616}') == ("type_mismatch", "$.u")


@pytest.mark.parametrize("body", [b"{}", b"5", b'"x"', b"null"])
def test_json_that_is_no_array_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBodyError, match=r"^The body is JSON, but no array\.$") as caught:
        RecordChecker(schema_of(PRIORITY)).check(body, is_lines=False)
    assert caught.value.is_json


@pytest.mark.parametrize("body", [b"", b"[", b"[1,]", b"[{}]]", b'[{"a":NaN}]', b'["\xff"]', b"[" * 100_000])
@pytest.mark.parametrize("schema", [None, schema_of(PRIORITY)], ids=["unstructured", "structured"])
def test_body_that_is_not_json_is_malformed(schema: Schema | None, body: bytes) -> None:
    with pytest.raises(MalformedBodyError, match=r"^The body is not JSON in UTF-8\.$") as caught:
        RecordChecker(schema).check(body, is_lines=False)
    assert not caught.value.is_json


def test_unstructured_records_may_be_any_json() -> None:
    records = [b"{}", b"null", b"1e999", b'"x"', b"[[]]", b'{"a":1,"a":2}']
    checker = RecordChecker(None)
    assert checker.check(b"".join(record + b"\n" for record in records)) == Checked(6)
    assert checker.check(b"[" + b",".join(records) + b"]", is_lines=False) == Checked(6)
    assert checker.check(b"") == checker.check(b"[]", is_lines=False) == Checked(0)


@pytest.mark.parametrize("schema", [None, schema_of(PRIORITY)], ids=["unstructured", "structured"])
@pytest.mark.parametrize(
    ("lines", "bad"),
    [
        (b'{"priority":\n1}\n{}{}\n', [0, 1, 2]),
        (b'{"priority":1\n,"x":2}\n{}{}\n', [0, 1, 2]),
        (b"{}\n\n{}\n", [1]),
        (b"{}{}\n\n", [0, 1]),
        (b"{}\n{}", []),
        (b" {} \n{}\t\n", []),
    ],
)
def test_a_record_is_one_line(schema: Schema | None, lines: bytes, bad: list[int]) -> None:
    """The decoder takes white space anywhere: halves of records on two lines must not pass for two records."""
    checked = RecordChecker(schema, extra_fields="strip").check(lines)
    assert [error.index for error in checked.errors] == bad
    assert checked.count == len(lines.rstrip(b"\n").split(b"\n")) + (lines.endswith(b"\n\n"))


def test_numbers_are_milliseconds_where_the_stream_says_so() -> None:
    schema = schema_of({"name": "a", **a_timestamp("nanosecond")})
    checker = RecordChecker(schema, timestamp_format="unix_millis")
    checked = checker.check(b'{"a":9223372036854}\n{"a":9223372036855}\n{"a":"2026-01-01T00:00:00Z"}\n')
    assert [(error.index, error.kind) for error in checked.errors] == [(1, "type_mismatch")]


RECORDS = st.lists(
    st.sampled_from(['{"a":"x"}', "{}", '{"a":1}', '{"a":null}', '{"a":"x","zz":1}', "5", '{"a":"é","priority":1}']),
    max_size=6,
)


@given(RECORDS, st.sampled_from(["strip", "warn", "reject"]))
def test_lines_array_and_single_records_are_judged_alike(records: list[str], extra_fields: Any) -> None:
    checker = RecordChecker(schema_of(field("string", required=True), PRIORITY), extra_fields=extra_fields)
    texts = [record.encode() for record in records]
    one_by_one = checker.check(texts)
    assert checker.check(b"".join(text + b"\n" for text in texts)) == one_by_one
    assert checker.check(b"[" + b",\n".join(texts) + b"]", is_lines=False) == one_by_one


@pytest.mark.parametrize("between", [b",", b"\n,\n"], ids=["compact", "on lines"])
def test_many_records_are_checked_in_parts_and_keep_their_places(between: bytes) -> None:
    records = [b'{"priority":1}'] * (RECORDS_AT_ONCE_MAX + 5)
    records[3], records[-2], records[-1] = b'{"priority":"x"}', b'{"x":1}', b'{"md":5,\n"y":1}'
    checked = RecordChecker(schema_of(PRIORITY)).check(b"[" + between.join(records) + b"]", is_lines=False)
    assert checked.errors == (
        RecordError(3, "type_mismatch", "$.priority", "Expected whole number or null, got string."),
    )
    assert (checked.count, checked.unknown_field_count, checked.unknown_field_path) == (len(records), 2, "$.x")
    lines = b"".join(record.replace(b"\n", b"") + b"\n" for record in records)
    assert RecordChecker(schema_of(PRIORITY)).check(lines) == checked
