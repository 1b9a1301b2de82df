"""The doorways under one face, for the contract and for what each does on its own.

A doorway is an async context manager yielding `ask(fetcher, method, target, headers, body)`, which returns
`(status, header list with lower-case names, body bytes)`. A new doorway is one more entry of `DOORWAYS`.
"""

from __future__ import annotations

import asyncio
import http.client
import io
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.adapters.aiohttp_server import HttpServer
from edge.runtime.adapters.asgi import asgi_app
from edge.runtime.adapters.aws_lambda import LambdaHandler
from edge.runtime.adapters.listening import open_sockets
from edge.runtime.core import workers_shim
from edge.runtime.core.context import PendingWork
from edge.runtime.core.env import Env
from edge.runtime.core.worker import worker_of
from edge.runtime.hosts.aws import LambdaMachine
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer
from edge.runtime.testing.fake_host import FakeHost, RecordingLog
from edge.runtime.testing.lambda_events import FRONT_DOORS, InvocationContext, http_answer, http_event
from edge.wrangler_config.worker_config import Limits, ServerSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from edge.runtime.core.worker import Fetcher
    from edge.runtime.testing.lambda_events import FrontDoorName

    Headers = Sequence[tuple[str, str]]
    Reply = tuple[int, list[tuple[str, str]], bytes]
    Ask = Callable[[Fetcher, str, str, Headers, bytes], Awaitable[Reply]]

HOST = "worker.localhost"


@pytest.fixture
def worker_from() -> Callable[[str], LiveWorker]:
    """Make a running Worker, without bindings, from the text of its file."""

    def live_worker(source: str) -> LiveWorker:
        workers_shim.install()
        module = ModuleType("contract_worker")
        exec(compile(source, "contract_worker.py", "exec"), module.__dict__)
        host = FakeHost()
        live = LiveWorker(host, plain_answer)
        generation = Generation(Env({}), host)
        generation.worker = worker_of(module)
        live.swap(generation)
        return live

    return live_worker


@asynccontextmanager
async def open_server(
    fetcher: Fetcher, *, limits: Limits | None = None, settings: ServerSettings | None = None
) -> AsyncIterator[HttpServer]:
    """An HttpServer on 127.0.0.1 and a free port."""
    server = HttpServer(FakeHost(), limits or Limits(), settings or ServerSettings())
    await server.start(fetcher, open_sockets("127.0.0.1", 0))
    try:
        yield server
    finally:
        await server.close()


async def send_bytes(server: HttpServer, *sent: bytes) -> bytes:
    """Send the bytes on one connection, return all that comes until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


@pytest.fixture
def serving() -> Callable[..., AbstractAsyncContextManager[HttpServer]]:
    """`async with serving(fetcher, limits=..., settings=...) as server`."""
    return open_server


@pytest.fixture
def exchange() -> Callable[..., Awaitable[bytes]]:
    """`await exchange(server, *pieces)`: what comes back until the server closes the connection."""
    return send_bytes


@asynccontextmanager
async def aiohttp_doorway() -> AsyncIterator[Ask]:
    """A real server on a real socket, one connection per request."""

    async def ask(fetcher: Fetcher, method: str, target: str, headers: Headers, body: bytes) -> Reply:
        names = {name.lower() for name, _ in headers}
        extra = [] if "host" in names else [("host", HOST)]
        if body and "content-length" not in names:
            extra.append(("content-length", str(len(body))))
        lines = [f"{name}: {value}" for name, value in (*extra, ("connection", "close"), *headers)]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
        async with open_server(fetcher) as server:
            return parse_reply(await send_bytes(server, head.encode() + body), method)

    yield ask


@asynccontextmanager
async def asgi_doorway() -> AsyncIterator[Ask]:
    """The ASGI app called in process."""

    async def ask(fetcher: Fetcher, method: str, target: str, headers: Headers, body: bytes) -> Reply:
        extra = [] if any(name.lower() == "host" for name, _ in headers) else [("host", HOST)]
        app = asgi_app(fetcher, FakeHost(), Limits())
        return await call_asgi(app, method, target, (*extra, *headers), body)

    yield ask


@asynccontextmanager
async def lambda_doorway(front_door: FrontDoorName) -> AsyncIterator[Ask]:
    """A Lambda handler in process, called from a thread as awslambdaric calls it."""

    async def ask(fetcher: Fetcher, method: str, target: str, headers: Headers, body: bytes) -> Reply:
        extra = [("x-forwarded-proto", "http")]
        if not any(name.lower() == "host" for name, _ in headers):
            extra.append(("host", HOST))
        event = http_event(front_door, method, target, [*extra, *headers], body)
        return http_answer(await asyncio.to_thread(invoke_once, fetcher, event))

    yield ask


def invoke_once(fetcher: Fetcher, event: dict[str, Any]) -> dict[str, Any]:
    """The life of a function that gets one event."""
    handler = LambdaHandler(lambda _path: lambda_app(fetcher), Path())
    try:
        answer: dict[str, Any] = handler(event, InvocationContext())
    finally:
        handler.close()
    return answer


@asynccontextmanager
async def lambda_app(fetcher: Any) -> AsyncIterator[Any]:
    """What `runtime/serve.py` would open for a function, over any Fetcher."""
    host = LambdaMachine(RecordingLog(), environ={})
    pending = fetcher.current.pending if isinstance(fetcher, LiveWorker) else PendingWork(host)
    yield SimpleNamespace(
        host=host,
        config=SimpleNamespace(settings=Settings()),
        events=(),
        handlers=("fetch",),
        live=fetcher,
        pending=pending,
        fetch=fetcher.fetch,
    )
    await host.aclose()


DOORWAYS: dict[str, Callable[[], AbstractAsyncContextManager[Ask]]] = {
    "aiohttp": aiohttp_doorway,
    "asgi": asgi_doorway,
    # Not "alb": without multi-value headers a load balancer itself drops all but the last of repeated names.
    **{
        f"lambda-{front_door}": partial(lambda_doorway, front_door) for front_door in FRONT_DOORS if front_door != "alb"
    },
}
EXACT_QUERY_DOORWAYS = ("aiohttp", "asgi", "lambda-2.0")
"""The others get the query in a dict: which characters were encoded, and a name without `=`, are lost before us."""

SERVER_DOORWAYS = ("aiohttp", "asgi")
"""Lambda's front doors know no target but paths."""


