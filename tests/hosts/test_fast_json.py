"""`loads` of fast_json and json.loads cannot be told apart, whatever the text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.hosts.fast_json import loads

TEXTS: list[Any] = [
    *(
        '{"a":1,"b":2,"a":3}',
        "-0",
        "-0.0",
        "1e400",
        "1e-400",
        "9007199254740993.0",
        "1E5",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
    ),
    *("123456789012345678901234567890", "-9223372036854775809", "18446744073709551616", "0.1000000000000000055511"),
    *("NaN", "[Infinity]", "-Infinity", "", "  ", "1 2", "[1,]", '{"a":}', "nul", '"\\x"', '{"a" 1}', "[1\x0b]"),
    *('"\\ud800"', '"\\ud83d\\ude00"', '"\\uD83D\\u0041"', '"\ud800"', '"a\x01b"', '"a\tb"', '"\x7f\u2028"', "\ufeff1"),
    *(b"\xef\xbb\xbf1", "1".encode("utf-16"), b"1\x00", b'"\xff"', b'"\xed\xa0\x80"', bytearray(b"[1]")),
    *("[" * 500 + "]" * 500, "1" * 5000, pytest.param(memoryview(b"1"), id="memoryview"), None, 1),
]


def outcome(function: Any, data: Any) -> tuple[str, str]:
    try:
        value = function(data)
    except Exception as error:  # noqa: BLE001 - whichever it is, is compared
        return type(error).__name__, str(error)
    return type(value).__name__, repr(value)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text)[:30])
def test_reads_and_refuses_as_the_standard_library_does(text: Any) -> None:
    assert outcome(loads, text) == outcome(json.loads, text)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values, st.booleans())
def test_every_value_json_can_write_is_read_the_same(value: Any, ensure_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ensure_ascii)
    assert outcome(loads, text) == outcome(json.loads, text)


@given(st.text('[]{}",:\\u0123456789abcdefEtruen-+. \t', max_size=40))
def test_every_near_miss_is_refused_the_same(text: str) -> None:
    assert outcome(loads, text) == outcome(json.loads, text)
    assert outcome(loads, text.encode()) == outcome(json.loads, text.encode())
