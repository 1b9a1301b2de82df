"""Response, as `workers` has it, and the FetchResponse it is a kind of.

Source: spec "Handler-side contract", 2.2.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .body import Body
from .body_source import TEXT, body_from
from .fetch_errors import BodyUsedError, HttpStatusError, JsRangeError, JsTypeError
from .headers import Headers, headers_of
from .js_values import JsBuffer, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .blob import Blob
    from .formdata import FormData
    from .js_fetch import JsResponse
    from .streams import ReadableStream

NULL_BODY_STATUSES = frozenset({101, 204, 205, 304})
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


class FetchResponse:
    """Status, headers and a body that is read once: what `fetch` gives, and the base of Response."""

    __slots__ = (
        "_body",
        "_content_type",
        "_headers",
        "_redirected",
        "_status",
        "_status_text",
        "_stream",
        "_url",
        "web_socket",
    )

    _body: Body | None
    _content_type: str | None
    _headers: Headers | None
    _redirected: bool
    _status: int
    _status_text: str
    _stream: ReadableStream | None
    _url: str
    web_socket: Any

    def __init__(self, url: str, js_response: FetchResponse) -> None:
        self._share(js_response)
        self._url = url

    @property
    def status(self) -> int:
        return self._status

    @property
    def ok(self) -> bool:
        """Status 200 to 299."""
        return 200 <= self._status <= 299

    @property
    def status_text(self) -> str:
        """The reason phrase; the standard one when none was given."""
        return self._status_text or _reason(self._status)

    @property
    def url(self) -> str:
        """Where it came from after redirects; empty for one made here."""
        return self._url

    @property
    def redirected(self) -> bool:
        return self._redirected

    @property
    def type(self) -> str:
        return "default"

    @property
    def headers(self) -> Headers:
        """Header fields: a case-insensitive Mapping, None for a missing name. A change is sent."""
        return self._own_headers()

    @property
    def body(self) -> ReadableStream | None:
        """The body as a stream of chunks, None when there is none."""
        if self._body is None:
            return None
        if self._stream is None:
            from .streams import ReadableStream  # noqa: PLC0415 - only for handlers that stream

            self._stream = ReadableStream(self._body)
        return self._stream

    @property
    def body_used(self) -> bool:
        return self._body is not None and self._body.is_used

    @property
    def js_object(self) -> JsResponse:
        """This response as `js.Response`, over the same headers and body."""
        from .js_fetch import JsResponse  # noqa: PLC0415 - only for handlers that speak JavaScript's names

        return JsResponse(self)

    js_response = js_object

    async def bytes(self) -> bytes:
        """The whole body.

        Raises:
            BodyUsedError: read before; an OSError. Here and in every other reading method.
        """
        return b"" if self._body is None else await self._body.read()

    async def text(self) -> str:
        """The body as UTF-8; bad bytes become U+FFFD, a byte order mark goes."""
        return text_of(await self.bytes())

    string = text

    async def json(self, **kwargs: Any) -> Any:
        """What `json.loads` makes of the text; keywords are passed on to it.

        Raises:
            json.JSONDecodeError: no JSON.
        """
        return json.loads(await self.text(), **kwargs)

    async def buffer(self) -> JsBuffer:
        """The body as an ArrayBuffer: bytes with `.to_bytes()`."""
        return JsBuffer(await self.bytes())

    async def memoryview(self) -> memoryview:
        return memoryview(await self.bytes())

    async def blob(self) -> Blob:
        from .blob import blob_of  # noqa: PLC0415 - only for handlers that use Blobs

        return blob_of(await self.bytes(), self._own_headers().get("content-type", ""))

    async def form_data(self) -> FormData:
        """The form in the body.

        Raises:
            TypeError: neither multipart/form-data nor application/x-www-form-urlencoded, or not a form.
        """
        from .form_encoding import parse_form  # noqa: PLC0415 - only for handlers that read forms

        return parse_form(await self.bytes(), self._own_headers()["content-type"])

    formData = form_data  # noqa: N815 - the SDK's older spelling

    def clone(self) -> FetchResponse:
        """The same response; both bodies can be read.

        Raises:
            BodyUsedError: read before; an OSError.
        """
        if self._stream is not None and self._stream.locked:
            raise BodyUsedError
        other = FetchResponse.__new__(FetchResponse)
        self._copy_to(other, None if self._body is None else self._body.tee())
        return other

    def replace_body(self, body: Any) -> Response:
        """A Response with the same status and headers and another body.

        Raises:
            TypeError: "Unsupported type in Response: ...".
        """
        new, content_type = body_from(body, "Response")
        _check_body(self._status, new)
        response = Response()
        self._copy_to(response, new)
        if content_type is not None and "content-type" not in response.headers:
            response.headers["content-type"] = content_type
        return response

    def raise_for_status(self) -> None:
        """Return for a status below 400.

        Raises:
            HttpStatusError: 4xx or 5xx; an OSError.
        """
        if self._status >= 400:
            raise HttpStatusError(self._status, self.status_text, self._url)

    def __repr__(self) -> str:
        shown = [f"status={self._status}"]
        if self._status_text or _reason(self._status):
            shown.append(f"status_text={self.status_text!r}")
        if (content_type := self._own_headers()["content-type"]) is not None:
            shown.append(f"content_type={content_type!r}")
        if self._url:
            shown.append(f"url={self._url!r}")
        return f"Response({', '.join(shown)})"

    def _own_headers(self) -> Headers:
        if self._headers is None:
            self._headers = Headers()
            if self._content_type is not None:
                self._headers["content-type"] = self._content_type
        return self._headers

    def _share(self, other: FetchResponse) -> None:
        other._own_headers()  # made now, so that both hold the same
        for slot in FetchResponse.__slots__:
            setattr(self, slot, getattr(other, slot))

    def _copy_to(self, other: FetchResponse, body: Body | None) -> None:
        other._share(self)
        other._headers = self._own_headers().copy()
        other._body = body
        other._stream = None


class Response(FetchResponse):
    """What a handler answers.

    Args:
        body: None, str, bytes, FormData, Blob, URLSearchParams, ReadableStream, js.Response (then without options);
            in Edge also an async iterator of bytes or str. Text, forms and Blobs imply a content type.
        status: 200 to 599 (int or HTTPStatus); 0 and None mean 200.
        headers: dict, list of pairs, or js.Headers.

    Raises:
        TypeError: "Unsupported type in Response: dict", or headers of another type.
        JsRangeError: a status out of range; a ValueError too.
        JsTypeError: a body where the status forbids one, a bad header; a TypeError too.
        ValueError: options beside a js.Response.
    """

    __slots__ = ()

    def __init__(
        self,
        body: Any = None,
        status: int | None = None,
        status_text: str = "",
        headers: Any = None,
        web_socket: Any = None,
    ) -> None:
        # The first branch is what most handlers do; it costs one microsecond.
        if body.__class__ is str and body.isascii():
            self._body = Body(body.encode())
            self._content_type = TEXT
        elif getattr(body, "is_js_response", False):
            if status is not None or status_text or headers is not None:
                raise ValueError("Expected no options when constructing Response from a js.Response")
            self._share(body)
            return
        else:
            self._body, self._content_type = body_from(body, "Response")
        self._status = 200
        self._status_text = status_text
        self._headers = None
        self._stream = None
        self._url = ""
        self._redirected = False
        self.web_socket = web_socket
        if (status and status != 200) or web_socket is not None:
            self._status = _checked_status(int(status or 200), web_socket)
            _check_body(self._status, self._body)
        if status_text:
            _check_status_text(status_text)
        if headers:
            self._headers = headers_of(headers)
            if self._content_type is not None and "content-type" not in self._headers:
                self._headers["content-type"] = self._content_type

    @staticmethod
    def from_json(data: Any, status: int = 200, status_text: str = "", headers: Any = None) -> Response:
        """A Response with `data` as `json.dumps` writes it; `application/json` unless headers say otherwise.

        Raises:
            TypeError: not serialisable; ValueError: a status out of range.
        """
        response: Response = _plainly(Response, json.dumps(data).encode(), status, status_text, headers)
        if response._headers is None:
            response._content_type = "application/json"
        elif "content-type" not in response._headers:
            response._headers["content-type"] = "application/json"
        return response

    @staticmethod
    def redirect(url: str, status: int = 302) -> JsResponse:
        """A js.Response that sends the client to an absolute URL.

        Raises:
            TypeError: a bad URL. ValueError: a status that is no redirect.
        """
        from .js_fetch import JsResponse  # noqa: PLC0415 - only for handlers that redirect

        return _plainly(JsResponse.redirect, url, int(status))  # type: ignore[no-any-return]  # a JsResponse

    def json(self, *args: Any, **kwargs: Any) -> Any:
        """`await response.json()` reads the body; `Response.json(data, status, ...)` is `Response.from_json`."""
        given: Any = self  # called on the class, the first argument lands here
        if isinstance(given, Response):
            return FetchResponse.json(given, *args, **kwargs)
        return Response.from_json(given, *args, **kwargs)


def plain_response(body: bytes, content_type: str) -> Response:
    """200 with these bytes, made without checks and as cheaply as can be: what a door answers thousands of times."""
    response = Response()
    response._body = Body(body)
    response._content_type = content_type
    return response


def incoming_response(
    status: int, status_text: str, pairs: Iterable[tuple[str, str]], body: Body | None, *, url: str, redirected: bool
) -> Response:
    """A Response from the network, made without checks."""
    response = Response()
    response._status = status
    response._status_text = status_text
    response._url = url
    response._redirected = redirected
    response._body = body
    headers = response.headers
    for name, value in pairs:
        headers.append(name, value)
    return response


def wire_head(response: FetchResponse) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, reason phrase ("" for the standard one) and header lines with lower-case names, Set-Cookie repeated."""
    if response._headers is not None:
        return response._status, response._status_text, response._headers.wire_items()
    if response._content_type is not None:
        return response._status, response._status_text, [("content-type", response._content_type)]
    return response._status, response._status_text, []


