"""One WebSocket on an HTTP connection that was upgraded: frames in and out, pings, limits, the two closing handshakes.

Theory of operation. The connection feeds the socket what arrives; aiohttp's reader makes messages of it, and one task
takes them: it answers pings, keeps texts for the handler, sees the end. The handler runs beside it. Whichever ends
first ends the other:

- the client closes, leaves, or breaks the protocol: the handler is cancelled;
- the handler returns (1000) or fails (1011), or the server is stopping (1001): a close frame goes out, and the
  client's answer to it is awaited for CLOSE_SECONDS_MAX.

Nothing here reads a clock: the server's tick says what time it is, sends the pings, and cuts the silent. A client that
does not take what it is sent stops the handler in `send_text`, and the connection's patience ends it.
Source: RFC 6455, 5 and 7.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import TYPE_CHECKING

from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http_websocket import WebSocketError, WebSocketReader, WSCloseCode, WSMsgType

from .websocket_masks import MaskWatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..core.web_socket import WebSocket
    from .aiohttp_connection import Connection

MESSAGE_BYTES_MAX = 1024 * 1024
"""Source: Cloudflare docs, "Workers: limits", WebSocket messages."""
INBOX_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
"""What may wait for the handler; a client that sends more than is taken is let go."""
MESSAGE_OVERHEAD_BYTES = 128
"""Counted of each message there, whatever is in it."""
READ_BUFFER_BYTES = 64 * 1024
PING_SECONDS = 20.0
"""After so long a silence the client is asked whether it is there; after twice as long it is not."""
CLOSE_SECONDS_MAX = 2.0
REASON_BYTES_MAX = 123
"""A close frame has 125, two of them are the code."""


class AiohttpWebSocket:
    """A WebSocket. Its connection calls `run`, `feed` and `tick`; the handler the rest."""

    def __init__(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self._connection = connection
        self._server = connection.server
        self._queue = WebSocketDataQueue(connection, READ_BUFFER_BYTES, loop=loop)
        self._reader = WebSocketReader(self._queue, MESSAGE_BYTES_MAX, compress=False, decode_text=True)
        self._masks = MaskWatch()
        self._inbox: deque[str | bytes] = deque()
        self._inbox_bytes = 0
        self._has_message = asyncio.Event()
        self._leaving: asyncio.Future[None] = loop.create_future()
        self._heard_at = self._pinged_at = self._server.now
        self._closing_since: float | None = None

    # What the connection calls.

    async def run(self, handler: Callable[[WebSocket], Awaitable[None]]) -> None:
        """Serve the client until one side has closed; both tasks are over then."""
        spawn = self._server.host.spawn
        reading = spawn(self._read(), name="websocket_reader")
        working = spawn(_awaited(handler, self), name="websocket_handler")
        try:
            await asyncio.wait({reading, working, self._leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                self.close(*self._ending(working))
                working.cancel()
                await asyncio.wait({reading})
        finally:
            reading.cancel()
            working.cancel()
            await asyncio.gather(reading, working, return_exceptions=True)

    def feed(self, data: bytes) -> None:
        """Bytes arrived."""
        self._heard_at = self._server.now
        if self._masks.are_masked(data):
            self._reader.feed_data(data)
        else:
            self._queue.set_exception(WebSocketError(WSCloseCode.PROTOCOL_ERROR, "A client masks its frames."))

    def tick(self, now: float) -> None:
        """Time has passed: ping who is silent, cut who stays so, and say goodbye when the server stops."""
        if self._closing_since is not None:
            if now - self._closing_since >= CLOSE_SECONDS_MAX:
                self._connection.abort()
        elif self._server.is_draining:
            if not self._leaving.done():
                self._leaving.set_result(None)
        elif now - self._heard_at >= 2 * PING_SECONDS:
            self._connection.abort()
        elif now - max(self._heard_at, self._pinged_at) >= PING_SECONDS:
            self._pinged_at = now
            self._control(WSMsgType.PING)

    # What the handler calls: WebSocket.

    async def send_text(self, text: str) -> None:
        if self._closing_since is not None:
            raise ConnectionResetError("The WebSocket is closed.")
        self._connection.write(_frame(WSMsgType.TEXT, text.encode()))
        if self._connection.writing_paused:
            await self._connection.drained()

    async def receive(self) -> str | bytes:
        while not self._inbox:
            self._has_message.clear()
            await self._has_message.wait()
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message) + MESSAGE_OVERHEAD_BYTES
        return message

    def close(self, code: int = WSCloseCode.OK, reason: str = "") -> None:
        if self._closing_since is None and self._connection.is_alive:
            self._closing_since = self._server.now
            shown = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore").encode()
            self._connection.write(_frame(WSMsgType.CLOSE, struct.pack("!H", code) + shown))

    # The inside.

    async def _read(self) -> None:
        """Take what the client sends until it closes or breaks a rule."""
        while True:
            try:
                message = await self._queue.read()
            except WebSocketError as error:
                self.close(error.code, str(error))
                return
            if message.type is WSMsgType.CLOSE:
                self.close(message.data or WSCloseCode.OK)
                return
            if message.type is WSMsgType.PING:
                self._control(WSMsgType.PONG, message.data)
            elif message.type is not WSMsgType.PONG and not self._keep(message.data):
                self.close(WSCloseCode.POLICY_VIOLATION, "More messages came than are taken here.")
                return

    def _keep(self, message: str | bytes) -> bool:
        self._inbox.append(message)
        self._inbox_bytes += len(message) + MESSAGE_OVERHEAD_BYTES
        self._has_message.set()
        return self._inbox_bytes <= INBOX_BYTES_MAX

    def _ending(self, working: asyncio.Task[None]) -> tuple[int, str]:
        """Code and reason for what this side ends with."""
        if not working.done():
            return WSCloseCode.GOING_AWAY, "The server is stopping."
        if not working.cancelled() and isinstance(working.exception(), ConnectionError | None):
            return WSCloseCode.OK, ""
        error = None if working.cancelled() else working.exception()
        self._server.host.log.error("websocket_handler_failed", exc_info=error)
        return WSCloseCode.INTERNAL_ERROR, "Internal error."

    def _control(self, opcode: WSMsgType, payload: bytes = b"") -> None:
        # A client that floods us with pings and reads nothing is owed no pongs.
        if self._closing_since is None and self._connection.is_alive and not self._connection.writing_paused:
            self._connection.write(_frame(opcode, payload))


async def _awaited(handler: Callable[[WebSocket], Awaitable[None]], socket: WebSocket) -> None:
    await handler(socket)


def _frame(opcode: int, payload: bytes) -> bytes:
    """One whole message as a server sends it: final, unmasked. Source: RFC 6455, 5.2."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x80 | opcode, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload
