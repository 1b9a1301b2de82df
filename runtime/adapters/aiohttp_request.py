"""A parsed HTTP message -> what a Worker is asked, or the refusal.

aiohttp's C parser keeps RFC 9112's framing rules (spec "Reliability", section 4). What it lets through and we do not
is refused here: other versions, foreign targets, transfer codings beside chunked, bodies over the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from aiohttp.http_writer import HttpVersion10, HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD

from ..core.errors import RefusedError
from ..core.reserved import API_HOST, RESERVED_PATH, is_control
from ..core.wire_url import is_normal_target, normal_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from .host_guard import HostGuard

_API_ORIGIN = f"http://{API_HOST}"
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


def require_url(message: RawRequestMessage, guard: HostGuard) -> str:
    """The absolute URL asked for, normalised.

    Raises:
        RefusedError: the message is not one that a Worker may see.
    """
    target, headers = message.path, message.headers
    if message.version is not HttpVersion11 and message.version is not HttpVersion10:
        raise RefusedError(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if message.method in _REFUSED_METHODS:
        raise RefusedError(405, f"{message.method} is not answered here.")
    origin = guard.require_origin(headers.get(hdrs.HOST))
    if not is_normal_target(target):
        if "://" in target and not target.startswith("/"):
            origin, target = _split_absolute(target, guard)
        target = normal_target(target, message.method)
    if (target.startswith(RESERVED_PATH) or origin.startswith(_API_ORIGIN)) and is_control(origin[7:], target):
        guard.check_control(origin, headers.get(hdrs.ORIGIN), headers.get("Sec-Fetch-Site"))
    elif message.upgrade and asks_for_web_socket(message):  # most messages save the call
        raise RefusedError(501, "A Worker cannot answer WebSockets yet; that comes with a later version of Edge.")
    if message.method == "OPTIONS":
        private_network = headers.get("Access-Control-Request-Private-Network")
        guard.check_preflight(origin, headers.get(hdrs.ORIGIN), private_network)
    return origin + target


def asks_for_web_socket(message: RawRequestMessage) -> bool:
    """Whether a message is a WebSocket's handshake, good or bad."""
    return message.upgrade and message.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


def check_body(message: RawRequestMessage, payload: StreamReader, body_bytes_max: int) -> None:
    """Refuse a body that is framed in doubt or announced too large.

    Raises:
        RefusedError: 400, 413 or 417.
    """
    headers = message.headers
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    if coding is not None:
        if coding.lower() != "chunked" or message.version is HttpVersion10 or hdrs.CONTENT_LENGTH in headers:
            raise RefusedError(400, "The request's Transfer-Encoding is not plain chunked: its length is in doubt.")
    elif payload is not EMPTY_PAYLOAD and int(headers.get(hdrs.CONTENT_LENGTH, 0)) > body_bytes_max:
        raise too_large(body_bytes_max)
    if hdrs.EXPECT in headers and headers[hdrs.EXPECT].lower() != "100-continue":
        raise RefusedError(417, "The only expectation that can be met is 100-continue.")


def too_large(body_bytes_max: int) -> RefusedError:
    return RefusedError(
        413, f"The request body is larger than {body_bytes_max} bytes (body_bytes under [limits] in edge.toml)."
    )


def refusal_of(error: HttpProcessingError, url_bytes_max: int) -> RefusedError:
    """What the parser found wrong, as the answer to give."""
    if isinstance(error, LineTooLong):
        if error.args[1] == url_bytes_max:
            return RefusedError(
                414, f"The request target is longer than {url_bytes_max} bytes (url_bytes under [limits] in edge.toml)."
            )
        return RefusedError(431, "A request header is too long.")
    if error.message == "Too many headers received":
        return RefusedError(431, "The request has too many headers.")
    if isinstance(error, BadHttpMethod):
        return RefusedError(400, "This is no HTTP request, or its method is unknown. For https, put a proxy in front.")
    reason = error.message.partition("\n")[0].rstrip(":")
    return RefusedError(400, f"This is no valid HTTP request: {reason}.")


def _split_absolute(target: str, guard: HostGuard) -> tuple[str, str]:
    """Origin and path of an absolute-form target, as clients of a proxy send it; its host overrides the Host header."""
    scheme, _, rest = target.partition("://")
    if scheme.lower() != "http":
        raise RefusedError(400, "The request target is no path, and no URL of this server: it speaks http only.")
    end = min((at for mark in "/?" if (at := rest.find(mark)) >= 0), default=len(rest))
    path = rest[end:]
    return guard.require_origin(rest[:end]), path if path.startswith("/") else f"/{path}"


class IncomingBody:
    """The chunks of a request's body as they arrive; reading slowly slows the sender.

    Raises:
        RefusedError: 413, more than the limit came; 408, it came too slowly; 400, its framing broke.
        OSError: the answer has been sent already, so nothing waits for the rest.
    """

    __slots__ = ("_bytes_left", "_bytes_max", "_payload", "_send_continue")

    def __init__(self, payload: StreamReader, bytes_max: int, send_continue: Callable[[], None] | None) -> None:
        """`send_continue` is called before the first read, when the client waits for that."""
        self._payload = payload
        self._bytes_max = self._bytes_left = bytes_max
        self._send_continue = send_continue

    def __aiter__(self) -> IncomingBody:
        return self

    async def __anext__(self) -> bytes:
        if self._send_continue is not None:
            self._send_continue()
            self._send_continue = None
        chunk = await self._payload.readany()
        if not chunk:
            raise StopAsyncIteration
        self._bytes_left -= len(chunk)
        if self._bytes_left < 0:
            raise too_large(self._bytes_max)
        return chunk
