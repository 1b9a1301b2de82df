"""TOML: the standard library's values, and where each key and item stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wrangler_config.parse import SyntaxProblem, TomlDate, line_and_column
from edge.wrangler_config.toml_text import parse_toml

DOCUMENT = "\n".join(
    [
        "# a comment = [not a table]",
        'name = "demo"   # trailing',
        "dotted.key.\"quoted \\u0041\".'it' = 1",
        'text = """',
        "[not.a.table]",
        'key = 1 \\""""""',
        "raw = '''",
        "[[nor]]'''",
        "list = [ # one",
        '  "a", ["b"], { c = 1, d.e = [2] },',
        "  1979-05-27 07:32:00,",
        "]",
        "",
        "[vars]",
        "A = { x = \"}\" , 'y' = ']' }",
        "[[kv_namespaces]]",
        'binding = "A"',
        "[[kv_namespaces]]",
        'binding = "B"',
        "[kv_namespaces.nested]",
        "deep = true",
        "[env.staging.vars]",
        "B = '#'",
    ]
)


def test_every_key_and_item_is_where_it_is_written() -> None:
    value, offsets = parse_toml(DOCUMENT)
    assert set(offsets) == set(_paths(value, ()))
    places = {path: line_and_column(DOCUMENT, offset) for path, offset in offsets.items()}
    assert places["name",] == (2, 1)
    assert places["dotted", "key", "quoted A", "it"] == (3, 28)
    assert places["list", 1, 0] == (10, 9)
    assert places["list", 2, "d", "e", 0] == (10, 31)
    assert places["list", 3] == (11, 3)
    assert places["vars", "A", "y"] == (15, 17)
    assert places["kv_namespaces", 1, "binding"] == (19, 1)
    assert places["kv_namespaces", 1, "nested", "deep"] == (21, 1)
    assert places["env", "staging", "vars", "B"] == (23, 1)


def test_native_dates_are_kept_apart_from_strings() -> None:
    value, _ = parse_toml("a = 2026-04-01\nb = [07:32:00]\nc = '2026-04-01'")
    assert value == {"a": TomlDate("2026-04-01"), "b": [TomlDate("07:32:00")], "c": "2026-04-01"}


ERRORS = [
    ("name =", "Invalid TOML document: incomplete key-value declaration: no value specified", (1, 7)),
    ("a = 1\nname = \nb = 2", "Invalid TOML document: incomplete key-value declaration: no value specified", (2, 8)),
    ("a = 1\n[b", "Invalid TOML document: Expected ']' at the end of a table declaration", (2, 3)),
    ("a = 1\na = 2", "Invalid TOML document: Cannot overwrite a value", (2, 6)),
]


@pytest.mark.parametrize(("text", "message", "place"), ERRORS, ids=[text for text, _, _ in ERRORS])
def test_error_text_and_place(text: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(SyntaxProblem) as problem:
        parse_toml(text)
    assert (problem.value.message, line_and_column(text, problem.value.offset)) == (message, place)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "[" * 70 + "]" * 70, "a." * 70 + "b = 1"])
def test_nesting_is_bounded(text: str) -> None:
    with pytest.raises(SyntaxProblem, match="Invalid TOML document: nested deeper than 64 levels"):
        parse_toml(text)


def test_an_integer_too_long_for_python_is_refused() -> None:
    with pytest.raises(SyntaxProblem, match="Invalid TOML document"):
        parse_toml("a = " + "9" * 10_000)


@given(st.text(alphabet="ab.=[]{}\"'#, \n1-:\\", max_size=60))
def test_any_text_is_a_value_with_all_its_offsets_or_a_syntax_problem(text: str) -> None:
    try:
        value, offsets = parse_toml(text)
    except SyntaxProblem as problem:
        assert 0 <= problem.offset <= len(text)  # noqa: PT017 - not every text is refused
    else:
        assert set(offsets) == set(_paths(value, ()))


def _paths(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, member in inner for found in [(*path, key), *_paths(member, (*path, key))]]
