"""The syntax of .env, as the npm package dotenv reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wrangler_config.dotenv import expand, parse_dotenv

LINES = [
    ("A=plain", {"A": "plain"}),
    ("A = spaced  ", {"A": "spaced"}),
    ("  export A=x", {"A": "x"}),
    ("A: yaml", {"A": "yaml"}),
    ("A=", {"A": ""}),
    ("A=x # comment", {"A": "x"}),
    ("# A=x", {}),
    ("A='as # it\\n is'", {"A": "as # it\\n is"}),
    ('A="line\\nbreak" # c', {"A": "line\nbreak"}),
    ('A="real\nlines"\nB=2', {"A": "real\nlines", "B": "2"}),
    ('A=`it\'s "so"`', {"A": 'it\'s "so"'}),
    ('A="say \\"hi\\""', {"A": 'say \\"hi\\"'}),
    ('A={"x": "#1"}', {"A": '{"x": "'}),
    ('A=\'{"x": "#1"}\'', {"A": '{"x": "#1"}'}),
    ("A=1\nA=2", {"A": "2"}),
    ("A=\nB=2", {"A": "", "B": "2"}),
    ("not an assignment\nB=2", {"B": "2"}),
    ("a.b-c=1", {"a.b-c": "1"}),
    ("A=it's", {"A": "it's"}),
]


@pytest.mark.parametrize(("text", "expected"), LINES, ids=[text for text, _ in LINES])
def test_reads_as_dotenv_does(text: str, expected: dict[str, str]) -> None:
    assert parse_dotenv(text) == expected


def test_expansion() -> None:
    values = {"A": "1", "B": "${A}-$A", "C": "${NO:-d}${NO}", "D": "\\$A", "E": "${OUT}", "F": "${LATER}", "LATER": "l"}
    assert expand(values, {"OUT": "o"}) == {
        "A": "1",
        "B": "1-1",
        "C": "d",
        "D": "$A",
        "E": "o",
        "F": "l",
        "LATER": "l",
    }


@given(st.text(alphabet="Ab=\"'`#$\\ \n{}:-x", max_size=80))
def test_any_text_gives_strings(text: str) -> None:
    values = parse_dotenv(text)
    assert all(isinstance(v, str) for v in expand(values, {}).values())
