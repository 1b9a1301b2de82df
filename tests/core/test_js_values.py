"""How JavaScript writes what Python code passes."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import Response
from edge.runtime.core.js_values import js_string, jsnull

NUMBERS = {
    0.0: "0",
    1.0: "1",
    -2.5: "-2.5",
    0.1: "0.1",
    1e-6: "0.000001",
    -1.234e-5: "-0.00001234",
    1e-7: "1e-7",
    1.5e-10: "1.5e-10",
    5e-324: "5e-324",
    123456789012345680000.0: "123456789012345680000",
    1.5e20: "150000000000000000000",
    1e21: "1e+21",
    1.5e300: "1.5e+300",
    sys.float_info.max: "1.7976931348623157e+308",
    math.inf: "Infinity",
    -math.inf: "-Infinity",
}
"""Source: ECMAScript, "Number::toString"; seen in Node 22."""


@pytest.mark.parametrize(("value", "text"), NUMBERS.items(), ids=NUMBERS.values())
def test_numbers(value: float, text: str) -> None:
    assert js_string(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(math.nan, "NaN"), (-0.0, "0"), (True, "true"), (None, "null"), (jsnull, "null"), (2**70, str(2**70))],
    ids=str,
)
def test_other_values(value: object, text: str) -> None:
    assert js_string(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert float(js_string(value)) == value


def test_a_header_is_written_as_javascript_writes_it() -> None:
    assert Response("", headers={"x-rate": 1e21}).headers["x-rate"] == "1e+21"
