"""Request, as `workers` has it.

Source: spec "Handler-side contract", 2.1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .body_source import body_from
from .fetch_errors import BodyUsedError, JsTypeError
from .headers import Headers, headers_of, headers_of_wire, wire_pairs
from .js_values import JsBuffer, js_string, jsnull, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from http import HTTPMethod

    from .blob import Blob
    from .body import Body
    from .formdata import FormData
    from .js_fetch import JsRequest
    from .streams import ReadableStream

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


class Request:
    """A request: what a handler is asked, or what `fetch` sends.

    Args:
        input: an absolute URL, another Request (its body moves here), or a js.Request, then without options.
        options: `method` (str or HTTPMethod), `headers` (dict, pairs, js.Headers), `body` (str, bytes, FormData, Blob,
            URLSearchParams, ReadableStream; in Edge also an async iterator of bytes or str), `redirect` ("follow" or
            "manual"), `cf`, `signal`. Unknown names are ignored, as on Cloudflare.

    Raises:
        JsTypeError: "Invalid URL: ...", a body with GET or HEAD, a bad header, method or redirect mode.
        ValueError: options beside a js.Request.
    """

    __slots__ = (
        "_body",
        "_client_address",
        "_decode_json",
        "_headers",
        "_method",
        "_pairs",
        "_stream",
        "cf",
        "redirect",
        "signal",
        "url",
    )

    _body: Body | None
    _client_address: str
    _decode_json: Callable[..., Any]
    _headers: Headers | None
    _method: str
    _pairs: Sequence[tuple[bytes, bytes]] | None
    _stream: ReadableStream | None
    cf: Any
    redirect: str
    signal: Any
    url: str

    cache = "default"
    credentials = "same-origin"
    destination = ""
    integrity = ""
    is_history_navigation = False
    keepalive = False
    mode = "same-origin"
    referrer = "about:client"
    referrer_policy = ""

    def __init__(self, input: Request | JsRequest | str, **options: Any) -> None:  # noqa: A002 - Cloudflare's name
        wrapped = getattr(input, "wrapped_request", None)
        if wrapped is not None:
            if options:
                raise ValueError("Expected no options when constructing Request from a js.Request")
            self._share(wrapped)
            return
        source = input if isinstance(input, Request) else None
        self._decode_json = json.loads if source is None else source._decode_json
        self._stream = None
        self._pairs = None
        self._client_address = ""
        self.url = _normalised(input) if source is None else source.url
        self._method = _checked_method(options.get("method") or (source._method if source else "GET"))
        self.cf = options.get("cf", source.cf if source else None)
        self.signal = options.get("signal", source.signal if source else None)
        self.redirect = _checked_redirect(options.get("redirect") or (source.redirect if source else "follow"))
        given = options.get("headers")
        if given is not None:
            self._headers = headers_of(given)
        else:
            self._headers = source.headers.copy() if source else Headers()
        self._body = self._own_body(options.get("body"), source)

    @property
    def method(self) -> HTTPMethod:
        """The method; equal to, and formats like, its name.

        Raises:
            KeyError: a method that `http.HTTPMethod` does not know, as on Cloudflare.
        """
        return _METHODS.get(self._method) or _http_method(self._method)

    @property
    def headers(self) -> Headers:
        """Header fields: a case-insensitive Mapping, None for a missing name. Those that arrived cannot be changed."""
        if self._headers is None:
            self._headers = headers_of_wire(self._pairs or ())
        return self._headers

    @property
    def body(self) -> Any:
        """The body as a stream of chunks, or `jsnull` (falsy) when there is none."""
        if self._body is None:
            return jsnull
        if self._stream is None:
            from .streams import ReadableStream  # noqa: PLC0415 - only for handlers that stream

            self._stream = ReadableStream(self._body)
        return self._stream

    @property
    def body_used(self) -> bool:
        return self._body is not None and self._body.is_used

    @property
    def js_object(self) -> JsRequest:
        """This request as `js.Request`, over the same headers and body."""
        from .js_fetch import JsRequest  # noqa: PLC0415 - only for handlers that speak JavaScript's names

        return JsRequest(self)

    _js_request = js_object

    async def bytes(self) -> bytes:
        """The whole body.

        Raises:
            OSError: "Body already used", here and in every other reading method.
        """
        return b"" if self._body is None else await self._body.read()

    async def text(self) -> str:
        """The body as UTF-8; bad bytes become U+FFFD, a byte order mark goes."""
        return text_of(await self.bytes())

    async def json(self, **kwargs: Any) -> Any:
        """What `json.loads` makes of the text; keywords are passed on to it.

        Raises:
            json.JSONDecodeError: no JSON.
        """
        text = await self.text()
        return json.loads(text, **kwargs) if kwargs else self._decode_json(text)

    async def buffer(self) -> JsBuffer:
        """The body as an ArrayBuffer: bytes with `.to_bytes()`."""
        return JsBuffer(await self.bytes())

    async def blob(self) -> Blob:
        from .blob import blob_of  # noqa: PLC0415 - only for handlers that use Blobs

        return blob_of(await self.bytes(), self.headers.get("content-type", ""))

    async def form_data(self) -> FormData:
        """The form in the body.

        Raises:
            TypeError: neither multipart/form-data nor application/x-www-form-urlencoded, or not a form.
        """
        from .form_encoding import parse_form  # noqa: PLC0415 - only for handlers that read forms

        return parse_form(await self.bytes(), self.headers["content-type"])

    def clone(self) -> Request:
        """The same request; both bodies can be read.

        Raises:
            OSError: "Body already used".
        """
        other = Request.__new__(type(self))
        other._share(self)
        if self._body is not None:
            if self._stream is not None and self._stream.locked:
                raise BodyUsedError
            other._body = self._body.tee()
        if self._headers is not None and not self._headers._is_frozen:
            other._headers = self._headers.copy()
        other._stream = None
        return other

    def __repr__(self) -> str:
        return f"Request(method={self._method!r}, url={self.url!r})"

    def _share(self, other: Request) -> None:
        for slot in Request.__slots__:
            setattr(self, slot, getattr(other, slot))

    def _own_body(self, given: Any, source: Request | None) -> Body | None:
        if given is None or given is jsnull:
            return source._body.move() if source is not None and source._body is not None else None
        if self._method in {"GET", "HEAD"}:
            raise JsTypeError("Request with a GET or HEAD method cannot have a body.")
        body, content_type = body_from(given, "Request")
        if content_type is not None and "content-type" not in self.headers:
            self.headers["content-type"] = content_type
        return body


_METHODS: dict[str, HTTPMethod] = {}


def incoming_request(
    method: str,
    url: str,
    header_pairs: Sequence[tuple[bytes, bytes]],
    body: Body | None = None,
    *,
    decode_json: Callable[..., Any] = json.loads,
    cf: Any = None,
    client_address: str = "",
) -> Request:
    """A Request from the wire, made without checks and as cheaply as can be: a doorway has checked already.

    Args:
        method: as on the request line.
        url: absolute and normalised; what is percent-encoded stays so (`%2F` survives).
        header_pairs: raw names and values in wire order, repeated names kept.
        body: None when the message has no body.
        decode_json: what `request.json()` without arguments calls with the text (str); must decode, and fail, as
            `json.loads` does.
        client_address: the peer's, where the doorway knows it.
    """
    request = Request.__new__(Request)
    request._client_address = client_address
    request._method = method
    request.url = url
    request._pairs = header_pairs
    request._headers = None
    request._body = body
    request._stream = None
    request._decode_json = decode_json
    request.cf = cf
    request.signal = None
    request.redirect = "follow"
    return request


def client_address(request: Request) -> str:
    """The peer's address, for doors; empty where it is not known."""
    return request._client_address


