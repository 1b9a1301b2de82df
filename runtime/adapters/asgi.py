"""A Fetcher as an ASGI 3 application (http and lifespan): for any server that speaks ASGI, and for Lambda.

The server in front owns sockets, header limits and timeouts. Its Host check too, unless a HostGuard is given: behind a
proxy or a function URL the allowed names are not ours to know. Everything a Worker can see is as on `edge serve`.
Source: ASGI specification 3.0, "HTTP & WebSocket ASGI Message Format" 2.4 and "Lifespan Protocol" 2.0.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..core.body import Body
from ..core.errors import RefusedError
from ..core.request import incoming_request
from ..core.reserved import is_control
from ..core.response import Response, wire_body, wire_head
from ..core.web_socket import WebSocketAnswer
from ..core.wire_url import normal_origin, normal_target
from .response_head import EMPTY_STATUSES, body_length, require_sendable, sendable_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
    from contextlib import AbstractAsyncContextManager

    from ...wrangler_config.worker_config import Limits
    from ..core.host import Host
    from ..core.request import Request
    from ..core.worker import Fetcher
    from .host_guard import HostGuard

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

NO_WEBSOCKETS = "Behind ASGI no WebSockets are answered: edge dev and edge serve have them."

_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def asgi_app(
    fetcher: Fetcher,
    host: Host,
    limits: Limits,
    *,
    guard: HostGuard | None = None,
    decode_json: Callable[..., Any] = json.loads,
    lifespan: AbstractAsyncContextManager[object] | None = None,
) -> AsgiApp:
    """The application.

    Args:
        limits: of them `body_bytes` is kept here.
        guard: checks Host, and Origin on Edge's own routes, as `edge serve` does.
        lifespan: entered at the server's start-up, left at its shutdown.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Exchange(fetcher, host, limits, guard, decode_json).run(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(lifespan, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1011, "reason": NO_WEBSOCKETS})
        else:
            msg = f"ASGI scope {scope['type']!r} is not known here: only http, lifespan and websocket are."
            raise ValueError(msg)

    return app


class _Exchange:
    """One request and its answer. The handler is cancelled when the client leaves, as on `edge serve`."""

    def __init__(
        self, fetcher: Fetcher, host: Host, limits: Limits, guard: HostGuard | None, decode_json: Callable[..., Any]
    ) -> None:
        self._fetcher = fetcher
        self._host = host
        self._body_bytes_max = limits.body_bytes
        self._guard = guard
        self._decode_json = decode_json
        self._input_complete = asyncio.Event()
        self._has_client = True

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.ensure_future(self._answer(scope, receive, send))
        watching = asyncio.ensure_future(self._disconnected(receive))
        try:
            await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            if not answering.done():
                answering.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)
        if not answering.cancelled():
            answering.result()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = self._request_of(scope, receive)
            response = await self._fetcher.fetch(request)
            if isinstance(response.web_socket, WebSocketAnswer):
                raise RefusedError(501, NO_WEBSOCKETS)
        except RefusedError as error:
            response = Response(f"{error}\n", status=error.http_status)
        except Exception as error:
            if not self._has_client:
                return
            self._host.log.error("request_failed", exc_info=error)
            response = Response("Internal Server Error\n", status=500)
        try:
            await self._send(response, send, is_head=scope["method"] == "HEAD")
        except OSError:
            if self._has_client:
                raise

    async def _disconnected(self, receive: Receive) -> None:
        """Return when the client left. Before the body is read nobody may receive in its place."""
        await self._input_complete.wait()
        while (await receive())["type"] != "http.disconnect":
            pass
        self._has_client = False

    def _request_of(self, scope: Scope, receive: Receive) -> Request:
        pairs: list[tuple[bytes, bytes]] = list(scope["headers"])
        headers = {name: value.decode("latin-1") for name, value in pairs}
        url = self._url_of(scope, headers)
        length = headers.get(b"content-length", "")
        size = int(length) if length.isascii() and length.isdigit() else None
        if size is not None and size > self._body_bytes_max:
            raise self._too_large()
        body = None
        if size or b"transfer-encoding" in headers or (size is None and scope["method"] not in {"GET", "HEAD"}):
            body = Body(chunks=self._chunks(receive), size_bytes=size)
        else:
            self._input_complete.set()
        return incoming_request(
            scope["method"],
            url,
            pairs,
            body,
            decode_json=self._decode_json,
            client_address=(scope.get("client") or ("",))[0],
        )

    def _url_of(self, scope: Scope, headers: dict[bytes, str]) -> str:
        path = scope.get("raw_path") or quote(scope["path"], safe="/%:@!$&'()*+,;=~").encode()
        target = quote(path.partition(b"?")[0], safe=_PRINTABLE)
        if scope["query_string"]:
            target += "?" + quote(scope["query_string"], safe=_PRINTABLE)
        target = normal_target(target, scope["method"])
        origin = normal_origin(scope.get("scheme", "http"), headers.get(b"host") or _server_name(scope))
        if self._guard is not None:
            self._check_access(self._guard, scope["method"], origin, target, headers)
        return origin + target

    @staticmethod
    def _check_access(guard: HostGuard, method: str, origin: str, target: str, headers: dict[bytes, str]) -> None:
        guard.require_origin(headers.get(b"host"))
        if is_control(origin.partition("://")[2], target):
            guard.check_control(origin, headers.get(b"origin"), headers.get(b"sec-fetch-site"))
        if method == "OPTIONS":
            private_network = headers.get(b"access-control-request-private-network")
            guard.check_preflight(origin, headers.get(b"origin"), private_network)

    async def _chunks(self, receive: Receive) -> AsyncIterator[bytes]:
        bytes_left = self._body_bytes_max
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._has_client = False
                raise ConnectionResetError("The client left before its request was complete.")
            chunk = message.get("body", b"")
            bytes_left -= len(chunk)
            if bytes_left < 0:
                raise self._too_large()
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                self._input_complete.set()
                return

    async def _send(self, response: Response, send: Send, *, is_head: bool) -> None:
        status, _, pairs = wire_head(response)
        body = wire_body(response)
        whole = b"" if body is None or status in EMPTY_STATUSES else body.whole
        try:
            require_sendable(status, pairs)
        except ValueError as error:
            self._host.log.error("response_refused", exc_info=error)
            await self._send(Response("Internal Server Error\n", status=500), send, is_head=is_head)
            return
        length = body_length(pairs, body, whole, is_head=is_head)
        headers = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in sendable_headers(pairs)]
        if length is not None and status not in {204, 304}:
            headers.append((b"content-length", b"%d" % length))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if whole is None and body is not None and not is_head:
            await self._stream(body.chunks(), send)
            whole = b""
        await send({"type": "http.response.body", "body": b"" if is_head else whole, "more_body": False})

    async def _stream(self, chunks: AsyncIterator[bytes], send: Send) -> None:
        try:
            async for chunk in chunks:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Exception as error:
            # The head is out: the server breaks the connection when the application raises.
            self._host.log.error("response_body_failed", exc_info=error)
            raise
        finally:
            if (close := getattr(chunks, "aclose", None)) is not None:
                await close()

    def _too_large(self) -> RefusedError:
        msg = f"The request body is larger than {self._body_bytes_max} bytes (body_bytes under [limits] in edge.toml)."
        return RefusedError(413, msg)


async def _live(lifespan: AbstractAsyncContextManager[object] | None, receive: Receive, send: Send) -> None:
    stack = AsyncExitStack()
    while True:
        message = await receive()
        phase = message["type"].rpartition(".")[2]
        try:
            if phase == "startup" and lifespan is not None:
                await stack.enter_async_context(lifespan)
            elif phase == "shutdown":
                await stack.aclose()
        except Exception as error:
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            raise
        await send({"type": f"lifespan.{phase}.complete"})
        if phase == "shutdown":
            return


def _server_name(scope: Scope) -> str:
    name, port = scope.get("server") or ("localhost", None)
    if port is None:  # a Unix socket's name is its path
        return "localhost"
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