@pytest.fixture(params=DOORWAYS)
async def answer(
    request: pytest.FixtureRequest, worker_from: Callable[[str], LiveWorker]
) -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    """`await answer(worker, method, target, headers, body)`; `worker` is a Worker's text or any Fetcher."""
    async with open_doorway(request.param, worker_from) as answer_of:
        yield answer_of


@pytest.fixture(params=EXACT_QUERY_DOORWAYS)
async def exact_query_answer(
    request: pytest.FixtureRequest, worker_from: Callable[[str], LiveWorker]
) -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    """As `answer`, through the doorways that are given the query as it was sent."""
    async with open_doorway(request.param, worker_from) as answer_of:
        yield answer_of


@pytest.fixture(params=SERVER_DOORWAYS)
async def server_answer(
    request: pytest.FixtureRequest, worker_from: Callable[[str], LiveWorker]
) -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    """As `answer`, through the doorways that are asked over HTTP/1.1 itself."""
    async with open_doorway(request.param, worker_from) as answer_of:
        yield answer_of


@asynccontextmanager
async def open_doorway(
    name: str, worker_from: Callable[[str], LiveWorker]
) -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    async with DOORWAYS[name]() as ask:

        async def answer_of(
            worker: str | Fetcher, method: str = "GET", target: str = "/", headers: Headers = (), body: bytes = b""
        ) -> Reply:
            fetcher: Any = worker_from(worker) if isinstance(worker, str) else worker
            return await ask(fetcher, method, target, headers, body)

        yield answer_of


def parse_reply(raw: bytes, method: str) -> Reply:
    """Status, headers and body of one HTTP/1.1 answer, read by the standard library's client."""

    class Wire:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(raw)

    reply = http.client.HTTPResponse(Wire(), method=method)  # type: ignore[arg-type] # it only needs makefile
    reply.begin()
    # http.client reads header bytes as latin-1; on our wire they are UTF-8.
    headers = [(name.lower(), value.encode("latin-1").decode("utf-8")) for name, value in reply.getheaders()]
    return reply.status, headers, reply.read()


async def call_asgi(app: Any, method: str, target: str, headers: Headers, body: bytes) -> Reply:
    """One request through an ASGI app, the body in chunks of 64 KB."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks[:-1]]
    events.append({"type": "http.request", "body": chunks[-1], "more_body": False})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if events:
            return events.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    whole = b"".join(message.get("body", b"") for message in rest)
    return start["status"], [(name.decode(), value.decode()) for name, value in start["headers"]], whole
