"""`fetch`: a Request to the internet over aiohttp's client.

Bodies stream both ways. Answers come decoded, so `content-encoding` and `content-length` are dropped from them. No
cookies are kept, no environment proxies are used, nothing is retried.
Redirects are followed here, not by aiohttp: a streamed body cannot be sent twice, and credentials must not follow to
another origin (Fetch Standard, "HTTP-redirect fetch").
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from ..core.body import Body
from ..core.fetch_errors import AbortError, AddressRefusedError
from ..core.request import wire_headers, wire_method, wire_request_body
from ..core.response import REDIRECT_STATUSES, incoming_response
from .closing_at_exit import close_at_exit
from .outbound_failures import CONNECT_SECONDS_MAX, READ_STALL_SECONDS_MAX, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohappyeyeballs import AddrInfoType, SocketFactoryType

    from ..core.request import Request
    from ..core.response import Response

REDIRECTS_MAX = 20
"""Fetch Standard."""
CHUNK_BYTES = 64 * 1024

_NOT_SENT = frozenset(
    {b"connection", b"content-length", b"host", b"keep-alive", b"proxy-connection", b"te", b"trailer"}
    | {b"transfer-encoding", b"upgrade"}
)
"""The client sets these itself (RFC 9110, 7.6.1)."""
_NOT_PASSED_ON = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TIED_TO_ORIGIN = frozenset({"authorization", "cookie", "proxy-authorization"})
_ABOUT_THE_BODY = frozenset({"content-encoding", "content-language", "content-location", "content-type"})

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Callable[[str], bool] | None, aiohttp.ClientSession]] = (
    WeakKeyDictionary()
)
"""One for each rule: a connection that is kept was made under the rule of who uses it again."""


async def send_request(request: Request, *, may_connect: Callable[[str], bool] | None = None) -> Response:
    """Send it and return as soon as the head of the answer is here; the body streams.

    Args:
        may_connect: as in `Host.fetch`.

    Raises:
        AddressRefusedError: `may_connect` allowed no address.
        AbortError: no answer (name, connection, TLS, timeout, too many redirects); the message says which.
    """
    method = wire_method(request)
    url = URL(request.url, encoded=True)
    if url.scheme not in {"http", "https"}:
        msg = f"Fetch API cannot load: {request.url}"
        raise AbortError(msg)
    headers = [(k.decode("latin-1"), v.decode()) for k, v in wire_headers(request) if k.lower() not in _NOT_SENT]
    body = wire_request_body(request)
    data = None if body is None else body.whole if body.whole is not None else _Upload(body)
    if isinstance(data, bytes) and body is not None:
        await body.read()  # marks it used
    for redirect_count in range(REDIRECTS_MAX + 1):
        answer = await _exchange(method, url, headers, data, may_connect)
        location = answer.headers.get("location")
        if request.redirect == "manual" or answer.status not in REDIRECT_STATUSES or location is None:
            return _response_of(answer, is_redirected=redirect_count > 0)
        answer.release()
        target = url.join(URL(location, encoded=True))
        if target.scheme not in {"http", "https"}:
            msg = f"Fetch API cannot load: {target}"
            raise AbortError(msg)
        is_get_now = answer.status == 303 and method not in {"GET", "HEAD"}
        if is_get_now or (answer.status in {301, 302} and method == "POST"):
            method, data = "GET", None
            headers = [item for item in headers if item[0].lower() not in _ABOUT_THE_BODY]
        elif isinstance(data, _Upload):
            raise AbortError("A streamed body was redirected, and it can be sent only once.")
        if target.origin() != url.origin():
            headers = [item for item in headers if item[0].lower() not in _TIED_TO_ORIGIN]
        url = target
    raise AbortError("Too many redirects.")


async def aclose() -> None:
    """Close this loop's connections; a later call opens new ones."""
    for session in _sessions.pop(asyncio.get_running_loop(), {}).values():
        await session.close()


class _Upload(aiohttp.AsyncIterablePayload):
    """A streamed body; its length is sent when it is known, else it goes in chunks."""

    def __init__(self, body: Body) -> None:
        super().__init__(body.chunks(), content_type="application/octet-stream")
        self._size = body.size_bytes


async def _exchange(
    method: str,
    url: URL,
    headers: list[tuple[str, str]],
    data: bytes | _Upload | None,
    may_connect: Callable[[str], bool] | None,
) -> aiohttp.ClientResponse:
    try:
        return await _session(may_connect).request(
            method,
            url,
            headers=headers,
            data=data,
            allow_redirects=False,
            skip_auto_headers=("Content-Type", "User-Agent"),
        )
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressRefusedError):
            raise error.os_error from None
        msg = f"{method} {url.origin()} got no answer: {reason_of(error)}"
        raise AbortError(msg) from error


def _response_of(answer: aiohttp.ClientResponse, *, is_redirected: bool) -> Response:
    is_decoded = "content-encoding" in answer.headers and answer.method != "HEAD"
    dropped = _NOT_PASSED_ON | ({"content-encoding", "content-length"} if is_decoded else set())
    pairs = [
        (name.lower(), value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        for name, value in answer.headers.items()
        if name.lower() not in dropped
    ]
    has_body = answer.method != "HEAD" and answer.status not in {204, 205, 304}
    if not has_body:
        answer.release()
    size = None if is_decoded or not has_body else answer.content_length
    body = Body(chunks=_Download(answer), size_bytes=size) if has_body else None
    return incoming_response(
        answer.status, answer.reason or "", pairs, body, url=str(answer.url), redirected=is_redirected
    )


class _Download:
    """The chunks of an answer. The connection goes back to the pool at the end, and is closed when nobody reads on."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_chunked(CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            msg = f"The answer of {self._answer.url.origin()} is not whole: {reason_of(error)}"
            raise AbortError(msg) from error
        finally:
            self._answer.close()

    def __del__(self) -> None:
        with suppress(RuntimeError):  # the loop is gone
            self._answer.close()


def _session(may_connect: Callable[[str], bool] | None) -> aiohttp.ClientSession:
    of_rule = _sessions.setdefault(asyncio.get_running_loop(), {})
    session = of_rule.get(may_connect)
    if session is None or session.closed:
        session = of_rule[may_connect] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=may_connect and _sockets_for(may_connect)),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS_MAX, sock_read=READ_STALL_SECONDS_MAX
            ),
        )
        close_at_exit(session)
    return session


def _sockets_for(may_connect: Callable[[str], bool]) -> SocketFactoryType:
    """Makes sockets for allowed addresses alone. It is given the very address that is connected to."""

    def make_socket(found: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, place = found
        if not may_connect(str(place[0])):
            raise AddressRefusedError(str(place[0]))
        return socket.socket(family, kind, protocol)

    return make_socket
