"""JSON in SQL: operators, functions, paths, and where they may stand."""

from __future__ import annotations

import decimal
import json
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from edge.bindings.pipelines.schemas.columns_types import JSON_MARK
from edge.bindings.pipelines.sql.engine import compile_insert
from edge.bindings.pipelines.sql.json_extract import Extractor
from edge.bindings.pipelines.sql.json_kinds import Kind, Want
from edge.bindings.pipelines.sql.rewrite import rewrite
from edge.bindings.pipelines.sql.statements import SqlError, parse_pipeline

DOCUMENT = (
    '{"a": {"b": [10, {"c": "x"}], "n": null}, "s": "text", "i": 42, "f": 1.50, "t": true, '
    '"big": 9007199254740993, "huge": 123456789012345678901234567890.123456789, "e": 1e3, '
    '"inner": "{\\"k\\": [7]}", "camelCase": 1, "0": "key zero", "": "empty key", "u": "\\u00f1\\n"}'
)


def column(*texts: str | None) -> dict[str, Any]:
    return {"value": pa.array(texts, pa.string())}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("value->'a'->'b'->0", "10"),
        ("value->'a'->'b'->1->>'c'", "x"),
        ("value->'a'->'b'", '[10, {"c": "x"}]'),
        ("value->'s'", '"text"'),
        ("value->>'s'", "text"),
        ("value->>'u'", "ñ\n"),
        ("value->>'i'", "42"),
        ("value->>'f'", "1.50"),
        ("value->>'t'", "true"),
        ("value->>'a'", '{"b": [10, {"c": "x"}], "n": null}'),
        ("value->'a'->'n'", None),
        ("value->'a'->>'n'", None),
        ("json_get_json(value, 'a', 'n')", "null"),
        ("value->'nothing'", None),
        ("value->'s'->'deeper'", None),
        ("value->'a'->'b'->5", None),
        ("value->'a'->'b'->-1", None),
        ("value->'a'->'b'->'0'", None),
        ("value->0", None),
        ("value->>'0'", "key zero"),
        ("value->>''", "empty key"),
        ("value->>'camelCase'", "1"),
        ("value->>'inner'->'k'->0", "7"),
        ("value->'inner'->'k'", None),
        ("value ? 'a'", True),
        ("value ? 'nothing'", False),
        ("value->'a' ? 'n'", True),
        ("json_contains(value, 'a', 'b', 1)", True),
        ("json_contains(value, 'a', 'b', 2)", False),
        ("json_length(value)", 13),
        ("json_length(value, 'a', 'b')", 2),
        ("json_length(value, 's')", None),
        ("json_get_int(value, 'i')", 42),
        ("json_get_int(value, 'f')", None),
        ("json_get_int(value, 's')", None),
        ("json_get_int(value, 'big')", 9007199254740993),
        ("json_get_int(value, 'huge')", None),
        ("json_get_float(value, 'i')", 42.0),
        ("json_get_float(value, 'e')", 1000.0),
        ("json_get_bool(value, 't')", True),
        ("json_get_bool(value, 'i')", None),
        ("json_get_str(value, 's')", "text"),
        ("json_get_str(value, 'i')", None),
        ("json_as_text(value, 'a', 'b', 0)", "10"),
        ("json_get(json_get(value, 'a'), 'b')->0", "10"),
        ("json_get_json(value, 'a')->'b'->0", "10"),
        ("(value->'big')::BIGINT + 1", 9007199254740994),
        ("(value->'huge')::DECIMAL(38, 8)", decimal.Decimal("123456789012345678901234567890.12345679")),
        ("CAST(value->'f' AS DECIMAL(10, 2))", decimal.Decimal("1.50")),
        ("(value->'i')::VARCHAR", "42"),
        ("(value->'s')::VARCHAR", "text"),
        ("(value->'t')::BOOLEAN", True),
        ("(value->'i')::DOUBLE / 4", 10.5),
        ("(value->'i')::SMALLINT", 42),
        ("TRY_CAST(value->'s' AS INT)", None),
        ("((value)->'a')->('b')->(0)", "10"),
        ("CASE WHEN value->>'s' = 'text' THEN value->'i' ELSE value->'f' END", "42"),
        ("coalesce(value->>'nothing', value->>'s')", "text"),
        ("value->>'s' || '!'", "text!"),
        ("value->>'s' LIKE 'te%' AND NOT value->>'i' = '1'", True),
        ("value->>'s' IN ('a', 'text')", True),
        ("upper(value->>'s')", "TEXT"),
        ("[value->>'s', value->>'i'][2]", "42"),
        ("value->'a' IS NOT NULL", True),
        ("(value->'i')::int BETWEEN 40 AND 50", True),
        ("concat('{\"z\": ', '[1, 2]}')->'z'->1", "2"),
        ("value->lower('S')", '"text"'),
        ("value->'a'->>concat('b', '')", '[10, {"c": "x"}]'),
        ("json_get_int(value->'a'->'b', 1 - 1)", 10),
        ("extract_json(value, '$.a.b[*]')", ["10", '{"c": "x"}']),
        ("extract_json(value, '$.nothing')", []),
        ("extract_json_string(value, '$.a.b[1].c')", "x"),
        ("extract_json_string(value, '$.i')", None),
        ("extract_json_string(value, '$..c')", "x"),
        ("extract_json(value->'a', '$.b[?@.c == \"x\"].c')", ['"x"']),
    ],
)
def test_json_expression_gives(expression: str, expected: Any, value: Any) -> None:
    assert value(expression, column(DOCUMENT)) == expected


