"""Response: what it is made of, its errors, and what a doorway sends of it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from edge import Blob, FetchResponse, File, FormData, Request, Response
from edge.runtime.core import js_shim as js
from edge.runtime.core.errors import BindingError
from edge.runtime.core.fetch_errors import BodyUsedError, HttpStatusError
from edge.runtime.core.response import wire_body, wire_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RANGE = "Responses may only be constructed with status codes in the range 200 to 599, inclusive."
NULL_BODY = "Response with null body status (101, 204, 205, or 304) cannot have a body."


async def ticks() -> AsyncIterator[bytes | str]:
    yield b"one "
    yield "zwö"


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (None, None, None),
        ("hello", b"hello", "text/plain;charset=UTF-8"),
        ("Grüße", "Grüße".encode(), "text/plain;charset=UTF-8"),
        ("\ud800", b"\xef\xbf\xbd", "text/plain;charset=UTF-8"),
        (b"\0\xff", b"\0\xff", None),
        (Blob("x", "image/png"), b"x", "image/png"),
        (js.URLSearchParams.new({"a": "b c"}), b"a=b+c", "application/x-www-form-urlencoded;charset=UTF-8"),
        (js.Uint8Array.new(b"ab"), b"ab", None),
    ],
    ids=["none", "ascii", "text", "surrogate", "bytes", "blob", "search params", "typed array"],
)
async def test_body_and_the_type_it_implies(body: Any, sent: bytes | None, content_type: str | None) -> None:
    response = Response(body)
    assert dict(wire_head(response)[2]).get("content-type") == content_type
    assert response.headers["content-type"] == content_type
    found = wire_body(response)
    assert (found and found.whole) == sent


async def test_form_data_becomes_multipart() -> None:
    response = Response(FormData({"a": "b"}))
    assert (response.headers["content-type"] or "").startswith("multipart/form-data; boundary=")
    assert dict((await response.form_data()).items()) == {"a": "b"}


async def test_async_iterator_streams() -> None:
    body = wire_body(Response(ticks()))
    assert body is not None
    assert body.whole is None
    assert [chunk async for chunk in body.chunks()] == [b"one ", "zwö".encode()]


async def test_streamed_chunk_of_another_type_is_refused() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="A streamed body is made of bytes or str, got int"):
        await Response(numbers()).bytes()


async def test_leaving_a_streamed_body_closes_its_source() -> None:
    closed = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append(True)

    body = wire_body(Response(source()))
    assert body is not None
    chunks: Any = body.chunks()
    assert await anext(chunks) == b"1"
    await chunks.aclose()
    assert closed == [True]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "dict"),
        ([], "list"),
        (1, "int"),
        (bytearray(), "bytearray"),
        (memoryview(b""), "memoryview"),
        ((c for c in "x"), "generator"),
        (Response("x"), "Response"),
        (object(), "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_types_are_refused_by_name(body: Any, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        Response(body)
    assert str(caught.value) == f"Unsupported type in Response: {name}"


@pytest.mark.parametrize("status", [1, 99, 100, 101, 199, 600, -1])
def test_status_out_of_range_is_refused(status: int) -> None:
    with pytest.raises(BindingError) as caught:
        Response("x", status)
    assert str(caught.value) == f"RangeError: {RANGE}"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("given", "status"), [(None, 200), (0, 200), (201, 201), (HTTPStatus.NOT_FOUND, 404), (599, 599)]
)
def test_status(given: Any, status: int) -> None:
    assert Response("x", given).status == status


@pytest.mark.parametrize("status", [204, 205, 304])
def test_null_body_status(status: int) -> None:
    assert wire_body(Response(None, status)) is None
    with pytest.raises(BindingError) as caught:
        Response("x", status)
    assert (str(caught.value), isinstance(caught.value, TypeError)) == (f"TypeError: {NULL_BODY}", True)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"X-A": "b", "x-n": 5}, [("x-a", "b"), ("x-n", "5")]),
        ([("x-a", "1"), ("X-A", "2"), ("Set-Cookie", "a"), ("set-cookie", "b")], None),
        (js.Headers.new({"x-a": "b"}), [("x-a", "b")]),
        ({}, []),
    ],
    ids=["dict", "pairs", "js.Headers", "empty"],
)
def test_headers(headers: Any, sent: list[tuple[str, str]] | None) -> None:
    expected = sent if sent is not None else [("x-a", "1, 2"), ("set-cookie", "a"), ("set-cookie", "b")]
    assert wire_head(Response(None, headers=headers))[2] == expected


@pytest.mark.parametrize("headers", ["a: b", (("a", "b"),), 5, {"a"}], ids=repr)
def test_headers_of_another_type_are_refused(headers: Any) -> None:
    with pytest.raises(TypeError, match=r"^Received unexpected type for headers argument$"):
        Response("x", headers=headers)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"bad name": "x"}, "TypeError: Invalid header name."),
        ({"": "x"}, "TypeError: Invalid header name."),
        ({"é": "x"}, "TypeError: Invalid header name."),
        ({"x": "a\nb"}, "TypeError: Invalid header value."),
        ({"x": "a\0b"}, "TypeError: Invalid header value."),
    ],
)
def test_bad_headers_are_refused(headers: dict[str, str], text: str) -> None:
    with pytest.raises(BindingError) as caught:
        Response("x", headers=headers)
    assert (str(caught.value), isinstance(caught.value, TypeError)) == (text, True)


def test_a_given_content_type_stays() -> None:
    assert Response("x", headers={"Content-Type": "text/html"}).headers["content-type"] == "text/html"


def test_a_web_socket_needs_status_101() -> None:
    assert Response(None, 101, web_socket=object()).status == 101
    with pytest.raises(BindingError, match=r"^RangeError: Responses with a WebSocket must have status code 101\.$"):
        Response(None, web_socket=object())


def test_a_changed_header_is_sent() -> None:
    response = Response("x")
    response.headers["x-a"] = "b"
    response.headers.append("set-cookie", "c")
    assert wire_head(response)[2] == [("content-type", "text/plain;charset=UTF-8"), ("x-a", "b"), ("set-cookie", "c")]


def test_status_text_defaults_to_the_reason_phrase() -> None:
    assert [Response(None, s).status_text for s in (200, 404, 599)] == ["OK", "Not Found", ""]
    assert Response(None, 200, "Fine").status_text == "Fine"
    assert wire_head(Response(None, 200, "Fine"))[:2] == (200, "Fine")
    assert wire_head(Response(None, 404))[:2] == (404, "")


@pytest.mark.parametrize("make", [Response.json, Response.from_json], ids=["json", "from_json"])
async def test_json_on_the_class_makes_a_response(make: Any) -> None:
    response = make({"a": [1, "é"]}, 201)
    assert (response.status, response.headers["content-type"]) == (201, "application/json")
    assert await response.text() == '{"a": [1, "\\u00e9"]}'


async def test_json_keeps_a_given_content_type_and_other_headers() -> None:
    response = Response.json(1, headers={"content-type": "text/x", "x-a": "b"})
    assert (response.headers["content-type"], response.headers["x-a"]) == ("text/x", "b")
    assert Response.json(1, headers={"x-a": "b"}).headers["content-type"] == "application/json"


async def test_json_on_an_instance_reads_the_body() -> None:
    assert await Response('{"a": 1}').json() == {"a": 1}
    with pytest.raises(json.JSONDecodeError):
        await Response("").json()


def test_json_that_cannot_be_written_or_sent() -> None:
    with pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        Response.json(object())
    with pytest.raises(ValueError, match=r"^Responses may only") as caught:
        Response.json(1, 600)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(status: int) -> None:
    response = Response.redirect("https://t.com", status)
    assert wire_head(response) == (status, "", [("location", "https://t.com/")])
    assert response.constructor.name == "Response"


def test_redirect_errors_are_pythons() -> None:
    with pytest.raises(TypeError, match=r"^Invalid URL: zz$") as bad_url:
        Response.redirect("zz")
    with pytest.raises(ValueError, match=r"^200 is not a redirect status code\.$") as bad_status:
        Response.redirect("https://t.com", 200)
    assert (type(bad_url.value), type(bad_status.value)) == (TypeError, ValueError)


async def test_a_js_response_is_wrapped_without_options_only() -> None:
    response = Response(js.Response.new("x", {"status": 201}))
    assert (response.status, await response.text()) == (201, "x")
    with pytest.raises(ValueError, match=r"^Expected no options when constructing Response from a js\.Response$"):
        Response(js.Response.new("x"), 201)


async def test_a_body_is_read_once() -> None:
    response = Response("x")
    assert (response.body_used, await response.text(), response.body_used) == (False, "x", True)
    for read in (response.text, response.bytes, response.json, response.buffer, response.blob, response.form_data):
        with pytest.raises(BodyUsedError, match=r"^Body already used$"):
            await read()
    with pytest.raises(OSError, match=r"^Body already used$"):
        response.clone()


async def test_every_way_to_read() -> None:
    assert await Response("x").string() == "x"  # type: ignore[attr-defined]  # pyodide's older name
    assert (await Response(b"x").buffer()).to_bytes() == b"x"
    assert await Response(b"x").memoryview() == memoryview(b"x")
    blob = await Response("x").blob()
    assert (blob.size, blob.content_type) == (1, "text/plain;charset=utf-8")
    form = await Response("a=1", headers={"content-type": "application/x-www-form-urlencoded"}).formData()
    assert form["a"] == "1"
    assert [chunk.to_bytes() async for chunk in Response("x").body or ()] == [b"x"]  # type: ignore[attr-defined]  # never ()
    assert Response().body is None


@pytest.mark.parametrize("body", ["text", None], ids=["whole", "streamed"])
async def test_clone_reads_the_same_in_any_order(body: str | None) -> None:
    response = Response(body if body is not None else ticks(), 201, headers={"x-a": "b"})
    clone = response.clone()
    assert type(clone) is FetchResponse
    assert (clone.status, clone.headers["x-a"]) == (201, "b")
    clone.headers["x-a"] = "changed"
    assert response.headers["x-a"] == "b"
    assert await clone.text() == await response.text()


async def test_replace_body() -> None:
    response = Response("old", 201, headers={"x-a": "b"}).replace_body(b"new")
    assert (response.status, response.headers["x-a"], await response.text()) == (201, "b", "new")
    with pytest.raises(TypeError, match=r"^Unsupported type in Response: dict$"):
        response.replace_body({})


def test_raise_for_status() -> None:
    Response("x", 399).raise_for_status()
    for status, text in {404: "404 Client Error: Not Found for url: ", 500: "500 Server Error: Internal"}.items():
        with pytest.raises(HttpStatusError, match=text) as caught:
            Response("x", status).raise_for_status()
        assert (caught.value.status, isinstance(caught.value, OSError)) == (status, True)


def test_the_rest() -> None:
    response = Response.json(1)
    assert repr(response) == "Response(status=200, status_text='OK', content_type='application/json')"
    assert (response.ok, response.redirected, response.type, response.url) == (True, False, "default", "")
    assert Response("x", 300).ok is False
    with pytest.raises(AttributeError):
        response.status = 201  # type: ignore[misc]  # read-only, as in JavaScript


async def test_a_request_body_is_passed_on() -> None:
    request = Request("https://t.com", method="POST", body="hello")
    assert await Response(request.body).text() == "hello"
    assert request.body_used


async def test_js_response_shares_headers_and_body() -> None:
    response = Response("x")
    js_response = response.js_object
    js_response.headers.set("x-a", "b")
    assert response.headers["x-a"] == "b"
    assert (await js_response.arrayBuffer()).to_bytes() == b"x"
    assert response.body_used
    assert js_response.bodyUsed


async def test_js_json_is_written_as_javascript_does() -> None:
    response = js.Response.json({"a": [1, "é"]}, {"status": 201})
    assert (response.status, await response.text()) == (201, '{"a":[1,"é"]}')


def test_file_as_body_has_its_type() -> None:
    assert Response(File("x", "a.txt", "text/csv")).headers["content-type"] == "text/csv"
