"""Schemas as JSON: every type is read and written back, and every problem is told with its path."""

from __future__ import annotations

from typing import Any

import pytest

from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.schemas.schema_json import (
    FIELD_COUNT_MAX,
    NESTING_MAX,
    SchemaError,
    schema_from_json,
    schema_to_json,
)

EVERY_TYPE: list[dict[str, Any]] = [
    {"name": "string", "type": "string", "required": True},
    {"name": "int32", "type": "int32", "required": False},
    {"name": "int64", "type": "int64", "required": False},
    {"name": "uint32", "type": "uint32", "required": False},
    {"name": "uint64", "type": "uint64", "required": False},
    {"name": "float32", "type": "float32", "required": False},
    {"name": "float64", "type": "float64", "required": False},
    {"name": "bool", "type": "bool", "required": False},
    {"name": "timestamp", "type": "timestamp", "required": False, "unit": "nanosecond"},
    {"name": "json", "type": "json", "required": False},
    {"name": "binary", "type": "binary", "required": False},
    {"name": "decimal128", "type": "decimal128", "required": False, "precision": 12, "scale": 2},
    {"name": "list", "type": "list", "required": False, "items": {"type": "int32", "required": True}},
    {
        "name": "struct",
        "type": "struct",
        "required": False,
        "fields": [{"name": "deep", "type": "list", "required": False, "items": {"type": "json", "required": False}}],
    },
    {"name": "camelCase", "type": "string", "required": False, "metadata_key": "k", "sql_name": "camel_case"},
]


ANY_TYPE = (
    "expected one of string, int32, int64, uint32, uint64, float32, float64, bool, timestamp, json, binary, bytes, "
    "decimal128, list, struct"
)
ANY_UNIT = "a timestamp needs one of second, millisecond, microsecond, nanosecond"
A_LIST_NEEDS_ITEMS = "a list needs `items`, the type of what is in it; got nothing"


def a_list(depth: int) -> dict[str, Any]:
    """`depth` levels: lists, and a string inside the innermost one."""
    return {"type": "list", "items": a_list(depth - 1)} if depth > 1 else {"type": "string"}


def problems_of(*fields: object) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        schema_from_json({"fields": list(fields)})
    return str(caught.value).split("\n")


@pytest.mark.parametrize("field", EVERY_TYPE, ids=lambda field: field["name"])
def test_every_type_is_written_back_as_it_was_read(field: dict[str, Any]) -> None:
    assert schema_to_json(schema_from_json({"fields": [field]})) == {"fields": [field]}


def test_written_schema_is_read_as_the_same_value() -> None:
    schema = schema_from_json({"fields": EVERY_TYPE})
    assert schema_from_json(schema_to_json(schema)) == schema


def test_bytes_is_taken_and_binary_returned() -> None:
    schema = schema_from_json({"fields": [{"name": "raw", "type": "bytes"}]})
    assert schema == Schema((Field("binary", "raw"),))
    assert schema_to_json(Schema((Field("bytes", "raw"),)))["fields"][0]["type"] == "binary"


def test_required_is_false_unless_said() -> None:
    assert not schema_from_json({"fields": [{"name": "a", "type": "string"}]}).fields[0].required


def test_keys_that_nobody_knows_are_left_alone() -> None:
    field = {"name": "a", "type": "string", "comment": "why", "unit": "not of a timestamp"}
    assert schema_from_json({"fields": [field], "inferred": True}) == Schema((Field("string", "a"),))