@pytest.mark.parametrize("kind", ["->'a'", "->>'a'", " ? 'a'"])
@pytest.mark.parametrize("text", [None, "", "{", "nope", "{'a': 1}", "[" * 5000, '{"a": 1} trailing', "NaN"])
def test_what_is_no_json_gives_null(kind: str, text: str | None, value: Any) -> None:
    assert value(f"value{kind}", column(text)) is None


def test_bad_documents_do_not_disturb_their_neighbours(rows: Any) -> None:
    texts = ['{"a": {"b": 1}}', "nope", '{"a": 5}', None, "[1]", '{"a": {"b": "\\ud800"}}', '{"a": {"b": 2}}']
    found = rows("SELECT value->'a'->>'b' AS b, json_get_int(value, 'a', 'b') AS n FROM s", column(*texts))
    assert [row["b"] for row in found] == ["1", None, None, None, None, None, "2"]
    assert [row["n"] for row in found] == [1, None, None, None, None, None, 2]


def test_a_key_with_escapes_is_the_same_key(value: Any) -> None:
    assert value("value->'a'", column('{"\\u0061": 1}')) == "1"


@pytest.mark.parametrize(
    ("expression", "is_json"),
    [
        ("j", True),
        ("value->'a'", True),
        ("json_get_json(value, 'a')", True),
        ("replace(value, 'x', 'y')->'a'", True),
        ("value", False),
        ("value->>'a'", False),
        ("upper(j)", False),
        ("TRY_CAST(j AS INT)", False),
        ("(value->'a')::VARCHAR", False),
    ],
)
def test_json_values_are_marked_for_sinks_and_texts_are_not(expression: str, is_json: bool) -> None:
    schema = pa.schema([pa.field("j", pa.string(), metadata=JSON_MARK), ("value", pa.string())])
    (insert,) = parse_pipeline(f"INSERT INTO k SELECT {expression} AS x FROM s")
    compiled = compile_insert(insert, schema, started_at=0)
    assert compiled.output_schema.field("x").metadata == (JSON_MARK if is_json else None)


def test_repeated_key_means_the_last_one(value: Any) -> None:
    assert value("value->'a'", column('{"a": 1, "a": 2}')) == "2"


@pytest.mark.parametrize(
    "select",
    [
        "SELECT value->'a'->>'b' AS x FROM s WHERE value->>'k' = 'yes'",
        "SELECT v->'a'->>'b' AS x FROM (SELECT value AS v FROM s) t WHERE v->>'k' = 'yes'",
        "SELECT t.v->>'b' AS x FROM (SELECT value->'a' AS v, value->>'k' AS k FROM s) t WHERE k = 'yes'",
        "WITH t AS (SELECT * FROM s WHERE value->>'k' = 'yes') SELECT t.value->'a'->>'b' AS x FROM t",
        """WITH t AS (SELECT value FROM s), u AS (SELECT value->'a' AS a, value FROM t)
        SELECT a->>'b' AS x FROM u WHERE value->>'k' = 'yes'""",
    ],
)
def test_paths_are_extracted_in_one_pass_through_every_level(select: str, rows: Any) -> None:
    texts = ['{"a": {"b": "x"}, "k": "yes"}', '{"a": {"b": "y"}, "k": "no"}']
    assert rows(select, column(*texts)) == [{"x": "x"}]
    (insert,) = parse_pipeline(f"INSERT INTO k {select}")
    rewritten = rewrite(insert, list(pa.schema([("value", pa.string())])), ["h"], 0)
    assert list(rewritten.shreds) == ["value"]
    assert not rewritten.calls


def test_computed_documents_are_read_by_a_call(rows: Any) -> None:
    select = "SELECT v->>'a' AS x FROM (SELECT replace(value, 'b', 'a') AS v FROM s) t"
    assert rows(select, column('{"b": 1}')) == [{"x": "1"}]


def test_an_unnamed_json_column_is_called_as_it_is_written(rows: Any) -> None:
    (row,) = rows("SELECT value->>'s', value -> 'i' FROM s", column(DOCUMENT))
    assert row == {"value->>'s'": "text", "value -> 'i'": "42"}


