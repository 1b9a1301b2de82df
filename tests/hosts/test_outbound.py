"""`fetch` over real sockets: streaming, redirects, decoding, failures."""

from __future__ import annotations

import asyncio
import errno
import gzip
import re
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from edge import Request
from edge.runtime.core.fetch_errors import AbortError, AddressRefusedError
from edge.runtime.hosts import outbound, outbound_failures
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


async def not_packed(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"plain", headers={"content-encoding": "gzip"})


@pytest.fixture
async def site() -> AsyncIterator[str]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/echo", echo)
    app.router.add_route("*", "/a%2Fb", echo)
    app.router.add_route("*", "/redirect/{status}", redirect)
    for path, handler in {
        "/packed": other,
        "/not-packed": not_packed,
        "/cut": cut,
        "/large": large,
        "/loop": loop,
    }.items():
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


@pytest.mark.parametrize("path", ["/echo", "/redirect/307"])
async def test_no_connection_is_made_to_an_address_that_the_callers_rule_refuses(site: str, path: str) -> None:
    """Not even one that is open already, made for a caller without a rule."""
    await (await ask(f"{site}/echo")).bytes()
    asked: list[str] = []

    def refuse(address: str) -> bool:
        asked.append(address)
        return False

    with pytest.raises(AddressRefusedError, match="the address may not be connected to") as caught:
        await outbound.send_request(Request(site + path), may_connect=refuse)
    assert (caught.value.address, asked) == ("127.0.0.1", ["127.0.0.1"])


async def test_a_redirect_leads_only_where_the_callers_rule_allows(site: str) -> None:
    answers = [True, False]
    to = site.replace("127.0.0.1", "localhost") + "/echo"
    with pytest.raises(AddressRefusedError):
        await outbound.send_request(Request(f"{site}/redirect/302?to={to}"), may_connect=lambda _: answers.pop(0))
    assert answers == []


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
        with pytest.raises(AbortError, match=r"GET http://127\.0\.0\.1:\d+ got no answer: nobody listens there\.$"):
            await ask(url)
    await outbound.aclose()


async def test_a_cut_answer_is_an_abort_error(site: str) -> None:
    response = await ask(f"{site}/cut")
    with pytest.raises(AbortError, match=r"is not whole: the connection ended before the body did\.$"):
        await response.bytes()


async def test_an_answer_that_cannot_be_unpacked_is_an_abort_error(site: str) -> None:
    response = await ask(f"{site}/not-packed")
    with pytest.raises(AbortError, match=r"is not whole: its body is not what its content-encoding says\.$"):
        await response.bytes()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"", "the connection was closed before an answer came."), (b"SSH-2.0-x\r\n\r\n", "what came is no HTTP answer.")],
    ids=["closed", "no-http"],
)
async def test_a_server_of_another_kind_is_an_abort_error(sent: bytes, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AbortError, match=rf"^GET http://127\.0\.0\.1:{port} got no answer: {re.escape(reason)}$"):
            await ask(f"http://127.0.0.1:{port}/")
    await outbound.aclose()


async def test_tls_to_a_plain_server_is_an_abort_error(site: str) -> None:
    with pytest.raises(AbortError, match=r"got no answer: it speaks no TLS that both sides know"):
        await ask(site.replace("http:", "https:"))


_KEY = aiohttp.client_reqrep.ConnectionKey("h.example", 443, True, True, None, None, None)
FAILURES: dict[str, BaseException] = {
    "no connection was made within 30 seconds.": aiohttp.ConnectionTimeoutError("x"),
    "nothing came for 100 seconds.": aiohttp.SocketTimeoutError("x"),
    "it took too long.": TimeoutError(),
    "there is no host of the name h.example.": aiohttp.ClientConnectorDNSError(_KEY, OSError(-2, "x")),
    "its certificate was refused: it could not be checked.": aiohttp.ClientConnectorCertificateError(_KEY, Exception()),
    "it speaks no TLS that both sides know, or none at all.": aiohttp.ClientConnectorSSLError(_KEY, OSError(1, "x")),
    "nobody listens there.": aiohttp.ClientConnectorError(_KEY, OSError(errno.ECONNREFUSED, "x")),
    "there is no way to it from here.": aiohttp.ClientConnectorError(_KEY, OSError(errno.ENETUNREACH, "x")),
    "it could not be connected to (EMFILE).": aiohttp.ClientConnectorError(_KEY, OSError(errno.EMFILE, "x")),
    "the connection ended before the body did.": aiohttp.ClientPayloadError("x"),
    "what came is no HTTP answer.": aiohttp.ClientResponseError(None, ()),  # type: ignore[arg-type]  # unused
    "that is no URL.": aiohttp.InvalidURL("x"),
    "the connection was closed before an answer came.": aiohttp.ServerDisconnectedError(),
    "the connection was cut.": aiohttp.ClientOSError(errno.ECONNRESET, "x"),
    "the client refused it (ClientError).": aiohttp.ClientError("x"),
    "it cannot be sent: bad header": ValueError("bad header\nmore"),
}


@pytest.mark.parametrize("sentence", FAILURES)
def test_failures_have_sentences_of_our_own(sentence: str) -> None:
    assert outbound_failures.reason_of(FAILURES[sentence]) == sentence


def test_every_row_of_the_table_is_walked() -> None:
    rows = [foreign for foreign, _ in outbound_failures.REASONS]
    errors = [*FAILURES.values(), HttpProcessingError(), OSError()]
    assert {next(row for row in rows if isinstance(error, row)) for error in errors} == set(rows)


async def test_other_schemes_are_refused() -> None:
    with pytest.raises(AbortError, match="Fetch API cannot load: ftp://x/"):
        await ask("ftp://x/")


async def test_a_machine_closes_its_connections(site: str, tmp_path: Path) -> None:
    machine = LocalMachine(tmp_path, RecordingLog())
    assert (await machine.fetch(Request(f"{site}/echo"))).ok
    await machine.aclose()
    assert not outbound._sessions