def wire_body(response: FetchResponse) -> Body | None:
    """The body a doorway has to send, None when there is none."""
    return response._body


def replace_wire_body(response: FetchResponse, body: Body) -> None:
    """Put another body in place of a streamed one, as the gateway does to know when it has been sent."""
    response._body = body


def _plainly(make: Any, *args: Any) -> Any:
    """Call a constructor that gives plain Python errors: ValueError for RangeError, TypeError for TypeError."""
    try:
        return make(*args)
    except JsRangeError as error:
        raise ValueError(error.message) from error
    except JsTypeError as error:
        raise TypeError(error.message) from error


def _checked_status(status: int, web_socket: Any) -> int:
    if web_socket is not None:
        if status != 101:
            raise JsRangeError("Responses with a WebSocket must have status code 101.")
    elif not 200 <= status <= 599:
        raise JsRangeError("Responses may only be constructed with status codes in the range 200 to 599, inclusive.")
    return status


def _check_body(status: int, body: Body | None) -> None:
    if body is not None and status in NULL_BODY_STATUSES:
        raise JsTypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.")


def _check_status_text(text: str) -> None:
    if "\r" in text or "\n" in text or "\0" in text or not text.isascii():
        raise JsTypeError("Invalid statusText")


def _reason(status: int) -> str:
    from http import HTTPStatus  # noqa: PLC0415 - doorways bring their own reason phrases

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
