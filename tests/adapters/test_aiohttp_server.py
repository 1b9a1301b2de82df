"""What the HTTP server promises beyond the contract: order, streaming, limits in time, draining."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from aiohttp import http_parser

from edge.runtime.adapters.aiohttp_server import HttpServer
from edge.runtime.adapters.listening import open_sockets
from edge.runtime.core.body import Body
from edge.runtime.core.errors import EdgeError, RefusedError
from edge.runtime.core.response import Response, replace_wire_body
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import Limits, ServerSettings

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def post(length: int, *headers: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Handler:
    """A Fetcher from a function; sync or async."""

    def __init__(self, function):
        self._function = function

    async def fetch(self, request):
        answer = self._function(request)
        return await answer if hasattr(answer, "__await__") else answer


HELLO = Handler(lambda _request: Response("hello"))


class Client:
    """A connection that is read and written by hand."""

    @classmethod
    async def to(cls, server, ip="127.0.0.1"):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(ip, server.port)
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, mark):
        async with asyncio.timeout(60):
            return await self.reader.readuntil(mark)

    async def rest(self):
        async with asyncio.timeout(60):
            return await self.reader.read()


async def reached(condition):
    """Let the loop run until `condition()`; a test that waits for what never comes fails."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is awaited is the server's state, which tells nobody
            await asyncio.sleep(0)


# Connections.


async def test_keep_alive_and_pipelined_requests_are_answered_in_order(serving, exchange):
    async def slow_first(request):
        if request.url.endswith("/0"):
            await asyncio.sleep(0)
        return Response(request.url[-1])

    sent = b"".join(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i for i in range(9))
    async with serving(Handler(slow_first)) as server:
        raw = await exchange(server, sent + LAST.replace(b"/last", b"/9"))
    assert [answer[-1:] for answer in raw.split(b"HTTP/1.1 200 OK")[1:]] == [b"%d" % i for i in range(10)]


async def test_more_pipelined_requests_than_are_read_ahead_are_all_answered(serving, exchange):
    async with serving(HELLO) as server:
        raw = await exchange(server, GET * 500 + LAST)
    assert raw.count(b"HTTP/1.1 200 OK") == 501


async def test_http_10_closes_unless_asked(serving, exchange):
    async with serving(HELLO) as server:
        raw = await exchange(server, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert raw.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in raw


async def test_http_10_stream_ends_with_the_connection(serving, exchange):
    async def chunks():
        yield b"a"
        yield b"b"

    async with serving(Handler(lambda _: stream(chunks()))) as server:
        raw = await exchange(server, b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n")
    assert raw.endswith(b"\r\n\r\nab")
    assert b"transfer-encoding" not in raw


async def test_answer_tells_no_server_name(serving, exchange):
    async with serving(HELLO) as server:
        raw = await exchange(server, LAST)
    assert b"server:" not in raw.lower()
    assert raw.count(b"date: ") == 1


async def test_exception_answers_500_and_the_connection_lives(serving, exchange):
    def fail(request):
        if request.url.endswith("/last"):
            return Response("fine")
        raise ValueError("secret")

    async with serving(Handler(fail)) as server:
        raw = await exchange(server, GET + LAST)
        assert server.host.log.events("error") == ["request_failed"]
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert raw.endswith(b"fine")
    assert b"secret" not in raw


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError()], ids=type)
async def test_handler_cannot_stop_the_server(serving, exchange, error):
    def stop(_request):
        raise error

    async with serving(Handler(stop)) as server:
        assert (await exchange(server, LAST)).startswith(b"HTTP/1.1 500 ")


async def test_refusal_raised_by_the_handler_is_its_answer(serving, exchange):
    def refuse(_request):
        raise RefusedError(413, "Too much.")

    async with serving(Handler(refuse)) as server:
        raw = await exchange(server, LAST)
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert raw.endswith(b"Too much.\n")


async def test_localhost_is_answered_on_both_loopbacks():
    server = HttpServer(FakeHost(), Limits(), ServerSettings())
    await server.start(HELLO, open_sockets("localhost", 0))
    try:
        assert server.urls == [f"http://127.0.0.1:{server.port}", f"http://[::1]:{server.port}"]
        for ip in ("127.0.0.1", "::1"):
            async with await Client.to(server, ip) as client:
                await client.send(LAST)
                assert (await client.rest()).endswith(b"hello")
    finally:
        await server.close()


async def test_parser_that_is_not_the_compiled_one_is_refused(monkeypatch):
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(EdgeError, match="without its C parser"):
        HttpServer(FakeHost(), Limits(), ServerSettings())


# Streaming out.


