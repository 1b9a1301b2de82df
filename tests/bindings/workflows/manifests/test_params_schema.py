"""The subset of JSON Schema that params are checked with, beside the library that has all of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bindings.workflows.manifests.node import read_tree
from edge.bindings.workflows.manifests.params_schema import ParamsSchema, read_schema
from edge.bindings.workflows.manifests.problems import Problems

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "", "a", "ab", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
KEYWORDS: dict[str, Any] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "minimum": st.integers(-2, 2),
    "maximum": st.integers(-2, 2),
    "exclusiveMinimum": st.integers(-2, 2),
    "exclusiveMaximum": st.integers(-2, 2),
    "minLength": st.integers(0, 3),
    "maxLength": st.integers(0, 3),
    "pattern": st.sampled_from(["^a", "b$", "[ac]"]),
    "minItems": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 2),
    "maxProperties": st.integers(0, 2),
    "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
}
SCHEMAS = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional=KEYWORDS),
    lambda inner: st.fixed_dictionaries(
        {},
        optional=KEYWORDS
        | {
            "items": inner,
            "additionalProperties": inner,
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
        },
    ),
    max_leaves=4,
)


@given(SCHEMAS, VALUES)
@settings(max_examples=300)
def test_it_accepts_what_json_schema_accepts(schema: Any, value: Any) -> None:
    is_good = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (ParamsSchema(schema).problems(value) == []) == is_good


def schema_problems(schema: Any) -> list[str]:
    problems = Problems()
    read_schema(read_tree(json.dumps(schema), "m.json", problems), problems)
    return [problem.text for problem in problems.found]


@given(SCHEMAS)
def test_a_good_schema_has_no_problems(schema: Any) -> None:
    assert schema_problems(schema) == []


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"typ": "string"}, '"typ" is no keyword that params.schema takes. Did you mean "type"?'),
        ({"$ref": "#/x"}, '"$ref" is no keyword that params.schema takes.'),
        ({"type": "text"}, '"type" is one of null, boolean, integer, number, string, array, object'),
        ({"properties": {"a": {"minimum": "1"}}}, "\"minimum\" is a number, got '1'."),
        ({"items": 3}, "A schema is a map, or true or false, got a whole number."),
        ({"required": "a"}, "\"required\" is a list of names, got 'a'."),
        ({"pattern": "("}, '"pattern" is a regular expression (missing )'),
        ({"enum": []}, '"enum" is a list of values, got [].'),
        ({"minLength": -1}, '"minLength" is a whole number from 0, got -1.'),
    ],
)  # fmt: skip
def test_a_bad_schema_is_told(schema: Any, expected: str) -> None:
    (found,) = schema_problems(schema)
    assert found.startswith(expected)


def test_problems_say_where_and_what() -> None:
    schema = ParamsSchema(
        {
            "type": "object",
            "required": ["key"],
            "additionalProperties": False,
            "properties": {"key": {"type": "string"}, "sizes": {"items": {"type": "integer", "minimum": 1}}},
        }
    )
    assert schema.problems({"sizes": [0, "x"], "kez": 1}) == [
        "params.key: is required, and is not there.",
        "params.sizes[0]: expected at least 1, got 0.",
        "params.sizes[1]: expected integer, got 'x'.",
        'params.kez: is not known. Did you mean "key"?',
    ]


def test_defaults_fill_in_what_is_not_given() -> None:
    member = {"type": "object", "properties": {"size": {"default": 3}}}
    schema = ParamsSchema({"properties": {"a": member, "b": {"default": "x"}, "c": {"items": member}}})
    assert schema.with_defaults({"a": {}, "c": [{}, {"size": 4}]}) == {
        "a": {"size": 3},
        "b": "x",
        "c": [{"size": 3}, {"size": 4}],
    }
