"""JSON of a command line: what Python's parser lets pass is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.cli.json_argument import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_is_json_is_taken(value: Any, is_ascii: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=is_ascii), "PARAMS") == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NaN", "column 1: NaN is no number of JSON."),
        ('{"a": [1, -Infinity]}', "column 11: -Infinity is no number of JSON."),
        ('["NaN", 1e999]', "column 9: 1e999 is no number that can be kept."),
        ("[-1.5E+400]", "column 2: -1.5E+400 is no number that can be kept."),
        ('{"a": {"b": 1}, "b": ["a"], "\\u0061": 2}', 'column 29: The key "\\u0061" is there already.'),
        ('{"a": {"b": 1, "b": 1}}', 'column 16: The key "b" is there already.'),
        ('{"a" 1}', "column 6: Expecting ':' delimiter."),
    ],
)
def test_what_is_no_json_is_refused_at_its_place(text: str, expected: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        parse_json(text, "PARAMS")
    told, shown, mark = refused.value.message.split("\n")
    assert told == f"not JSON, at line 1, {expected}"
    assert shown == f"  {text}"
    assert shown[mark.index("^")] == text[int(expected.split()[1].rstrip(":")) - 1]
