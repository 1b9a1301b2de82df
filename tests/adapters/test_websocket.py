"""WebSockets on the HTTP server: the two handshakes, frames, limits in size and time, and who ends what."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager

import aiohttp
import pytest

from edge.runtime.adapters.aiohttp_websocket import (
    CLOSE_SECONDS_MAX,
    INBOX_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    MESSAGE_OVERHEAD_BYTES,
    PING_SECONDS,
)
from edge.runtime.adapters.websocket_masks import MaskWatch
from edge.runtime.core.headers import headers_of
from edge.runtime.core.response import Response
from edge.runtime.core.web_socket import WebSocketAnswer, asks_for_web_socket, offered_protocols

SOCKET_PATH = "/cdn-cgi/socket"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Sockets:
    """Answers each handshake with a handler's WebSocket, anything else with what the request looked like."""

    def __init__(self, handler):
        self.handler = handler
        self.ended = asyncio.Event()

    async def fetch(self, request):
        if request.url.endswith("/plain"):
            return Response("no socket here", status=404)
        protocol = "chat" if "chat" in offered_protocols(request.headers) else ""
        return Response(status=101, web_socket=WebSocketAnswer(self._run, protocol))

    async def _run(self, socket):
        try:
            await self.handler(socket)
        finally:
            self.ended.set()


async def echo(socket):
    while True:
        message = await socket.receive()
        await socket.send_text(message if isinstance(message, str) else f"bytes {len(message)}")


async def wait_forever(_socket):
    await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def connected(server, path=SOCKET_PATH, **options):
    """aiohttp's client, which leaves pings and closing to the test."""
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://localhost:{server.port}{path}", autoclose=False, autoping=False, **options) as ws,
    ):
        yield ws


HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)


def handshake(path=SOCKET_PATH, *more):
    return HANDSHAKE.format(path=path, more="".join(f"{line}\r\n" for line in more)).encode()


class RawClient:
    """A connection whose frames are written by hand."""

    @classmethod
    @asynccontextmanager
    async def to(cls, server):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", server.port)
        self.writer.write(handshake())
        try:
            async with asyncio.timeout(60):
                self.head = await self.reader.readuntil(b"\r\n\r\n")
                yield self
        finally:
            self.writer.close()

    def send(self, opcode, payload=b"", *, first=0x80):
        assert len(payload) < 126
        self.writer.write(struct.pack("!BB4x", first | opcode, 0x80 | len(payload)) + payload)  # a mask of zeros

    async def frame(self):
        opcode, size = struct.unpack("!BB", await self.reader.readexactly(2))
        return opcode & 0x0F, await self.reader.readexactly(size)

    async def close_code(self):
        while (frame := await self.frame())[0] != CLOSE:
            pass
        return struct.unpack("!H", frame[1][:2])[0]


# The opening handshake.


async def test_handshake_is_answered_as_the_rfc_has_it(serving):
    async with serving(Sockets(echo)) as server, RawClient.to(server) as client:
        status, *lines = client.head.decode().lower().split("\r\n")
        assert status == "http/1.1 101 switching protocols"
        assert {"upgrade: websocket", "connection: upgrade"} <= set(lines)
        assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in lines
        assert not [line for line in lines if line.startswith(("content-length", "transfer-encoding"))]


async def test_one_of_the_offered_protocols_is_spoken(serving):
    async with serving(Sockets(echo)) as server, connected(server, protocols=("x", "chat")) as ws:
        assert ws.protocol == "chat"


async def test_another_version_is_told_which_one_is_spoken(serving, exchange):
    async with serving(Sockets(echo)) as server:
        raw = await exchange(server, handshake().replace(b"Version: 13", b"Version: 8"))
    assert raw.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nsec-websocket-version: 13\r\n" in raw
    assert b"\r\nupgrade: websocket\r\n" in raw
    assert b"Only version 13 of the WebSocket protocol is spoken here." in raw


