"""JSON variables: attributes and indexes as Pyodide's proxies have them, plain data on request."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from edge.runtime.core.js_proxy import JsArray, JsObject, JsProxy, js_value
from edge.runtime.core.js_values import jsnull

DATA = {"a": {"b": [1, {"c": None}]}, "list": [], "class": "x", "to_py": 1}


@pytest.fixture
def proxy() -> Any:
    return js_value(DATA)


def test_attributes_and_indexes_reach_in(proxy: Any) -> None:
    assert proxy.a.b[0] == 1
    assert proxy.a.b[-1].c is jsnull
    assert proxy.class_ == "x"
    assert isinstance(proxy, JsProxy)
    assert isinstance(proxy.a.b, JsArray)
    assert (proxy.constructor.name, proxy.list.constructor.name) == ("Object", "Array")


def test_names_of_pyodide_win_over_keys(proxy: Any) -> None:
    assert proxy.to_py()["to_py"] == 1


def test_subscript_of_an_object_names_the_two_ways(proxy: Any) -> None:
    with pytest.raises(TypeError, match=r"takes no \['a'\] in Python: read \.a, or \.to_py\(\) for a dict\."):
        proxy["a"]
    with pytest.raises(TypeError, match=r"takes no \['a-b'\] in Python: read its attributes, or \.to_py\(\)"):
        proxy["a-b"]


def test_objects_are_not_iterated(proxy: Any) -> None:
    with pytest.raises(TypeError, match="'JsObject' object is not iterable"):
        iter(proxy)
    with pytest.raises(TypeError):
        "a" in proxy  # noqa: B015 - the mistake under test


def test_missing_attribute_says_which_keys_there_are(proxy: Any) -> None:
    with pytest.raises(AttributeError, match=r"^no attribute 'bb'; keys: b$"):
        _ = proxy.a.bb
    assert getattr(proxy, "nope", 1) == 1
    assert not hasattr(proxy, "__len__")


def test_to_py_is_plain_and_a_copy(proxy: Any) -> None:
    plain = proxy.to_py()
    assert plain == DATA
    plain["a"]["b"].append(2)
    assert proxy.a.b.to_py() == [1, {"c": None}]


def test_keys_values_and_entries_are_arrays(proxy: Any) -> None:
    assert list(proxy.object_keys()) == ["a", "list", "class", "to_py"]
    assert proxy.object_values()[0] == proxy.a
    assert {key: value for key, value in proxy.object_entries()}["class"] == "x"  # noqa: C416 - pairs are arrays
    assert proxy.as_object_map()["a"].b[0] == 1


def test_arrays_have_length_slices_and_iteration(proxy: Any) -> None:
    array = proxy.a.b
    assert (len(array), array.length, array[1:][0].c) == (2, 2, jsnull)
    assert [type(item) for item in array] == [int, JsObject]
    assert 1 in array
    with pytest.raises(IndexError):
        array[2]


def test_truth_is_pyodides(proxy: Any) -> None:
    assert not proxy.list
    assert js_value({})
    assert not js_value(None)
    assert js_value(None) is not None


def test_text_is_javascripts(proxy: Any) -> None:
    assert (str(proxy), str(js_value([1, True, None, [2.0]]))) == ("[object Object]", "1,true,,2")


def test_views_of_the_same_data_are_equal(proxy: Any) -> None:
    assert proxy.a == proxy.a
    assert len({proxy.a, proxy.a}) == 1
    assert proxy.a != js_value({"b": [1, {"c": None}]})
    assert copy.deepcopy(proxy).to_py() == DATA


def test_nothing_can_be_set(proxy: Any) -> None:
    with pytest.raises(AttributeError, match=r"read-only; \.a cannot be set"):
        proxy.a = 1
