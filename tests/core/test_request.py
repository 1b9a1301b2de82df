"""Request: made by hand and from the wire, its members and errors."""

from __future__ import annotations

import copy
import json
from http import HTTPMethod
from typing import TYPE_CHECKING, Any

import pytest

from edge import FormData, Request
from edge.runtime.core import js_shim as js
from edge.runtime.core.body import Body
from edge.runtime.core.errors import BindingError
from edge.runtime.core.js_values import jsnull
from edge.runtime.core.request import incoming_request, wire_headers, wire_method, wire_request_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


async def chunks() -> AsyncIterator[bytes]:
    yield b"on"
    yield b"e"


def post(body: str = "hello", **options: Any) -> Request:
    return Request("https://t.com", method="POST", body=body, **options)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://t.com", "https://t.com/"),
        ("HTTPS://T.com:443/a/../b c?q=ü#f", "https://t.com/b%20c?q=%C3%BC#f"),
        ("http://t.com:8080/a%2Fb/./c", "http://t.com:8080/a%2Fb/c"),
        ("http://user:pa ss@t.com\\x", "http://user:pa%20ss@t.com/x"),
        ("http://[::0001]/", "http://[::1]/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        (" \nhttp://t.com/ ", "http://t.com/"),
    ],
)
def test_url_is_normalised(given: str, url: str) -> None:
    assert Request(given).url == url


@pytest.mark.parametrize("url", ["zz", "", "/x", "http://", "http://a b/", "http://t.com:99999/", "http://[::x]/"])
def test_bad_url_is_refused(url: str) -> None:
    with pytest.raises(BindingError) as caught:
        Request(url)
    assert (str(caught.value), isinstance(caught.value, TypeError)) == (f"TypeError: Invalid URL: {url}", True)


def test_method() -> None:
    request = Request("https://t.com", method="post")
    assert (request.method, request.method == "POST", f"{request.method}") == (HTTPMethod.POST, True, "POST")
    assert Request("https://t.com", method=HTTPMethod.PUT).method is HTTPMethod.PUT
    assert Request("https://t.com").method == "GET"


def test_a_method_outside_the_enum_is_a_key_error_but_is_kept() -> None:
    request = incoming_request("PROPFIND", "http://t.com/", [])
    assert wire_method(request) == "PROPFIND"
    with pytest.raises(KeyError, match="PROPFIND"):
        _ = request.method


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"body": "x"}, "Request with a GET or HEAD method cannot have a body."),
        ({"body": "x", "method": "HEAD"}, "Request with a GET or HEAD method cannot have a body."),
        ({"method": "a b"}, "Invalid HTTP method string: A B"),
        ({"redirect": "error"}, 'Invalid redirect value, must be one of "follow" or "manual"'),
        ({"headers": {"a b": "x"}}, "Invalid header name."),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(BindingError) as caught:
        Request("https://t.com", **options)
    assert str(caught.value).startswith(f"TypeError: {text}")


def test_options_are_keywords() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        Request("https://t.com", {"method": "POST"})  # type: ignore[call-arg]  # the mistake under test


def test_a_js_request_is_wrapped_without_options_only() -> None:
    inner = js.Request.new("https://t.com", {"method": "PUT"})
    assert Request(inner).method == "PUT"
    with pytest.raises(ValueError, match=r"^Expected no options when constructing Request from a js\.Request$"):
        Request(inner, method="POST")


def test_body_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Unsupported type in Request: dict$"):
        post({})  # type: ignore[arg-type]  # the mistake under test


async def test_body_implies_a_content_type() -> None:
    assert post().headers["content-type"] == "text/plain;charset=UTF-8"
    assert post(headers={"content-type": "x/y"}).headers["content-type"] == "x/y"
    assert (await post(FormData({"a": "b"})).form_data())["a"] == "b"  # type: ignore[arg-type]  # a form, not str


async def test_a_copy_takes_over_the_body() -> None:
    first = post(headers={"x-a": "b"})
    second = Request(first, redirect="manual")
    assert (second.method, second.headers["x-a"], second.redirect, await second.text()) == (
        "POST",
        "b",
        "manual",
        "hello",
    )
    assert first.body_used
    with pytest.raises(OSError, match=r"^Body already used$"):
        Request(first)


async def test_every_way_to_read() -> None:
    assert await post().text() == "hello"
    assert await post().bytes() == b"hello"
    assert (await post().buffer()).to_bytes() == b"hello"
    assert (await post().blob()).size == 5
    assert await post('{"a": 1.5}').json(parse_float=str) == {"a": "1.5"}
    assert [bytes(chunk) async for chunk in post().body] == [b"hello"]


async def test_text_is_utf8_without_a_mark() -> None:
    request = incoming_request("POST", "http://t.com/", [], Body(b"\xef\xbb\xbfa\xff"))
    assert await request.text() == "a\ufffd"