async def test_a_handshake_over_http_10_is_refused(serving, exchange):
    async with serving(Sockets(echo)) as server:
        raw = await exchange(server, handshake().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert raw.split(b" ")[1] == b"400"
    assert b"A WebSocket is asked for over HTTP/1.1." in raw


async def test_a_plain_request_to_a_socket_is_told_to_upgrade(serving, exchange):
    async with serving(Sockets(echo)) as server:
        plain = f"GET {SOCKET_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        raw = await exchange(server, plain.encode())
    assert raw.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nconnection: upgrade, close\r\n" in raw
    assert b"Only WebSockets are answered here: ask for an upgrade." in raw


async def test_an_answer_that_is_no_socket_ends_the_connection(serving, exchange):
    async with serving(Sockets(echo)) as server:
        raw = await exchange(server, handshake(f"{SOCKET_PATH}/plain"))
    assert raw.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close" in raw


@pytest.mark.parametrize(
    ("line", "status"),
    [("Origin: http://evil.example", 403), ("Sec-Fetch-Site: cross-site", 403), ("Origin: http://localhost", 101)],
)
async def test_a_page_of_another_origin_gets_no_socket(serving, line, status):
    async with serving(Sockets(echo)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake(SOCKET_PATH, line))
        assert (await reader.readline()).startswith(b"HTTP/1.1 %d " % status)
        writer.close()


async def test_a_foreign_host_gets_no_socket(serving, exchange):
    async with serving(Sockets(echo)) as server:
        raw = await exchange(server, handshake().replace(b"Host: localhost", b"Host: evil.example"))
    assert raw.startswith(b"HTTP/1.1 403 ")


async def test_a_workers_own_upgrade_is_501_with_a_sentence(serving, exchange):
    async with serving(Sockets(echo)) as server:
        raw = await exchange(server, handshake("/chat"))
    assert raw.startswith(b"HTTP/1.1 501 ")
    assert b"A Worker cannot answer WebSockets yet" in raw


def test_only_both_headers_ask_for_a_socket():
    assert asks_for_web_socket(headers_of({"upgrade": "WebSocket", "connection": "keep-alive, Upgrade"}))
    assert not asks_for_web_socket(headers_of({"upgrade": "websocket"}))
    assert not asks_for_web_socket(headers_of({"connection": "upgrade", "upgrade": "h2c"}))


# Messages.


async def test_texts_and_bytes_of_any_size_come_and_go(serving):
    async with serving(Sockets(echo)) as server, connected(server) as ws:
        for text in ("", "hello", "ü" * 200, "x" * 100_000):
            await ws.send_str(text)
            assert await ws.receive_str() == text
        await ws.send_bytes(b"\0" * 300)
        assert await ws.receive_str() == "bytes 300"


async def test_a_message_in_pieces_is_one_message_and_a_ping_between_them_is_answered(serving):
    async with serving(Sockets(echo)) as server, RawClient.to(server) as client:
        client.send(TEXT, b"one ", first=0)
        client.send(PING, b"still there?")
        client.send(0, b"message")
        assert await client.frame() == (PONG, b"still there?")
        assert await client.frame() == (TEXT, b"one message")


async def test_a_client_that_leaves_off_mid_message_keeps_nobody_waiting(serving):
    sockets = Sockets(echo)
    async with serving(sockets) as server:
        async with RawClient.to(server) as client:
            client.writer.write(b"\x81\xff\x00\x00")
        await asyncio.wait_for(sockets.ended.wait(), 60)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (struct.pack("!BBQ4x", 0x81, 0xFF, MESSAGE_BYTES_MAX), 1009),
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x09\x80\0\0\0\0", 1002),
        (b"\x89\xfe\x00\x7e\0\0\0\0", 1002),
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),
        (b"\x81\x02hi", 1002),
        (b"\x82\xfe\x00\x80" + bytes(4 + 128) + b"\x89\x80\0\0\0\0\x81\0", 1002),
    ],
    ids=[
        "size",
        "utf-8",
        "reserved bit",
        "opcode",
        "no beginning",
        "ping in pieces",
        "ping size",
        "close code",
        "mask",
        "later mask",
    ],
)
async def test_a_broken_rule_is_answered_by_its_code(serving, frame, code):
    sockets = Sockets(wait_forever)
    async with serving(sockets) as server, RawClient.to(server) as client:
        client.writer.write(frame)
        assert await client.close_code() == code
        assert await client.reader.read() == b""
        await sockets.ended.wait()


