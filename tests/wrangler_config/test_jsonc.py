"""The JSONC parser: the values json gives, wrangler's error names, and where each value stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wrangler_config.jsonc import parse_jsonc
from edge.wrangler_config.parse import NESTING_MAX, SyntaxProblem

ERRORS = [
    ("", "ValueExpected", 0),
    ("  // nothing\n", "ValueExpected", 13),
    ('{"a" 1}', "ColonExpected", 5),
    ('{"a": 1', "CloseBraceExpected", 7),
    ('{"a": [1', "CloseBracketExpected", 8),
    ("{'a': 1}", "InvalidSymbol", 1),
    ('{"a": yes}', "InvalidSymbol", 6),
    ('{"a": }', "ValueExpected", 6),
    ('{"a": 1 "b": 2}', "CommaExpected", 8),
    ("[1 2]", "CommaExpected", 3),
    ("{1: 2}", "PropertyNameExpected", 1),
    ("{,}", "ValueExpected", 1),
    ('[1 "x', "UnexpectedEndOfString", 3),
    ("[1 2.]", "UnexpectedEndOfNumber", 3),
    ("{} {}", "EndOfFileExpected", 3),
    ('{"a": "x', "UnexpectedEndOfString", 6),
    ('{"a": "x\n"}', "UnexpectedEndOfString", 6),
    ('{"a": "\\q"}', "InvalidEscapeCharacter", 6),
    ('{"a": "\\u12g4"}', "InvalidUnicode", 6),
    ('{"a": "\t"}', "InvalidCharacter", 6),
    ('{"a": 1.}', "UnexpectedEndOfNumber", 6),
    ('{"a": 1e}', "UnexpectedEndOfNumber", 6),
    ("/* open", "UnexpectedEndOfComment", 0),
]


@pytest.mark.parametrize(("text", "name", "offset"), ERRORS, ids=[text for text, _, _ in ERRORS])
def test_error_has_wranglers_name_and_place(text: str, name: str, offset: int) -> None:
    with pytest.raises(SyntaxProblem) as problem:
        parse_jsonc(text)
    assert (problem.value.message, problem.value.offset) == (name, offset)


def test_comments_trailing_commas_and_duplicates() -> None:
    value, _ = parse_jsonc('{ // one\n "a": 1, /* two\n lines */ "b": [1, 2,], "a": {"c": null,}, }')
    assert value == {"a": {"c": None}, "b": [1, 2]}


def test_offsets_are_of_the_member_that_counts() -> None:
    text = '{"a": 0, "b": [10, {"c": 2}], "a": 3}'
    _, offsets = parse_jsonc(text)
    assert {path: text[offset : offset + 3] for path, offset in offsets.items()} == {
        ("a",): '"a"',
        ("b",): '"b"',
        ("b", 0): "10,",
        ("b", 1): '{"c',
        ("b", 1, "c"): '"c"',
    }
    assert offsets["a",] == text.rindex('"a"')


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_bounded(opening: str) -> None:
    with pytest.raises(SyntaxProblem, match=f"nested deeper than {NESTING_MAX} levels"):
        parse_jsonc(opening * 100_000)


def test_an_integer_too_long_for_python_becomes_a_float() -> None:
    assert parse_jsonc("9" * 10_000)[0] == float("inf")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_json_writes(value: object, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    assert parse_jsonc(text)[0] == json.loads(text)


@given(json_values)
def test_every_member_and_item_has_an_offset(value: object) -> None:
    _, offsets = parse_jsonc(json.dumps(value, indent=1))
    assert set(offsets) == set(_paths(value, ()))


@given(st.text(alphabet="{}[]\",:\\/*u0123.eE-+truefalsn \n'x", max_size=40))
def test_any_text_is_a_value_or_a_syntax_problem(text: str) -> None:
    try:
        value, _ = parse_jsonc(text)
    except SyntaxProblem as problem:
        assert 0 <= problem.offset <= len(text)  # noqa: PT017 - not every text is refused
    else:
        json.dumps(value)


@given(st.text(alphabet='{}[]",:\\u0123.eE- atrue', max_size=30))
def test_accepts_whatever_json_accepts(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        return
    assert parse_jsonc(text)[0] == expected


def _paths(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, member in inner for found in [(*path, key), *_paths(member, (*path, key))]]