def test_name_of_a_lists_items_is_dropped() -> None:
    field = {"name": "a", "type": "list", "items": {"name": "item", "type": "string"}}
    assert schema_from_json({"fields": [field]}).fields[0].items == Field("string")


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ({"name": "a"}, f"fields[0].type: {ANY_TYPE}; got nothing"),
        ({"name": "a", "type": "text"}, f"fields[0].type: {ANY_TYPE}; got 'text'"),
        ({"type": "string"}, "fields[0].name: expected a name, got nothing"),
        ({"name": "", "type": "string"}, "fields[0].name: expected a name, got nothing"),
        ({"name": 5, "type": "string"}, "fields[0].name: expected a string, got number"),
        ({"name": 'a"b', "type": "string"}, 'fields[0].name: a name is printable text without " and \\'),
        ({"name": "a\nb", "type": "string"}, 'fields[0].name: a name is printable text without " and \\'),
        ({"name": "a" * 256, "type": "string"}, "fields[0].name: a name has at most 255 characters, got 256"),
        ({"name": "a", "type": "string", "required": 1}, "fields[0].required: expected true or false, got number"),
        ({"name": "a", "type": "timestamp", "unit": 3}, f"fields[0].unit: {ANY_UNIT}; got 3"),
        ({"name": "a", "type": "timestamp", "unit": "ms"}, f"fields[0].unit: {ANY_UNIT}; got 'ms'"),
        ({"name": "a", "type": "list"}, f"fields[0].items: {A_LIST_NEEDS_ITEMS}"),
        ({"name": "a", "type": "list", "items": {"type": 5}}, f"fields[0].items.type: {ANY_TYPE}; got 5"),
        ({"name": "a", "type": "struct"}, "fields[0].fields: expected an array of fields, got nothing"),
        ({"name": "a", "type": "struct", "fields": []}, "fields[0].fields: expected at least one field"),
        (
            {"name": "a", "type": "struct", "fields": [{"name": "b", "type": "timestamp", "unit": ""}]},
            f"fields[0].fields[0].unit: {ANY_UNIT}; got ''",
        ),
        (
            {"name": "a", "type": "decimal128", "precision": 39, "scale": 0},
            "fields[0].precision: decimal128 needs a whole number from 1 to 38; got 39",
        ),
        (
            {"name": "a", "type": "decimal128", "precision": 5, "scale": 6},
            "fields[0].scale: decimal128 needs a whole number from 0 to 5; got 6",
        ),
        (
            {"name": "a", "type": "decimal128", "precision": True, "scale": 0},
            "fields[0].precision: decimal128 needs a whole number from 1 to 38; got True",
        ),
        ("a string", "fields[0]: expected an object with `name` and `type`, got string"),
        (
            {"name": "__edge_offset", "type": "int64"},
            "fields: the name __edge_offset is reserved: Edge's own columns begin with __edge_",
        ),
    ],
)
def test_each_problem_names_its_path(field: object, problem: str) -> None:
    assert problems_of(field) == [problem]


def test_every_problem_is_told_at_once() -> None:
    assert problems_of({"name": "a", "type": "text"}, {"name": "b", "type": "list"}) == [
        f"fields[0].type: {ANY_TYPE}; got 'text'",
        f"fields[1].items: {A_LIST_NEEDS_ITEMS}",
    ]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ({"name": "a"}, "fields: 2 fields have the name 'a'; give each its own"),
        ({"name": "b", "sql_name": "a"}, "fields: 2 fields have the column name 'a'; give each its own"),
    ],
    ids=["name", "sql_name"],
)
def test_two_fields_of_one_name_are_refused(second: dict[str, str], problem: str) -> None:
    assert problems_of({"name": "a", "type": "string"}, {"type": "string", **second}) == [problem]


def test_fields_of_one_name_in_two_structs_are_fine() -> None:
    inner = [{"name": "a", "type": "string"}]
    schema_from_json({"fields": [*inner, {"name": "s", "type": "struct", "fields": inner}]})


def test_nesting_ends_at_its_limit() -> None:
    schema_from_json({"fields": [{"name": "a", **a_list(NESTING_MAX)}]})
    (problem,) = problems_of({"name": "a", **a_list(NESTING_MAX + 1)})
    assert problem == f"fields[0]{'.items' * 9}: nested deeper than 10 levels; use type json from here on"


def test_too_many_fields_are_told_once() -> None:
    (problem,) = problems_of(*({"name": f"f{n}", "type": "bool"} for n in range(FIELD_COUNT_MAX + 5)))
    assert problem == "fields[1000]: a schema has at most 1,000 fields, nested ones counted"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "schema: expected an object with `fields`, got null"),
        ([], "schema: expected an object with `fields`, got array"),
        ({}, "fields: expected an array of fields, got nothing"),
        ({"fields": {}}, "fields: expected an array of fields, got object"),
        ({"fields": []}, "fields: expected at least one field"),
    ],
)
def test_what_is_no_schema_is_refused(value: object, problem: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_from_json(value)
    assert str(caught.value) == problem
    assert caught.value.http_status == 400


def test_a_timestamp_without_a_unit_counts_milliseconds() -> None:
    schema = schema_from_json({"fields": [{"name": "at", "type": "timestamp"}]})
    assert schema.fields[0].unit == "millisecond"