async def test_json_is_a_plain_dict_decoded_by_the_doorways_decoder() -> None:
    seen: list[str] = []

    def decode(text: str) -> Any:
        seen.append(text)
        return json.loads(text)

    request = incoming_request("POST", "http://t.com/", [], Body(b'{"a": 1}'), decode_json=decode)
    assert type(await request.json()) is dict
    assert seen == ['{"a": 1}']


@pytest.mark.parametrize("body", [None, Body(b""), Body(b"{")], ids=["none", "empty", "bad"])
async def test_no_json_is_a_decode_error(body: Body | None) -> None:
    with pytest.raises(json.JSONDecodeError):
        await incoming_request("POST", "http://t.com/", [], body).json()


async def test_a_body_is_read_once() -> None:
    request = post()
    await request.text()
    for read in (request.text, request.bytes, request.json, request.buffer, request.blob, request.form_data):
        with pytest.raises(OSError, match=r"^Body already used$"):
            await read()
    with pytest.raises(OSError, match=r"^Body already used$"):
        request.clone()


async def test_no_body_is_null_and_reads_empty() -> None:
    request = Request("https://t.com")
    assert request.body is jsnull
    assert not request.body
    assert (await request.text(), await request.text(), request.body_used) == ("", "", False)


async def test_a_streamed_body_arrives_in_chunks() -> None:
    request = incoming_request("POST", "http://t.com/", [], Body(chunks=chunks()))
    assert [chunk.to_bytes() async for chunk in request.body] == [b"on", b"e"]
    assert request.body_used


async def test_a_reader_reads_chunk_by_chunk() -> None:
    reader = incoming_request("POST", "http://t.com/", [], Body(chunks=chunks())).body.getReader()
    assert [(r.done, r.value) for r in [await reader.read() for _ in range(3)]] == [
        (False, b"on"),
        (False, b"e"),
        (True, None),
    ]


async def test_a_streamed_body_is_sent_as_it_is_made() -> None:
    body = wire_request_body(post(chunks()))  # type: ignore[arg-type]  # a stream, not str
    assert body is not None
    assert (body.whole, body.size_bytes) == (None, None)
    assert await body.read() == b"one"


async def test_clones_of_a_stream_read_the_same() -> None:
    request = incoming_request("POST", "http://t.com/", [(b"x-a", b"b")], Body(chunks=chunks()))
    clone = request.clone()
    assert (clone.url, clone.headers["x-a"]) == ("http://t.com/", "b")
    assert [await clone.text(), await request.text()] == ["one", "one"]


async def test_form_data_needs_a_form() -> None:
    form = await incoming_request("POST", "http://t.com/", FORM, Body(b"a=1&a=2&b=")).form_data()
    assert form.get_all("a") == ["1", "2"]
    with pytest.raises(TypeError, match=r"Unrecognized Content-Type header value\. FormData can only parse"):
        await post().form_data()
    with pytest.raises(TypeError, match="requires a Content-Type header"):
        await incoming_request("POST", "http://t.com/", [], Body(b"")).form_data()


def test_a_request_from_the_wire_is_kept_as_received() -> None:
    pairs = [(b"X-A", b"1"), (b"x-a", b"2"), (b"Cookie", b"a=1"), (b"cookie", b"b=2")]
    request = incoming_request("GET", "http://t.com/a%2Fb//../c", pairs, cf={"colo": "x"})
    assert (request.url, request.cf) == ("http://t.com/a%2Fb//../c", {"colo": "x"})
    assert dict(request.headers) == {"x-a": "1, 2", "cookie": "a=1; b=2"}
    assert wire_headers(request) is pairs
    with pytest.raises(TypeError, match="Can't modify immutable headers"):
        request.headers["x"] = "y"


def test_wire_headers_of_a_made_request() -> None:
    assert wire_headers(Request("https://t.com", headers={"X-A": "é"})) == [(b"x-a", "é".encode())]


def test_plain_members() -> None:
    request = Request("https://t.com", cf={"a": 1}, unknown=1)
    names = ("cache", "credentials", "destination", "integrity", "keepalive", "mode", "referrer", "referrer_policy")
    assert all(hasattr(request, name) for name in names)
    assert (request.cf, request.is_history_navigation, request.redirect) == ({"a": 1}, False, "follow")
    assert Request("https://t.com").cf is None
    assert repr(post()) == "Request(method='POST', url='https://t.com/')"


async def test_js_request_shares_headers_and_body() -> None:
    request = post()
    assert request.js_object.method == "POST"
    assert (await request._js_request.arrayBuffer()).to_bytes() == b"hello"
    assert request.body_used
    request.js_object.headers.set("x-a", "b")
    assert request.headers["x-a"] == "b"
    assert copy.copy(request.js_object).url == "https://t.com/"
