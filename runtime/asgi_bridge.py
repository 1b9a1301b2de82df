"""The module `workers.asgi`: an ASGI 3 app as a Worker.

Theory: `fetch` runs lifespan startup, then the app as a task that talks through `_Exchange`. The first body message
decides: without `more_body` the Response is whole, else it streams through a queue of CHUNKS_MAX chunks, so a slow
client slows the app. Lifespan shutdown comes when the app has returned. A client that leaves is `http.disconnect`, and
what the app still sends is dropped.
Source: spec "Handler-side contract", 2.5; ASGI specification 3.0.
"""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .bridge_options import Options, python_request
from .core.body import Body
from .core.context import current_invocation
from .core.entrypoints import WorkerEntrypoint
from .core.errors import UnsupportedError
from .core.request import wire_headers, wire_method, wire_request_body
from .core.response import NULL_BODY_STATUSES, Response, replace_wire_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    from .core.request import Request

    Message = MutableMapping[str, Any]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

__all__ = ["Options", "entrypoint", "fetch", "websocket"]

CHUNKS_MAX = 16
_ASGI = {"version": "3.0", "spec_version": "2.0"}
_log = logging.getLogger("asgi")


async def fetch(app: App, req: Any, env: Any, ctx: Any = None, *, options: Options | None = None) -> Response:  # noqa: ARG001 - the SDK's signature
    """Answer a request with an ASGI app; lifespan startup and shutdown run around it.

    Raises:
        Exception: what the app raised before its response began; RuntimeError when it made none.
    """
    lifespan = _Lifespan(app)
    await lifespan.start()
    exchange = _Exchange(app, python_request(req), env, lifespan.state)
    task = asyncio.ensure_future(exchange.run())
    try:
        response = await exchange.response
    except Exception:
        _log.exception("ASGI request failed")
        await task
        await lifespan.stop()
        raise
    del exchange.response  # else the app's task would hold it, and a dropped answer would not be noticed
    finishing = asyncio.ensure_future(_finish(task, lifespan))
    invocation = current_invocation.get()
    if exchange.is_streaming and invocation is not None:
        invocation.ctx.waitUntil(finishing)
    else:
        await finishing
    return response


def entrypoint(app: App, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """A `Default` class for an ASGI app: `Default = asgi.entrypoint(app)`."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Default


async def websocket(_app: App, _req: Any, _env: Any = None) -> Response:
    """Refused: Edge has no WebSockets yet.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError("WebSockets are not in Edge yet: workers.asgi.websocket() cannot answer an upgrade.")


def __getattr__(name: str) -> Any:
    if name == "env":  # FastAPI is the app's own dependency
        fastapi = import_module("fastapi")

        async def env_of(request: Any) -> Any:
            return request.scope["env"]

        env_of.__annotations__["request"] = fastapi.Request
        return fastapi.Depends(env_of)
    msg = f"module 'workers.asgi' has no attribute {name!r}"
    raise AttributeError(msg)


async def _finish(task: asyncio.Future[None], lifespan: _Lifespan) -> None:
    try:
        await task
    finally:
        await lifespan.stop()


class _Lifespan:
    """One startup and shutdown. An app that knows no lifespan is served without."""

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.ensure_future(self._run())
        if not await self._started:
            await self._task
            self._task = None

    async def stop(self) -> None:
        if self._task is not None:
            self._events.put_nowait({"type": "lifespan.shutdown"})
            await self._task

    async def _run(self) -> None:
        try:
            await self._app({"type": "lifespan", "asgi": _ASGI, "state": self.state}, self._events.get, self._send)
        except Exception as error:  # noqa: BLE001 - the border of the app's code
            if self._started.done():
                _log.exception("ASGI lifespan failed")
            else:
                _log.debug("ASGI app has no lifespan", exc_info=error)
        finally:
            if not self._started.done():
                self._started.set_result(False)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._started.set_result(True)
        elif kind == "lifespan.startup.failed":
            self._started.set_exception(RuntimeError(message.get("message") or "ASGI lifespan startup failed"))
        elif kind == "lifespan.shutdown.failed":
            _log.error(message.get("message") or "ASGI lifespan shutdown failed")


class _Exchange:
    """One request through the app."""

    def __init__(self, app: App, request: Request, env: Any, state: dict[str, Any]) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.is_streaming = False
        self._is_answered = False
        self._app = app
        self._scope = _scope_of(request, env, state)
        body = wire_request_body(request)
        self._upload: AsyncIterator[bytes] | None = (body or Body(b"")).chunks()
        self._start: Message = {}
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(CHUNKS_MAX)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
            if not self._is_answered:
                self.response.set_exception(RuntimeError("The application did not generate a response"))
        except Exception as error:  # noqa: BLE001 - the border of the app's code
            if self._is_answered:
                _log.exception("Exception in ASGI application after response started")
            else:
                self.response.set_exception(error)
        finally:
            if self.is_streaming and not self._ended.is_set():
                await self._chunks.put(None)
            self._ended.set()

    def leave(self) -> None:
        """Nobody reads the answer any more; wake the app if it waits for room."""
        self._ended.set()
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _receive(self) -> Message:
        if self._upload is not None:
            async for chunk in self._upload:
                return {"type": "http.request", "body": bytes(chunk), "more_body": True}
            self._upload = None
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            chunk, has_more = bytes(message.get("body", b"")), message.get("more_body", False)
            if not self._is_answered:
                self.is_streaming = has_more
                self._is_answered = True
                self.response.set_result(self._response_of(chunk))
                if not has_more:
                    self._ended.set()
                    return
            if chunk and not self._ended.is_set():
                await self._chunks.put(chunk)
            if not has_more and not self._ended.is_set():
                await self._chunks.put(None)
                self._ended.set()

    def _response_of(self, chunk: bytes) -> Response:
        status = self._start["status"]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._start.get("headers", ())]
        response = Response(None, status, headers=headers)
        if self.is_streaming:
            replace_wire_body(response, Body(chunks=_Chunks(self, self._chunks)))
        elif status not in NULL_BODY_STATUSES:
            replace_wire_body(response, Body(chunk))
        return response


class _Chunks:
    """The streamed answer; tells the exchange when it is dropped before its end."""

    def __init__(self, exchange: _Exchange, chunks: asyncio.Queue[bytes | None]) -> None:
        self._exchange = exchange
        self._chunks = chunks

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._chunks.get()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._exchange.leave()

    def __del__(self) -> None:
        self._exchange.leave()


def _scope_of(request: Request, env: Any, state: dict[str, Any]) -> Message:
    scheme, _, rest = request.url.partition("://")
    path, _, query = rest.partition("#")[0].partition("?")
    path = path[path.find("/") :] if "/" in path else "/"
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "1.1",
        "method": wire_method(request),
        "scheme": scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower(), value) for name, value in wire_headers(request)],
        "env": env,
        "state": dict(state),
    }