def stream(chunks, **options):
    response = Response("", **options)
    replace_wire_body(response, Body(chunks=chunks))
    return response


async def test_chunk_is_sent_when_it_is_made(serving):
    go_on = asyncio.Event()

    async def chunks():
        yield b"first"
        await go_on.wait()
        yield b"second"

    async with serving(Handler(lambda _: stream(chunks()))) as server, await Client.to(server) as client:
        await client.send(GET)
        assert (await client.until(b"first\r\n")).startswith(b"HTTP/1.1 200 OK")
        go_on.set()
        assert await client.until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"


async def test_slow_reader_slows_the_handler(serving):
    made = []

    async def chunks():
        for i in range(400):
            made.append(i)
            yield b"x" * 65536

    async with serving(Handler(lambda _: stream(chunks()))) as server, await Client.to(server) as client:
        client.writer.transport.pause_reading()
        await client.send(LAST)
        await reached(lambda: any(c.writing_paused for c in server._connections))
        assert len(made) < 350
        client.writer.transport.resume_reading()
        assert (await client.rest()).endswith(b"0\r\n\r\n")


async def test_client_that_leaves_ends_the_handlers_body(serving):
    ended = asyncio.Event()

    async def chunks():
        try:
            while True:
                yield b"tick"
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with serving(Handler(lambda _: stream(chunks()))) as server:
        async with await Client.to(server) as client:
            await client.send(GET)
            await client.until(b"tick")
        await asyncio.wait_for(ended.wait(), 60)


@pytest.mark.parametrize("leave", ["close", "write_eof"])
async def test_client_that_leaves_cancels_the_handler(serving, leave):
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_request):
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(Handler(wait)) as server:
        async with await Client.to(server) as client:
            await client.send(GET)
            await began.wait()
            getattr(client.writer, leave)()
            await asyncio.wait_for(cancelled.wait(), 60)
        await reached(lambda: not server._connections)


async def test_body_that_fails_midway_breaks_the_connection(serving):
    async def chunks():
        yield b"part"
        raise ValueError("disk gone")

    async with serving(Handler(lambda _: stream(chunks()))) as server, await Client.to(server) as client:
        await client.send(GET)
        await client.until(b"part\r\n")
        with suppress(ConnectionResetError):
            assert await client.rest() == b""
        assert server.host.log.events("error") == ["response_body_failed"]


@pytest.mark.parametrize("length", ["3", "9"])
async def test_body_of_another_length_than_announced_is_never_passed_off_as_whole(serving, length):
    async def chunks():
        yield b"12345"

    handler = Handler(lambda _: stream(chunks(), headers={"content-length": length}))
    async with serving(handler) as server, await Client.to(server) as client:
        await client.send(GET)
        raw = b""
        with suppress(ConnectionResetError):
            raw = await client.rest()
        assert len(raw.partition(b"\r\n\r\n")[2]) != int(length)
        assert server.host.log.events("error") == ["response_body_failed"]


async def test_announced_length_of_a_stream_is_sent(serving, exchange):
    async def chunks():
        yield b"12345"

    async with serving(Handler(lambda _: stream(chunks(), headers={"content-length": "5"}))) as server:
        raw = await exchange(server, LAST)
    assert b"content-length: 5\r\n" in raw
    assert raw.endswith(b"\r\n\r\n12345")


# Streaming in.


async def collect(request):
    return Response(str(len(await request.bytes())))


async def test_upload_arrives_in_chunks_while_it_is_sent(serving):
    async def echo_first(request):
        return Response((await anext(request._body.chunks())).decode())

    async with serving(Handler(echo_first)) as server, await Client.to(server) as client:
        await client.send(post(100))
        await client.send(b"first")
        assert (await client.until(b"first")).startswith(b"HTTP/1.1 200 OK")


async def test_slow_handler_slows_the_upload(serving):
    read = asyncio.Event()

    async def late(request):
        await read.wait()
        return await collect(request)

    size = 16 * 1024 * 1024
    async with serving(Handler(late)) as server, await Client.to(server) as client:
        client.writer.write(post(size, "Connection: close"))
        sending = asyncio.ensure_future(client.send(bytes(size)))
        await reached(lambda: any(c._reading_paused for c in server._connections))
        assert not sending.done()
        (connection,) = server._connections
        assert connection._body.total_bytes < 1024 * 1024
        read.set()
        await sending
        assert (await client.rest()).endswith(b"\r\n\r\n%d" % size)


async def test_continue_is_sent_when_the_handler_reads(serving):
    async with serving(Handler(collect)) as server, await Client.to(server) as client:
        await client.send(post(5, "Expect: 100-continue"))
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        assert (await client.until(b"\r\n\r\n5")).startswith(b"HTTP/1.1 200 OK")