async def test_more_messages_than_are_taken_end_the_socket(serving):
    async with serving(Sockets(wait_forever)) as server, connected(server) as ws:
        message = "x" * (MESSAGE_BYTES_MAX // 2)
        for _ in range(INBOX_BYTES_MAX // len(message) + 1):
            await ws.send_str(message)
        closed = await ws.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_masks_are_seen_however_the_bytes_are_cut(size):
    masked = b"".join(
        head + bytes(4 + length)
        for head, length in (
            (b"\x81\x80", 0),
            (b"\x82\xfd", 125),
            (b"\x82\xfe\0\x7e", 126),
            (b"\x82\xff" + (70_000).to_bytes(8, "big"), 70_000),
        )
    )
    watch = MaskWatch()
    assert all(watch.are_masked(masked[at : at + size]) for at in range(0, len(masked), size))
    assert not watch.are_masked(b"\x81\x02hi")
    assert not watch.are_masked(b"\x81\x80\0\0\0\0")


async def test_messages_without_content_count_as_well(serving):
    async with serving(Sockets(wait_forever)) as server, RawClient.to(server) as client:
        client.writer.write(b"\x81\x80\0\0\0\0" * (INBOX_BYTES_MAX // MESSAGE_OVERHEAD_BYTES + 1))
        assert await client.close_code() == 1008


# The closing handshake.


async def test_a_handler_that_returns_closes_with_1000(serving):
    async def say_two(socket):
        await socket.send_text("one")
        await socket.send_text("two")

    async with serving(Sockets(say_two)) as server, connected(server) as ws:
        assert [await ws.receive_str(), await ws.receive_str()] == ["one", "two"]
        assert (await ws.receive()).data == 1000


async def test_a_handlers_own_code_and_reason_are_sent_and_nothing_follows(serving):
    refused = []

    async def give_up(socket):
        socket.close(4000, "ü" * 100)
        socket.close(4001)
        try:
            await socket.send_text("late")
        except ConnectionError as error:
            refused.append(str(error))

    async with serving(Sockets(give_up)) as server, connected(server) as ws:
        closed = await ws.receive()
        assert (closed.data, closed.extra) == (4000, "ü" * 61)
    assert refused == ["The WebSocket is closed."]


async def test_a_handler_that_fails_closes_with_1011_and_is_logged(serving):
    async def fail(_socket):
        raise ValueError("oh")

    async with serving(Sockets(fail)) as server:
        async with connected(server) as ws:
            closed = await ws.receive()
            assert (closed.data, closed.extra) == (1011, "Internal error.")
        assert server.host.log.events("error") == ["websocket_handler_failed"]


async def test_a_clients_close_is_answered_and_stops_the_handler(serving):
    sockets = Sockets(wait_forever)
    async with serving(sockets) as server, RawClient.to(server) as client:
        client.send(CLOSE, struct.pack("!H", 3001))
        assert await client.frame() == (CLOSE, struct.pack("!H", 3001))
        assert await client.reader.read() == b""
        await sockets.ended.wait()


async def test_a_client_that_vanishes_stops_the_handler(serving):
    sockets = Sockets(wait_forever)
    async with serving(sockets) as server:
        async with RawClient.to(server) as client:
            client.writer.transport.abort()
        await asyncio.wait_for(sockets.ended.wait(), 60)
        assert server.host.log.events("error") == []


async def test_a_client_that_does_not_answer_a_close_is_cut(serving):
    async def leave(_socket):
        pass

    async with serving(Sockets(leave)) as server, RawClient.to(server) as client:
        assert await client.close_code() == 1000
        server.tick(server.now + CLOSE_SECONDS_MAX)
        assert await client.reader.read() == b""


# Time.


async def test_a_silent_client_is_pinged_and_cut_when_it_stays_silent(serving):
    sockets = Sockets(wait_forever)
    async with serving(sockets) as server, RawClient.to(server) as client:
        began = server.now
        server.tick(began + PING_SECONDS)
        assert await client.frame() == (PING, b"")
        server.tick(began + 2 * PING_SECONDS - 0.5)
        server.tick(began + 2 * PING_SECONDS)
        assert await client.reader.read() == b""
        await sockets.ended.wait()


async def test_a_client_that_answers_pings_stays(serving):
    async with serving(Sockets(echo)) as server, RawClient.to(server) as client:
        for _ in range(5):
            server.tick(server.now + PING_SECONDS)
            assert await client.frame() == (PING, b"")
            client.send(PONG)
            client.send(TEXT, b"here")
            assert await client.frame() == (TEXT, b"here")


async def test_a_client_that_takes_nothing_is_cut(serving):
    """What is sent waits in the connection up to its buffer; the handler stands in `send_text` meanwhile."""
    message = "x" * 100_000

    async def pour(socket):
        while True:
            await socket.send_text(message)

    sockets = Sockets(pour)
    async with serving(sockets) as server, RawClient.to(server) as client:
        client.writer.transport.pause_reading()
        (connection,) = server._connections
        while not sockets.ended.is_set():
            await asyncio.sleep(0)
            assert connection._unsent_bytes() <= 2 * len(message)
            if connection.writing_paused:
                server.tick(server.now + server.limits.write_stall_seconds)


async def test_a_stopping_server_says_1001_and_waits_for_the_answer(serving):
    sockets = Sockets(wait_forever)
    async with serving(sockets) as server, connected(server) as ws:
        draining = asyncio.ensure_future(server.drain(60))
        closed = await ws.receive()
        assert (closed.data, closed.extra) == (1001, "The server is stopping.")
        await ws.close()
        assert await draining
        await sockets.ended.wait()


async def test_a_server_that_is_closed_ends_its_sockets_at_once(serving):
    sockets = Sockets(wait_forever)
    async with serving(sockets) as server, connected(server) as ws:
        await server.close()
        assert (await ws.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        await sockets.ended.wait()
