"""Header fields: the Mapping that Python sees and js.Headers over the same store."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

import pytest

from edge.runtime.core.errors import BindingError
from edge.runtime.core.headers import JsHeaders, headers_of, headers_of_wire
from edge.runtime.core.js_values import jsnull

PAIRS = [("X-B", "1"), ("set-cookie", "a=1"), ("x-b", "2"), ("Accept", "*/*"), ("Set-Cookie", "b=2")]


def test_it_is_a_mapping_and_an_http_message() -> None:
    headers = headers_of(PAIRS)
    assert isinstance(headers, Mapping)
    assert isinstance(headers, http.client.HTTPMessage)


def test_reading_by_name() -> None:
    headers = headers_of(PAIRS)
    assert (headers["X-b"], headers["missing"], headers.get("missing", "d")) == ("1, 2", None, "d")
    assert ("ACCEPT" in headers, "missing" in headers, 5 in headers) == (True, False, False)
    assert (headers.get_all("Set-Cookie"), headers.get_all("x-b")) == (["a=1", "b=2"], ["1, 2"])
    assert (headers.get_all("missing"), headers.get_all("missing", [])) == (None, [])


def test_iteration_gives_sorted_lower_case_names_and_every_cookie() -> None:
    headers = headers_of(PAIRS)
    assert list(headers) == headers.keys() == ["accept", "set-cookie", "set-cookie", "x-b"]
    assert headers.values() == ["*/*", "a=1", "b=2", "1, 2"]
    assert len(headers) == 4
    assert headers.wire_items()[0] == ("x-b", "1, 2")


def test_changing() -> None:
    headers = headers_of({"a": "1"})
    headers["A"] = 2
    headers.append("b", "x")
    headers.add_header("B", "y")
    headers.replace_header("c", True)
    del headers["missing"]
    assert dict(headers) == {"a": "2", "b": "x, y", "c": "true"}
    del headers["a"]
    headers["set-cookie"] = "1"
    headers["Set-Cookie"] = "2"
    assert headers.get_all("set-cookie") == ["2"]


def test_reading_methods_of_http_message() -> None:
    headers = headers_of({"content-type": 'text/HTML; charset="UTF-8"'})
    assert (headers.get_content_type(), headers.get_content_charset()) == ("text/html", "utf-8")
    with pytest.raises(AttributeError, match="no attribute 'set_param'"):
        headers.set_param("a", "b")


def test_headers_from_the_wire_are_utf8_else_latin1_and_fixed() -> None:
    headers = headers_of_wire([(b"A", "ü".encode()), (b"B", b"\xfc")])
    assert (headers["a"], headers["b"]) == ("ü", "ü")
    for change in (lambda: headers.append("x", "y"), lambda: headers.__delitem__("a")):
        with pytest.raises(BindingError, match=r"^TypeError: Can't modify immutable headers\.$"):
            change()
    headers.copy()["x"] = "y"


def test_equality_is_a_mappings() -> None:
    assert headers_of({"A": "1"}) == {"a": "1"}
    assert headers_of({"A": "1"}) != {"a": "2"}
    assert headers_of({}) != 5


def test_js_headers() -> None:
    headers = JsHeaders.new(PAIRS)
    assert list(headers) == list(headers.entries()) == headers_of(PAIRS).items()
    assert (headers.get("x-B"), headers.get("set-cookie"), headers.get("missing")) == ("1, 2", "a=1, b=2", jsnull)
    assert (headers.getSetCookie(), headers.has("accept"), headers.has("nope")) == (["a=1", "b=2"], True, False)
    headers.set("accept", "text/html")
    headers.append("accept", "x")
    headers.delete("set-cookie")
    seen: list[tuple[str, str]] = []
    headers.forEach(lambda value, name, _all: seen.append((name, value)))
    assert seen == [("accept", "text/html, x"), ("x-b", "1, 2")]
    assert (list(headers.keys()), list(headers.values())) == (["accept", "x-b"], ["text/html, x", "1, 2"])
    assert JsHeaders.new({"a": "b"}).constructor.name == "Headers"


@pytest.mark.parametrize("call", ["get", "has", "delete"])
def test_js_headers_check_names(call: str) -> None:
    with pytest.raises(BindingError, match=r"^TypeError: Invalid header name\.$"):
        getattr(JsHeaders.new(), call)("a b")