@pytest.mark.parametrize(
    ("expression", "message", "place"),
    [
        ("value->'a' = 'x'", "This is a JSON value, which has no type", "value"),
        ("1 < value->'a'", "This is a JSON value, which has no type", "value"),
        ("value->'a' + 1", "'a' + 1 binds tighter than ->", "'a'"),
        ("(value->'a') + 1", "This is a JSON value, which has no type", "(value"),
        ("value->'a' IN ('x')", "This is a JSON value, which has no type", "value"),
        ("value->'a' LIKE 'x'", "This is a JSON value, which has no type", "value"),
        ("value->'a'::int", "'a'::int binds tighter than ->", "'a'"),
        ("'x' || value->>'a'", "'x' || value binds tighter than ->>", "'x'"),
        ("upper('x' || value->>'a')", "'x' || value binds tighter than ->>", "'x'"),
        ("n->'a'", "JSON is read from text, and n is int64.", "n"),
        ("st->'a'", "JSON is read from text, and st is struct<a: int64>: write st.field.", "st"),
        ("json_get()", "json_get() takes a document and the steps", "json_get"),
        ("extract_json(value)", "extract_json() takes a document and a JSONPath", "extract_json"),
        ("extract_json(value, n)", "The JSONPath of extract_json() is a string", "n"),
        ("extract_json(value, '$[')", "'$[' is no JSONPath", "'$["),
        ("extract_json(value, 'a')", "'a' is no JSONPath", "'a'"),
    ],
)
def test_json_that_means_nothing_is_refused_with_its_place(expression: str, message: str, place: str) -> None:
    sql = f"INSERT INTO k SELECT {expression} AS x FROM s"
    (insert,) = parse_pipeline(sql)
    schema = pa.schema([("value", pa.string()), ("n", pa.int64()), ("st", pa.struct([("a", pa.int64())]))])
    with pytest.raises(SqlError) as caught:
        compile_insert(insert, schema, started_at=0)
    assert caught.value.message.startswith(message)
    assert sql[caught.value.column - 1 :].startswith(place)


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_any_layout_of_text_is_read(type_: pa.DataType, value: Any) -> None:
    texts = {"value": pa.array(['{"a": 1}'], type_)}
    assert value("value->'a'", texts) == "1"
    assert value("replace(value, 'a', 'b')->'b'", texts) == "1"


# Against a plain model: parse the document, walk the path, look at the type

KEYS = st.sampled_from(["a", "b", "", "0", "ñ", 'q"', "line\n"])
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
PATHS = st.lists(KEYS | st.integers(0, 3), max_size=3)
KINDS: list[Kind] = ["value", "text", "json", "str", "str_or_empty", "int", "bool", "length", "contains"]
NOWHERE = object()


def expected_of(kind: Kind, document: Any, path: list[str | int]) -> Any:
    at = document
    for step in path:
        if isinstance(step, str):
            at = at.get(step, NOWHERE) if isinstance(at, dict) else NOWHERE
        else:
            at = at[step] if isinstance(at, list) and step < len(at) else NOWHERE
    is_there = at is not NOWHERE
    as_json = json.dumps(at, ensure_ascii=False) if is_there else None
    return {
        "value": None if at is None else as_json,
        "text": at if isinstance(at, str) else None if at is None else as_json,
        "json": as_json,
        "str": at if isinstance(at, str) else None,
        "str_or_empty": at if isinstance(at, str) else None if is_there else "",
        "int": at if type(at) is int and -(2**63) <= at < 2**63 else None,
        "bool": at if isinstance(at, bool) else None,
        "length": len(at) if isinstance(at, list | dict) else None,
        "contains": is_there,
    }[kind]


@given(st.lists(DOCUMENTS, max_size=4), st.lists(st.tuples(st.sampled_from(KINDS), PATHS), min_size=1, max_size=6))
def test_extraction_agrees_with_walking_the_parsed_document(
    documents: list[Any], wants: list[tuple[Kind, list[str | int]]]
) -> None:
    texts = pa.array([json.dumps(each, ensure_ascii=False) for each in documents], pa.string())
    arrays = Extractor([Want(kind, tuple(path)) for kind, path in wants]).extract(texts)
    assert [array.to_pylist() for array in arrays] == [
        [expected_of(kind, document, path) for document in documents] for kind, path in wants
    ]


@given(st.text(max_size=30))
def test_any_text_is_json_or_null(text: str) -> None:
    try:
        is_json = json.loads(text, parse_constant=lambda _: 1 / 0) is not NOWHERE
    except (ValueError, ZeroDivisionError, RecursionError):
        is_json = False
    (array,) = Extractor([Want("contains", ())]).extract(pa.array([text]))
    assert array.to_pylist() == [True if is_json else None]