async def test_continue_is_sent_before_an_answer_that_is_made_of_the_body(serving):
    async def echo(request):
        return Response(request.body)

    async with serving(Handler(echo)) as server, await Client.to(server) as client:
        await client.send(post(5, "Expect: 100-continue"))
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        assert (await client.rest()).endswith(b"\r\n\r\nhello")


async def test_no_continue_when_the_handler_does_not_read(serving, exchange):
    async with serving(HELLO) as server:
        raw = await exchange(server, post(5, "Expect: 100-continue"))
    assert raw.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in raw


async def test_unread_small_body_keeps_the_connection(serving, exchange):
    async with serving(HELLO) as server:
        raw = await exchange(server, post(5), b"hello", LAST)
    assert raw.count(b"HTTP/1.1 200 OK") == 2


async def test_unread_large_body_closes_it(serving, exchange):
    async with serving(HELLO) as server:
        raw = await exchange(server, post(10_000_000), b"hello")
    assert b"connection: close" in raw


async def test_body_cannot_be_read_after_the_answer(serving):
    kept = []

    def keep(request):
        kept.append(request)
        return Response("x")

    async with serving(Handler(keep)) as server, await Client.to(server) as client:
        await client.send(post(10_000_000))
        await client.until(b"x")
        with pytest.raises(OSError, match="cannot be read after the answer"):
            await kept[0].bytes()


async def test_announced_body_over_the_limit_is_413_before_the_handler(serving, exchange):
    async with serving(HELLO, limits=Limits(body_bytes=10)) as server:
        raw = await exchange(server, post(11))
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert b"larger than 10 bytes (body_bytes under [limits]" in raw


@pytest.mark.parametrize(
    "pieces", [[b"b\r\nhello world\r\n0\r\n\r\n"], [b"6\r\nhello \r\n", b"5\r\nworld\r\n", b"0\r\n\r\n"]]
)
async def test_chunked_body_over_the_limit_is_413_while_it_is_read(serving, exchange, pieces):
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(Handler(collect), limits=Limits(body_bytes=10)) as server:
        raw = await exchange(server, head, *pieces)
    assert raw.startswith(b"HTTP/1.1 413 ")


async def test_json_is_decoded_with_the_given_decoder(serving):
    async with serving(Handler(lambda _: Response("x"))) as server:
        assert server.decode_json is json.loads


# Time. The tick's time is given by hand.


async def test_headers_that_do_not_arrive_are_408(serving):
    async with serving(HELLO) as server, await Client.to(server) as client:
        await client.send(GET[:20])
        await reached(lambda: any(c._head_bytes for c in server._connections))
        server.tick(server.now + 9)
        server.tick(server.now + 2)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_connection_that_never_asks_is_closed_without_a_word(serving):
    async with serving(HELLO) as server, await Client.to(server) as client:
        await reached(lambda: server._connections)
        server.tick(server.now + 11)
        assert await client.rest() == b""


async def test_trickled_headers_win_no_time(serving):
    async with serving(HELLO) as server, await Client.to(server) as client:
        await client.send(GET)
        await client.until(b"hello")
        (connection,) = server._connections
        start = server.now
        for i in range(12):
            await client.send(GET[i : i + 1])
            await reached(lambda count=i: connection._head_bytes > count or connection._is_input_over)
            server.tick(start + i)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_idle_connection_is_closed_after_keep_alive(serving):
    async with serving(HELLO) as server, await Client.to(server) as client:
        await client.send(GET)
        await client.until(b"hello")
        server.tick(server.now + 74)
        await client.send(GET)
        await client.until(b"hello")
        server.tick(server.now + 76)
        assert await client.rest() == b""


async def test_body_slower_than_the_rate_is_408(serving):
    async with serving(Handler(collect)) as server, await Client.to(server) as client:
        await client.send(post(100_000) + b"x" * 20_000)
        await reached(lambda: any(c._body.total_bytes for c in server._connections))
        server.tick(server.now + 11)
        server.tick(server.now + 11)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_body_is_not_cut_while_the_handler_is_slow(serving):
    read = asyncio.Event()

    async def late(request):
        await read.wait()
        return await collect(request)

    size = 16 * 1024 * 1024
    async with serving(Handler(late)) as server, await Client.to(server) as client:
        client.writer.write(post(size, "Connection: close"))
        sending = asyncio.ensure_future(client.send(bytes(size)))
        await reached(lambda: any(c._reading_paused for c in server._connections))
        for _ in range(5):
            server.tick(server.now + 60)
        read.set()
        await sending
        assert (await client.rest()).endswith(b"\r\n\r\n%d" % size)


