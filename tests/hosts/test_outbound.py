"""`fetch` over real sockets: streaming, redirects, decoding, failures."""

from __future__ import annotations

import gzip
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from edge import Request
from edge.runtime.core.fetch_errors import AbortError
from edge.runtime.hosts import outbound
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    seen = {
        "method": request.method,
        "path": request.raw_path,
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "size": len(body),
    }
    return web.json_response(seen)


async def redirect(request: web.Request) -> web.Response:
    status = int(request.match_info["status"])
    return web.Response(status=status, headers={"location": request.query.get("to", "/echo")})


async def loop(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"location": "/loop"})


async def other(_request: web.Request) -> web.StreamResponse:
    return web.Response(
        body=gzip.compress(b"packed" * 100),
        headers=[("content-encoding", "gzip"), ("set-cookie", "a=1"), ("set-cookie", "b=2")],
    )


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "100"})
    await response.prepare(request)
    await response.write(b"half")
    assert request.transport is not None
    request.transport.abort()
    return response


async def large(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(64):
        await response.write(b"x" * 65536)
    return response


@pytest.fixture
async def site() -> AsyncIterator[str]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/echo", echo)
    app.router.add_route("*", "/a%2Fb", echo)
    app.router.add_route("*", "/redirect/{status}", redirect)
    for path, handler in {"/packed": other, "/cut": cut, "/large": large, "/loop": loop}.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await outbound.aclose()
    await runner.cleanup()


async def ask(url: str, **options: Any) -> Any:
    return await outbound.send_request(Request(url, **options))


async def test_method_headers_and_body_arrive(site: str) -> None:
    options = {"method": "PUT", "headers": {"x-a": "b", "host": "evil.example"}, "body": "hello"}
    seen = await (await ask(f"{site}/echo", **options)).json()
    assert (seen["method"], seen["size"], seen["headers"]["x-a"]) == ("PUT", 5, "b")
    assert seen["headers"]["host"] == site.removeprefix("http://")
    assert seen["headers"]["content-type"] == "text/plain;charset=UTF-8"


async def test_the_target_is_sent_as_written(site: str) -> None:
    assert (await (await ask(f"{site}/a%2Fb?q=%2F+")).json())["path"] == "/a%2Fb?q=%2F+"


async def test_a_streamed_body_is_sent_in_chunks(site: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b"x" * 65536

    seen = await (await ask(f"{site}/echo", method="POST", body=chunks())).json()
    assert (seen["size"], seen["headers"]["transfer-encoding"]) == (32 * 65536, "chunked")


async def test_an_answer_streams(site: str) -> None:
    response = await ask(f"{site}/large")
    assert sum([len(chunk) async for chunk in response.body]) == 64 * 65536


async def test_a_packed_answer_comes_unpacked_and_says_so(site: str) -> None:
    response = await ask(f"{site}/packed")
    assert await response.bytes() == b"packed" * 100
    assert response.headers["content-encoding"] is None
    assert response.headers["content-length"] is None
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("status", "method", "arrives"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT")],
)
async def test_redirects_are_followed_as_fetch_does(site: str, status: int, method: str, arrives: str) -> None:
    response = await ask(f"{site}/redirect/{status}", method=method, body="hello")
    seen = await response.json()
    assert (seen["method"], seen["size"]) == (arrives, 0 if arrives == "GET" else 5)
    assert (response.redirected, response.url) == (True, f"{site}/echo")


async def test_manual_redirect_is_given_as_it_is(site: str) -> None:
    response = await ask(f"{site}/redirect/302", redirect="manual")
    assert (response.status, response.headers["location"], response.redirected) == (302, "/echo", False)


async def test_credentials_stay_at_their_origin(site: str) -> None:
    elsewhere = site.replace("127.0.0.1", "localhost")
    response = await ask(f"{site}/redirect/302?to={elsewhere}/echo", headers={"authorization": "secret", "x-a": "b"})
    headers = (await response.json())["headers"]
    assert "authorization" not in headers
    assert headers["x-a"] == "b"
    control = await ask(f"{site}/redirect/302", headers={"authorization": "secret"})
    assert (await control.json())["headers"]["authorization"] == "secret"


async def test_endless_redirects_end(site: str) -> None:
    with pytest.raises(AbortError, match="Too many redirects"):
        await ask(f"{site}/loop")


async def test_a_streamed_body_is_not_sent_twice(site: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"once"

    with pytest.raises(AbortError, match="can be sent only once"):
        await ask(f"{site}/redirect/307", method="POST", body=chunks())


async def test_nobody_there_is_an_abort_error_that_says_so() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(AbortError, match=r"GET http://127\.0\.0\.1:\d+ got no answer: .*[Cc]onnect"):
            await ask(url)
    await outbound.aclose()


async def test_a_cut_answer_is_an_abort_error(site: str) -> None:
    response = await ask(f"{site}/cut")
    with pytest.raises(AbortError, match="was cut"):
        await response.bytes()


async def test_other_schemes_are_refused() -> None:
    with pytest.raises(AbortError, match="Fetch API cannot load: ftp://x/"):
        await ask("ftp://x/")


async def test_a_machine_closes_its_connections(site: str, tmp_path: Path) -> None:
    machine = LocalMachine(tmp_path, RecordingLog())
    assert (await machine.fetch(Request(f"{site}/echo"))).ok
    await machine.aclose()
    assert not outbound._sessions
