"""What detectors find, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.pipelines.processing.detectors import DETECTORS, custom, passes_luhn

FOUND = [
    ("email", "a@b.co", ["a@b.co"]),
    ("email", "to ada.l+x@mail.example.com, please", ["ada.l+x@mail.example.com"]),
    ("email", "no at sign @ here, a@b, x@1.2.3.4", []),
    ("card", "4111 1111 1111 1111", ["4111 1111 1111 1111"]),
    ("card", "id 5500-0000-0000-0004 ok", ["5500-0000-0000-0004"]),
    ("card", "4111111111111112 fails the sum, 1111111111111111 too", []),
    ("ip", "addr 1.2.3.4, 2001:db8::1 and ::1.", ["1.2.3.4", "2001:db8::1", "::1"]),
    ("ip", "12:30:45 and v1.2.3.4.5 and 256.1.1.1", []),
    ("phone", "+1 415 555 2671 or (415) 555-2671", ["+1 415 555 2671", "(415) 555-2671"]),
    ("phone", "4155552671, 2026-11-21, 2026-11-21 10:00, 192.168.100.200", []),
    ("jwt", "t=eyJhbGciOi.eyJzdWIiOiI.abc-_;", ["eyJhbGciOi.eyJzdWIiOiI.abc-_"]),
    ("bearer", "Authorization: Bearer abcdefgh.123", ["abcdefgh.123"]),
    ("bearer", "the bearer of news", []),
]


@pytest.mark.parametrize(("name", "text", "expected"), FOUND)
def test_detectors_find_what_they_are_for(name: str, text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in DETECTORS[name].spans(text)] == expected


@given(st.text(alphabet="0123456789 -", max_size=30))
def test_luhn_agrees_with_the_sum_from_left_to_right(text: str) -> None:
    digits = [int(digit) for digit in text if digit.isdigit()]
    parity = len(digits) % 2
    doubled = [d if i % 2 != parity else sum(divmod(d * 2, 10)) for i, d in enumerate(digits)]
    is_one = 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0
    assert passes_luhn(text) == is_one


@pytest.mark.parametrize(("pattern", "told"), [("(", "is no regular expression"), ("x*", "matches the empty text")])
def test_a_pattern_that_cannot_work_is_refused(pattern: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        custom(pattern)