async def test_reader_that_stalls_is_cut(serving):
    async def chunks():
        while True:
            yield b"x" * 65536

    async with serving(Handler(lambda _: stream(chunks()))) as server, await Client.to(server) as client:
        client.writer.transport.pause_reading()
        await client.send(GET)
        await reached(lambda: any(c.writing_paused for c in server._connections))
        server.tick(server.now + 29)
        assert server._connections
        server.tick(server.now + 31)
        await reached(lambda: not server._connections)


async def test_reader_that_stalls_on_the_last_answer_is_cut(serving):
    body = "x" * 16 * 1024 * 1024
    async with serving(Handler(lambda _: Response(body))) as server, await Client.to(server) as client:
        client.writer.transport.pause_reading()
        await client.send(LAST)
        await reached(lambda: any(c._unsent_bytes() for c in server._connections))
        server.tick(server.now + 31)
        server.tick(server.now + 31)
        await reached(lambda: not server._connections)


async def test_handler_may_take_as_long_as_it_needs(serving):
    go_on = asyncio.Event()

    async def wait(_request):
        await go_on.wait()
        return Response("done")

    async with serving(Handler(wait)) as server, await Client.to(server) as client:
        await client.send(GET)
        await reached(lambda: any(c._is_answering for c in server._connections))
        server.tick(server.now + 3600)
        go_on.set()
        await client.until(b"done")


async def test_connections_of_one_address_are_capped(serving):
    async with serving(HELLO, limits=Limits(connections_per_address=2)) as server:
        async with await Client.to(server) as first, await Client.to(server) as second:
            for client in (first, second):
                await client.send(GET)
                await client.until(b"hello")
            async with await Client.to(server) as third:
                assert (await third.rest()).startswith(b"HTTP/1.1 503 ")
        await reached(lambda: not server._connections)
        async with await Client.to(server) as fourth:
            await fourth.send(GET)
            await fourth.until(b"hello")


# Draining.


async def test_drain_finishes_an_upload_in_flight_and_refuses_new_connections(serving):
    async with serving(Handler(collect)) as server, await Client.to(server) as client:
        await client.send(post(10) + b"hello")
        await reached(lambda: any(c._is_answering for c in server._connections))
        draining = asyncio.ensure_future(server.drain(60))
        await reached(lambda: not server._listeners)
        with pytest.raises(ConnectionRefusedError):
            await Client.to(server)
        await client.send(b"world")
        raw = await client.rest()
        assert raw.endswith(b"\r\n\r\n10")
        assert b"connection: close" in raw
        assert await draining


async def test_drain_closes_idle_connections_at_the_next_tick(serving):
    async with serving(HELLO) as server, await Client.to(server) as client:
        await client.send(GET)
        await client.until(b"hello")
        draining = asyncio.ensure_future(server.drain(60))
        await reached(lambda: server.is_draining)
        server.tick(server.now)
        assert await client.rest() == b""
        assert await draining


@pytest.mark.parametrize(
    ("content_type", "is_cut"), [("text/event-stream", True), ("text/plain", False)], ids=["events", "a body"]
)
async def test_drain_ends_what_has_no_end_at_the_next_tick(serving, content_type, is_cut):
    closed = asyncio.Event()

    async def forever():
        try:
            yield b": open\n\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def answer(_request):
        return Response(forever(), headers={"content-type": content_type})

    async with serving(Handler(answer)) as server, await Client.to(server) as client:
        await client.send(GET)
        await client.until(b": open")
        draining = asyncio.ensure_future(server.drain(60 if is_cut else 0))
        await reached(lambda: server.is_draining)
        server.tick(server.now)
        assert await draining is is_cut
        assert closed.is_set() is is_cut


async def test_drain_does_not_wait_for_who_does_not_read_what_has_no_end(serving):
    async def forever():
        while True:
            yield b"x" * 1024 * 1024

    async def answer(_request):
        return Response(forever(), headers={"content-type": "text/event-stream"})

    async with serving(Handler(answer)) as server, await Client.to(server) as client:
        await client.send(GET)
        await reached(lambda: any(one.writing_paused for one in server._connections))
        draining = asyncio.ensure_future(server.drain(60))
        await reached(lambda: server.is_draining)
        server.tick(server.now)
        assert await draining


async def test_drain_gives_up_and_close_cancels(serving):
    cancelled = asyncio.Event()

    async def wait(_request):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(Handler(wait)) as server, await Client.to(server) as client:
        await client.send(GET)
        await reached(lambda: any(c._is_answering for c in server._connections))
        assert not await server.drain(0)
        await server.close()
        assert cancelled.is_set()
