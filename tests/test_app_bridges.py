"""ASGI and WSGI apps as Workers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from edge import Request, WorkerEntrypoint
from edge.runtime import asgi_bridge, wsgi_bridge
from edge.runtime.core.body import Body
from edge.runtime.core.context import Context, Invocation, PendingWork, current_invocation
from edge.runtime.core.env import Env
from edge.runtime.core.errors import UnsupportedError
from edge.runtime.core.request import incoming_request
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def post(body: Any = "hello", path: str = "/a%2Fb/%C3%BC?q=1") -> Request:
    return incoming_request(
        "POST", f"http://t.com:81{path}", [(b"X-A", b"1"), (b"Content-Type", b"text/x")], Body(body.encode())
    )


async def whole(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise NotImplementedError
    body, message = b"", {"more_body": True}
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    headers = [(b"X-Path", scope["raw_path"]), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def test_whole_answer() -> None:
    response = await asgi_bridge.fetch(whole, post(), {})
    assert (response.status, await response.text()) == (201, "hello")
    assert response.headers["x-path"] == "/a%2Fb/%C3%BC"
    assert response.headers.get_all("set-cookie") == ["a", "b"]
    assert "content-type" not in response.headers


async def test_scope() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await whole(scope, receive, send)

    await asgi_bridge.fetch(app, post().js_object, "the env")
    scope = seen[1]
    assert (scope["method"], scope["scheme"], scope["path"], scope["query_string"]) == (
        "POST",
        "http",
        "/a/b/ü",
        b"q=1",
    )
    assert (scope["headers"], scope["env"]) == ([(b"x-a", b"1"), (b"content-type", b"text/x")], "the env")
    assert (scope["http_version"], scope["asgi"]["version"]) == ("1.1", "3.0")
    assert not {"client", "server", "root_path"} & scope.keys()


def lifespan_app(events: list[str]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            events.append(f"request {scope['state']}")
            await whole(scope, receive, send)
            return
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["db"] = 1
        events.append("startup")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    return app


async def test_lifespan_runs_around_every_request() -> None:
    events: list[str] = []
    for _ in range(2):
        await asgi_bridge.fetch(lifespan_app(events), post(), {})
    assert events == ["startup", "request {'db': 1}", "shutdown"] * 2


async def test_failed_startup_is_raised() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match=r"^no database$"):
        await asgi_bridge.fetch(app, post(), {})


@pytest.fixture
def pending() -> Iterator[PendingWork]:
    host = FakeHost()
    work = PendingWork(host)
    token = current_invocation.set(Invocation(Env({}), Context(work), host))
    yield work
    current_invocation.reset(token)


def streaming_app(ended: list[str], count: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(count):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b"."})
        ended.append("app")

    return app


async def test_answer_with_more_body_streams_and_the_app_waits_for_the_client(pending: PendingWork) -> None:
    ended: list[str] = []
    response = await asgi_bridge.fetch(streaming_app(ended, 100), post(), {})
    for _ in range(50):
        await asyncio.sleep(0)
    assert ended == []
    assert await response.text() == "x" * 100 + "."
    await pending.drain()
    assert ended == ["app"]


async def test_a_client_that_leaves_lets_the_app_end(pending: PendingWork) -> None:
    ended: list[str] = []
    response = await asgi_bridge.fetch(streaming_app(ended, 100), post(), {})
    del response
    await pending.drain()
    assert ended == ["app"]


async def test_error_before_the_answer_is_logged_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        if scope["type"] == "http":
            raise ValueError("broken")

    with caplog.at_level(logging.ERROR, "asgi"), pytest.raises(ValueError, match="broken"):
        await asgi_bridge.fetch(app, post(), {})
    assert caplog.messages == ["ASGI request failed"]


async def test_error_after_the_answer_is_only_logged(caplog: pytest.LogCaptureFixture, pending: PendingWork) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            raise ValueError("broken")

    with caplog.at_level(logging.ERROR, "asgi"):
        assert await (await asgi_bridge.fetch(app, post(), {})).text() == "x"
        await pending.drain()
    assert caplog.messages == ["Exception in ASGI application after response started"]


async def test_an_app_without_an_answer_says_so() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None: ...

    with pytest.raises(RuntimeError, match=r"^The application did not generate a response$"):
        await asgi_bridge.fetch(app, post(), {})


@pytest.mark.parametrize("bridge", [asgi_bridge, wsgi_bridge], ids=["asgi", "wsgi"])
async def test_entrypoint_is_a_default_class(bridge: Any) -> None:
    default = bridge.entrypoint(whole if bridge is asgi_bridge else wsgi_app)
    assert issubclass(default, WorkerEntrypoint)
    assert default.__name__ == "Default"
    assert "hello" in await (await default(None, {}).fetch(post())).text()


async def test_websockets_are_refused_with_a_sentence() -> None:
    with pytest.raises(UnsupportedError, match="WebSockets are not in Edge yet"):
        await asgi_bridge.websocket(whole, post())


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^encode_body must be one of \('automatic', 'manual'\), got 'x'$"):
        asgi_bridge.Options(encode_body="x")  # type: ignore[arg-type]  # the mistake under test


async def test_a_starlette_app_answers() -> None:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def items(request: Any) -> Any:
        return JSONResponse({"id": request.path_params["id"], "env": request.scope["env"]})

    app = Starlette(routes=[Route("/items/{id}", items)])
    response = await asgi_bridge.fetch(app, Request("http://t.com/items/5"), "E")
    assert await response.json() == {"id": "5", "env": "E"}


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    body = environ["wsgi.input"].read(3) + environ["wsgi.input"].read()
    start_response("201 Made", [("X-Path", environ["PATH_INFO"]), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
    yield b""
    yield body
    yield b"|" + environ["QUERY_STRING"].encode()
    yield b"|" + str(environ["workers.env"]).encode()


async def test_wsgi_app_reads_the_body_lazily_and_streams() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b"he", b"", b"llo"):
            yield part

    request = incoming_request("POST", "http://t.com/%C3%BC?q=1", [(b"x-a", b"1")], Body(chunks=chunks()))
    response = await wsgi_bridge.fetch(wsgi_app, request, "E")
    assert (response.status, response.status_text) == (201, "Made")
    assert response.headers["x-path"] == "/Ã¼"
    assert response.headers.get_all("set-cookie") == ["a", "b"]
    assert await response.text() == "hello|q=1|E"


async def test_wsgi_environ() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    response = await wsgi_bridge.fetch(app, post(), {})
    assert (response.status, response.body) == (204, None)
    wanted = {"REQUEST_METHOD": "POST", "SERVER_NAME": "t.com", "SERVER_PORT": "81", "CONTENT_TYPE": "text/x"}
    assert wanted.items() <= seen.items()
    assert seen["HTTP_X_A"] == "1"


async def test_wsgi_result_is_closed_at_the_end_and_when_it_fails() -> None:
    class Result:
        def __init__(self, *chunks: bytes) -> None:
            self.chunks, self.is_closed = iter(chunks), False

        def __iter__(self) -> Iterator[bytes]:
            yield from self.chunks

        def close(self) -> None:
            self.is_closed = True

    def app(environ: dict[str, Any], start_response: Any) -> Result:
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", [])
        return result

    result = Result(b"a", b"b")
    assert await (await wsgi_bridge.fetch(app, Request("http://t.com/"), {})).text() == "ab"
    assert result.is_closed
    result = Result(b"a")
    with pytest.raises(RuntimeError, match=r"^The WSGI application did not call start_response\(\)$"):
        await wsgi_bridge.fetch(app, Request("http://t.com/x"), {})
    assert result.is_closed
