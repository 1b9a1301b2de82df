"""The module `workers.wsgi`: a WSGI app as a Worker.

The app runs in a thread, one request at a time per call, so it may block. It reads the body lazily: each read waits for
the next chunk on the loop. Its output is pulled chunk by chunk as the client reads.
Source: spec "Handler-side contract", 2.5; PEP 3333.
"""

from __future__ import annotations

import asyncio
import io
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from .bridge_options import Options, python_request
from .core.body import Body
from .core.entrypoints import WorkerEntrypoint
from .core.request import wire_method, wire_request_body
from .core.response import NULL_BODY_STATUSES, Response, replace_wire_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from .core.request import Request

    App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

__all__ = ["Options", "entrypoint", "fetch"]


async def fetch(app: App, req: Any, env: Any, ctx: Any = None, *, options: Options | None = None) -> Response:  # noqa: ARG001 - the SDK's signature
    """Answer a request with a WSGI app.

    Raises:
        Exception: what the app raised before its first chunk; RuntimeError when it did not call start_response.
    """
    request = python_request(req)
    body = wire_request_body(request)
    upload = _Upload((body or Body(b"")).chunks(), asyncio.get_running_loop())
    call = _Call(app, _environ_of(request, env, upload))
    await asyncio.to_thread(call.start)
    return call.response()


def entrypoint(app: App, *, options: Options | None = None) -> type[WorkerEntrypoint]:
    """A `Default` class for a WSGI app: `Default = wsgi.entrypoint(app)`."""

    class Default(WorkerEntrypoint):
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, options=options)

    return Default


class _Call:
    """One call of the app: status, headers, then its chunks."""

    def __init__(self, app: App, environ: dict[str, Any]) -> None:
        self._app = app
        self._environ = environ
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._written: list[bytes] = []
        self._result: Any = ()
        self._chunks: Iterator[bytes] = iter(())

    def start(self) -> None:
        """Run the app up to its first chunk: only then its status is sure (PEP 3333)."""
        try:
            self._result = self._app(self._environ, self._start_response)
            self._chunks = iter(self._result)
            first = self._next_chunk()
            if not self._status:
                raise RuntimeError("The WSGI application did not call start_response()")
        except BaseException:
            self.close()
            raise
        self._written.append(first)

    def response(self) -> Response:
        code, _, reason = self._status.partition(" ")
        response = Response(None, int(code), reason, self._headers)
        if int(code) in NULL_BODY_STATUSES:
            self.close()
        else:
            replace_wire_body(response, Body(chunks=self._streamed()))
        return response

    def close(self) -> None:
        if hasattr(self._result, "close"):
            self._result.close()

    async def _streamed(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self._written:
                if chunk:
                    yield chunk
            while chunk := await asyncio.to_thread(self._next_chunk):
                yield chunk
        finally:
            await asyncio.to_thread(self.close)

    def _next_chunk(self) -> bytes:
        return next((chunk for chunk in self._chunks if chunk), b"")

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., Any]:
        if self._status and exc_info is None:
            raise AssertionError("start_response() called more than once")
        self._status, self._headers = status, headers
        return self._written.append


class _Upload(io.RawIOBase):
    """`wsgi.input`: the body's chunks, read from the app's thread."""

    def __init__(self, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._chunks = chunks
        self._loop = loop
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(asyncio.run_coroutine_threadsafe(self._next(), self._loop).result())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            if chunk:
                return chunk
        return b""


def _environ_of(request: Request, env: Any, upload: _Upload) -> dict[str, Any]:
    url = urlsplit(request.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": wire_method(request),
        "SCRIPT_NAME": "",
        # PEP 3333: text that holds bytes as Latin-1.
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname or "localhost",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BufferedReader(upload),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "workers.env": env,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ
