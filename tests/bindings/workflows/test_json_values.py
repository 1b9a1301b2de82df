"""What the API and the commands show of values that JSON has no word for."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from edge.bindings.workflows.rest.json_values import json_text, json_value, output_text, output_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([math.nan, math.inf, -math.inf, 1.5], [None, None, None, 1.5]),
        ({"a": {math.nan}}, {"a": [None]}),
        ({math.nan: 1, True: 2, None: 3, (1, 2): 4}, {"nan": 1, "True": 2, "None": 3, "(1, 2)": 4}),
        (10**5000, hex(10**5000)),
        ({10**5000: [-(10**5000)]}, {hex(10**5000): [hex(-(10**5000))]}),
        (2**70, 2**70),
        (True, True),
    ],
    ids=["not finite", "in a set", "keys", "large", "large inside", "70 bits", "bool"],
)
def test_what_is_shown_is_json_for_every_reader(value: Any, shown: Any) -> None:
    assert json_value(value) == shown
    assert json.loads(json_text(json_value(value)), parse_constant=pytest.fail) == shown


def test_an_output_that_is_no_number_is_null() -> None:
    assert output_value(math.nan) is output_text(math.inf) is None
    assert output_value([math.nan, math.inf]) == output_text([math.nan, math.inf]) == "[null,null]"