def wire_method(request: Request) -> str:
    """The method as text, also one that `request.method` refuses."""
    return request._method


def wire_headers(request: Request) -> Sequence[tuple[bytes, bytes]]:
    """The raw header lines, for doorways and doors."""
    return request._pairs if request._pairs is not None else wire_pairs(request.headers)


def wire_request_body(request: Request) -> Body | None:
    """The body that a door reads or an outgoing call sends, None when there is none."""
    return request._body


def _http_method(name: str) -> HTTPMethod:
    from http import HTTPMethod  # noqa: PLC0415 - most Workers never ask

    _METHODS.update(HTTPMethod.__members__)
    return HTTPMethod[name]


def _normalised(url: Any) -> str:
    from .url import normalised_url  # noqa: PLC0415 - loads re and urllib; requests from the wire need neither

    return normalised_url(url)


def _checked_method(method: Any) -> str:
    name = js_string(getattr(method, "value", method)).upper()
    if not name or not _TOKEN.issuperset(name):
        msg = f"Invalid HTTP method string: {name}"
        raise JsTypeError(msg)
    return name


def _checked_redirect(mode: Any) -> str:
    if mode not in {"follow", "manual"}:
        msg = (
            'Invalid redirect value, must be one of "follow" or "manual" ("error" won\'t be implemented since it does '
            'not make sense at the edge; use "manual" and check the response status code).'
        )
        raise JsTypeError(msg)
    return str(mode)
