"""What the ASGI application promises beyond the contract: scopes, lifespan, disconnects."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from edge.runtime.adapters.asgi import NO_WEBSOCKETS, asgi_app
from edge.runtime.adapters.host_guard import HostGuard
from edge.runtime.core.body import Body
from edge.runtime.core.errors import RefusedError
from edge.runtime.core.response import Response, replace_wire_body
from edge.runtime.core.web_socket import WebSocketAnswer
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import Limits

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "https",
    "path": "/a b",
    "raw_path": b"/a%20b",
    "query_string": b"q=%2F",
    "headers": [(b"host", b"Example.com")],
}
EMPTY = {"type": "http.request", "body": b"", "more_body": False}
LEFT = {"type": "http.disconnect"}


class Handler:
    def __init__(self, function):
        self._function = function

    async def fetch(self, request):
        answer = self._function(request)
        return await answer if hasattr(answer, "__await__") else answer


async def call(function, *events, host=None, limits=None, guard=None, **scope):
    """What the app sends; after `events` the client stays and says nothing."""
    app = asgi_app(Handler(function), host or FakeHost(), limits or Limits(), guard=guard)
    queue = list(events)
    sent = []

    async def receive():
        return queue.pop(0) if queue else await asyncio.get_running_loop().create_future()

    async def send(message):
        sent.append(message)

    async with asyncio.timeout(60):
        await app({**SCOPE, **scope}, receive, send)
    return sent


def echo_url(request):
    return Response(request.url)


async def test_url_has_scheme_host_raw_path_and_query():
    _, body = await call(echo_url, EMPTY)
    assert body["body"] == b"https://example.com/a%20b?q=%2F"


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"raw_path": None}, b"https://example.com/a%20b?q=%2F"),
        ({"raw_path": b"/a%2Fb?q=%2F"}, b"https://example.com/a%2Fb?q=%2F"),
        ({"raw_path": b"/\xc3\xa9", "query_string": b""}, b"https://example.com/%C3%A9"),
        ({"headers": [], "server": ("10.0.0.1", 8000)}, b"https://10.0.0.1:8000/a%20b?q=%2F"),
        ({"headers": [], "server": ("::1", 8000)}, b"https://[::1]:8000/a%20b?q=%2F"),
        ({"headers": [], "server": ("/run/edge.sock", None)}, b"https://localhost/a%20b?q=%2F"),
        ({"headers": []}, b"https://localhost/a%20b?q=%2F"),
    ],
    ids=["no raw path", "raw path with query", "raw bytes", "no host", "IPv6", "Unix socket", "no host nor server"],
)
async def test_url_when_the_server_tells_less(changes, url):
    _, body = await call(echo_url, EMPTY, **changes)
    assert body["body"] == url


async def test_guard_refuses_foreign_hosts_and_origins():
    guard = HostGuard(["example.com"])
    assert (await call(echo_url, EMPTY, guard=guard))[0]["status"] == 200
    assert (await call(echo_url, EMPTY, guard=guard, headers=[(b"host", b"evil.example")]))[0]["status"] == 403
    foreign = [(b"host", b"example.com"), (b"origin", b"https://evil.example")]
    assert (await call(echo_url, EMPTY, guard=guard, headers=foreign, raw_path=b"/cdn-cgi/x"))[0]["status"] == 403
    assert (await call(echo_url, EMPTY, guard=guard, headers=foreign))[0]["status"] == 200
    own = [(b"host", b"example.com:443"), (b"origin", b"https://example.com")]
    assert (await call(echo_url, EMPTY, guard=guard, headers=own, raw_path=b"/cdn-cgi/x"))[0]["status"] == 200


async def collect(request):
    return Response(str(len(await request.bytes())))


async def test_announced_body_over_the_limit_is_413_before_the_handler():
    headers = [(b"host", b"a"), (b"content-length", b"11")]
    start, _ = await call(collect, limits=Limits(body_bytes=10), method="POST", headers=headers)
    assert start["status"] == 413


async def test_body_over_the_limit_is_413_while_it_is_read():
    chunk = {"type": "http.request", "body": b"x" * 8, "more_body": True}

    async def refusing(request):
        try:
            return await collect(request)
        except RefusedError as error:
            return Response(str(error), status=error.http_status)

    start, body = await call(refusing, chunk, chunk, limits=Limits(body_bytes=10), method="POST")
    assert start["status"] == 413
    assert b"larger than 10 bytes" in body["body"]


async def test_client_that_leaves_cancels_the_handler():
    cancelled = asyncio.Event()

    async def wait(_request):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert await call(wait, LEFT) == []
    assert cancelled.is_set()


async def test_client_that_leaves_during_its_upload_is_no_error():
    host = FakeHost()
    chunk = {"type": "http.request", "body": b"x", "more_body": True}
    assert await call(collect, chunk, LEFT, host=host, method="POST") == []
    assert host.log.events("error") == []


async def test_stream_is_sent_chunk_by_chunk_and_closed():
    closed = []

    async def chunks():
        try:
            yield b"a"
            yield b""
            yield b"b"
        finally:
            closed.append(True)

    def stream(_request):
        response = Response("")
        replace_wire_body(response, Body(chunks=chunks()))
        return response

    _, *bodies = await call(stream, EMPTY)
    assert [(m["body"], m["more_body"]) for m in bodies] == [(b"a", True), (b"b", True), (b"", False)]
    assert closed


async def test_body_that_fails_midway_raises_so_that_the_server_breaks_the_connection():
    async def chunks():
        yield b"a"
        raise ValueError("disk gone")

    def stream(_request):
        response = Response("")
        replace_wire_body(response, Body(chunks=chunks()))
        return response

    host = FakeHost()
    with pytest.raises(ValueError, match="disk gone"):
        await call(stream, EMPTY, host=host)
    assert host.log.events("error") == ["response_body_failed"]


async def test_exception_answers_500_without_its_reason():
    host = FakeHost()
    start, body = await call(lambda _request: 1 / 0, EMPTY, host=host)
    assert (start["status"], body["body"]) == (500, b"Internal Server Error\n")
    assert host.log.events("error") == ["request_failed"]


async def lifespan_messages(app, *events):
    queue, sent = list(events), []

    async def receive():
        return {"type": f"lifespan.{queue.pop(0)}"}

    async def send(message):
        sent.append(message)

    await app({"type": "lifespan"}, receive, send)
    return sent


async def test_lifespan_opens_and_closes():
    steps = []

    @asynccontextmanager
    async def live():
        steps.append("open")
        yield
        steps.append("close")

    app = asgi_app(Handler(echo_url), FakeHost(), Limits(), lifespan=live())
    sent = await lifespan_messages(app, "startup", "shutdown")
    assert [m["type"] for m in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert steps == ["open", "close"]


async def test_lifespan_that_fails_says_why():
    @asynccontextmanager
    async def live():
        raise RuntimeError("state folder in use")
        yield

    app = asgi_app(Handler(echo_url), FakeHost(), Limits(), lifespan=live())
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    with pytest.raises(RuntimeError):
        await app({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "state folder in use"}]


async def test_websocket_is_closed_with_a_sentence():
    app = asgi_app(Handler(echo_url), FakeHost(), Limits())
    sent = []

    async def send(message):
        sent.append(message)

    await app({"type": "websocket"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1011, "reason": NO_WEBSOCKETS}]


async def test_an_answer_that_is_a_websocket_is_501_with_a_sentence():
    socket = WebSocketAnswer(lambda _socket: asyncio.sleep(0))
    start, body = await call(lambda _request: Response(status=101, web_socket=socket), EMPTY)
    assert (start["status"], body["body"]) == (501, f"{NO_WEBSOCKETS}\n".encode())


async def test_unknown_scope_is_refused():
    app = asgi_app(Handler(echo_url), FakeHost(), Limits())
    with pytest.raises(ValueError, match="'mqtt' is not known here"):
        await app({"type": "mqtt"}, None, None)
