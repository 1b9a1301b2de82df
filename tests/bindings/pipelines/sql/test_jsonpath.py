"""JSONPath: what each selector leads to, and what is none."""

from __future__ import annotations

import pytest

from edge.bindings.pipelines.sql.jsonpath import find_all, parse_jsonpath
from edge.bindings.pipelines.sql.jsonpath_filter import JsonPathError

STORE = (
    b'{"store": {"book": [{"t": "A", "p": 8.95}, {"t": "B", "p": 12.99, "i": "x"}, {"t": "C", "p": 22.990}], '
    b'"bicycle": {"p": 399}}, "max": 10, "o\'k": 1, "n": null, "e": {}}'
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [STORE.decode()]),
        ("$.max", ["10"]),
        ("$['max']", ["10"]),
        ('$["max"]', ["10"]),
        ("$['o\\'k']", ["1"]),
        ("$.n", ["null"]),
        ("$.nothing", []),
        ("$.max.deeper", []),
        ("$.store.book[0].t", ['"A"']),
        ("$.store.book[-1].t", ['"C"']),
        ("$.store.book[3].t", []),
        ("$.store.book[-4].t", []),
        ("$.store.book[*].p", ["8.95", "12.99", "22.990"]),
        ("$.store.book.*.t", ['"A"', '"B"', '"C"']),
        ("$..p", ["8.95", "12.99", "22.990", "399"]),
        ("$..book[0]['t', 'p']", ['"A"', "8.95"]),
        ("$.store.book[0, 2].t", ['"A"', '"C"']),
        ("$.store.book[1:].t", ['"B"', '"C"']),
        ("$.store.book[:2].t", ['"A"', '"B"']),
        ("$.store.book[::-1].t", ['"C"', '"B"', '"A"']),
        ("$.store.book[0:3:2].t", ['"A"', '"C"']),
        ("$.store.book[::0].t", []),
        ("$.store.book[?@.p > 10].t", ['"B"', '"C"']),
        ("$.store.book[?@.p <= $.max].t", ['"A"']),
        ("$.store.book[?@.i].t", ['"B"']),
        ("$.store.book[?!@.i].t", ['"A"', '"C"']),
        ("$.store.book[?@.t == 'A' || @.t == \"C\"].p", ["8.95", "22.990"]),
        ("$.store.book[?(@.p > 8 && @.p < 13) && @.i == 'x'].t", ['"B"']),
        ("$.store.book[?@.t != 'A'].t", ['"B"', '"C"']),
        ("$.store.book[?@.t > 5].t", []),
        ("$.store.book[?@.no == @.neither].t", ['"A"', '"B"', '"C"']),
        ("$.store.book[?@.p == 12.99 && true == true].t", ['"B"']),
        ("$.e.*", []),
    ],
)
def test_path_leads_to(path: str, found: list[str]) -> None:
    assert [each.decode() for each in find_all(parse_jsonpath(path), STORE, STORE)] == found


@pytest.mark.parametrize(
    ("path", "message", "at"),
    [
        ("", "A JSONPath begins with $", 0),
        ("max", "A JSONPath begins with $", 0),
        ("$max", "'max' is no part of a JSONPath", 1),
        ("$.", "'.' is no part of a JSONPath", 1),
        ("$.a b", "' b' is no part of a JSONPath", 3),
        ("$.[0]", "Expected a name or * after the dot", 2),
        ("$[", "Expected a name in quotes", 2),
        ("$[0", "Expected , or ]", 3),
        ("$[0 1]", "Expected , or ]", 4),
        ("$[?5]", "Expected a comparison", 4),
        ("$[?length(@) > 1]", "functions are not supported", 3),
        ("$[?(@.a]", "Expected )", 7),
    ],
)
def test_no_jsonpath_is_told_where(path: str, message: str, at: int) -> None:
    with pytest.raises(JsonPathError) as caught:
        parse_jsonpath(path)
    assert message in str(caught.value)
    assert caught.value.at == at
