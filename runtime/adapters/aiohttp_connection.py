"""One client's connection: requests in order, answers in order, and every limit that keeps a client from holding on.

Theory of operation. `data_received` feeds the parser and queues what it finds; one task at a time answers the head of
the queue, in a context of its own. Who may end a connection:

- the client, by closing or half-closing: the running handler is cancelled, as on Cloudflare (work that must go on is
  handed to `waitUntil`); what a binding has acknowledged stays acknowledged.
- a refusal (`RefusedError`): answered in its turn, then the connection is closed, because after a message in doubt
  nobody can tell where the next one starts.
- `cut_if_late`, called by the server's tick with the tick's time; nothing here reads a clock.

An upgrade to a WebSocket is the last answer of a connection: from then on what arrives is the socket's.

Closing after an answer is gentle: our half is shut first and what still comes is dropped for a moment, since a reset
would make the client lose the answer (RFC 9112, 9.6).
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_writer import HttpVersion10, HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD

from ..core.body import Body
from ..core.errors import RefusedError
from ..core.own_failure import is_from_outside
from ..core.request import incoming_request
from ..core.response import Response, wire_body
from ..core.web_socket import WebSocketAnswer
from .aiohttp_answer import send_answer
from .aiohttp_request import IncomingBody, asks_for_web_socket, check_body, refusal_of, require_url
from .aiohttp_websocket import AiohttpWebSocket
from .client_patience import Cut, Patience
from .websocket_handshake import check_handshake, handshake_head

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from ..core.request import Request
    from .aiohttp_server import HttpServer

READ_BUFFER_BYTES = 64 * 1024
"""A body is read ahead of its handler by twice as much, then the sender is slowed."""
PIPELINE_MAX = 32
"""Requests read ahead of their answers on one connection."""
DISCARD_BYTES_MAX = 256 * 1024
"""So much of a body that its handler did not read is thrown away to keep the connection; beyond, closing is cheaper."""

FRAMING_BYTES_MAX = 1024 * 1024
"""Chunk sizes, extensions and trailers of a body that come to more than its bytes explain."""
WIRE_BYTES_PER_BODY_BYTE_MAX = 16
"""A chunk of one byte takes six. Source: RFC 9112, 7.1.1: a server ought to limit the length of chunk extensions."""


class Connection(BaseProtocol):
    """An asyncio protocol; made by the server, forgotten by it when the socket and the last task are gone."""

    __slots__ = (
        "_body",
        "_body_wire_bytes",
        "_head_bytes",
        "_is_answering",
        "_is_continue_due",
        "_is_input_over",
        "_patience",
        "_queue",
        "_socket",
        "_task",
        "address",
        "has_no_end",
        "server",
    )

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        limits = server.limits
        self._parser: Any
        super().__init__(
            loop,
            HttpRequestParser(
                self,
                loop,
                READ_BUFFER_BYTES,
                max_line_size=limits.url_bytes,
                # One more where both are equal: refusal_of tells them apart by the number.
                max_field_size=limits.header_bytes + (limits.header_bytes == limits.url_bytes),
                max_headers=limits.header_count,
                auto_decompress=False,
                max_msg_queue_size=PIPELINE_MAX,
            ),
        )
        self.address = ""
        self.has_no_end = False
        """Whether what is being answered goes on until somebody ends it: the server does when it stops."""
        self.server = server
        self._queue: deque[tuple[RawRequestMessage | RefusedError, StreamReader]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._socket: AiohttpWebSocket | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._body_wire_bytes = 0
        self._is_answering = False
        self._is_continue_due = False
        self._is_input_over = False
        self._head_bytes = 0
        self._patience = Patience(limits, server.now)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        if not self.server.admit(self):
            self._refuse(RefusedError(503, "Too many connections from this address."))

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.feed(data)
            return
        if self._is_input_over:
            return
        was_in_body = not self._body.is_eof()
        try:
            messages, is_upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._refuse(refusal_of(error, self.server.limits.url_bytes))
            return
        if was_in_body:
            self._patience.count_body(len(data))
            self._body_wire_bytes += len(data)
            if not self._body.is_eof() and self._is_mostly_framing():
                self._refuse(RefusedError(413, "The request's body is hidden in framing: send larger chunks."))
                return
        elif data:
            self._head_bytes += len(data)
        if messages:
            self._take(messages)
            self._is_input_over |= is_upgraded  # what follows is no HTTP
        elif not was_in_body and data:
            self._patience.begin_head(self.server.now)
            if self._head_bytes > self.server.limits.header_bytes + self.server.limits.url_bytes:
                self._refuse(RefusedError(431, "The request's headers are too large."))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._is_input_over = True
        self._queue.clear()
        self._parser = None
        if not self._body.is_eof():
            self._body.set_exception(ConnectionResetError("The client left before its request was complete."))
        if self._task is None:
            self.server.forget(self)
        else:
            self._task.add_done_callback(lambda _task: self.server.forget(self))
            self._task.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._patience.begin_stall(self.server.now, self._unsent_bytes())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._patience.end_stall()

    # What the server calls.

    def cut_if_late(self, now: float) -> None:
        """End the connection, or the request, if the client kept us waiting longer than the limits allow."""
        if self.transport is None:
            return
        cut = self._patience.decide(
            now,
            is_answering=self._is_answering,
            is_body_open=not self._body.is_eof() and not self._is_input_over,
            is_body_paused=self._reading_paused,
            is_draining=self.server.is_draining,
            unsent_bytes=self._unsent_bytes(),
        )
        if cut is Cut.ABORT:
            self.transport.abort()
        elif cut is Cut.BODY_SLOW:
            self._refuse(RefusedError(408, "The request's body arrived too slowly."))
        elif cut is Cut.HEAD_LATE:
            self._refuse(RefusedError(408, "The request's headers did not arrive in time."))
        elif cut is Cut.CLOSE:
            self.transport.close()
        elif self._socket is not None:
            self._socket.tick(now)
        elif self.has_no_end and self.server.is_draining:
            self._end_what_has_no_end()

    def _end_what_has_no_end(self) -> None:
        """Closing waits until the client took what is unsent: one that does not read would hold the server up."""
        assert self.transport is not None, "the tick saw it"
        if self._unsent_bytes():
            self.transport.abort()
        else:
            self.transport.close()

    def close(self) -> None:
        """End at once; a running handler is cancelled."""
        if self.transport is not None:
            self.transport.abort()
        if self._task is not None:
            self._task.cancel()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The request being answered."""
        return self._task

    # What an answer is written with.

    def write(self, data: bytes) -> None:
        """
        Raises:
            ConnectionResetError: the client left.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The client left.")
        transport.write(data)

    @property
    def is_alive(self) -> bool:
        """False once the client left or was cut."""
        return self.transport is not None and not self.transport.is_closing()

    async def drained(self) -> None:
        """Return when the client has taken enough that more may be written."""
        await self._drain_helper()

    def abort(self) -> None:
        """Break the connection, so that a half-sent body cannot be taken for a whole one."""
        if self.transport is not None:
            self.transport.abort()

    # Requests in.

    def _take(self, messages: list[tuple[RawRequestMessage, StreamReader]]) -> None:
        if self._head_bytes > self.server.limits.header_bytes and any(
            sum(len(name) + len(value) + 4 for name, value in message.raw_headers) > self.server.limits.header_bytes
            for message, _ in messages
        ):
            self._refuse(RefusedError(431, "The request's headers are too large."))
            return
        self._head_bytes = 0
        self._patience.has_head_begun = False
        body = self._body = messages[-1][1]
        if not body.is_eof():
            self._body_wire_bytes = 0
            self._patience.begin_body(self.server.now)
        self._queue.extend(messages)
        if len(self._queue) >= PIPELINE_MAX and not self._buffer_paused:
            # The parser has stopped at this number too, and keeps the rest for _read_more.
            self._pause_reading_for_buffer()
        if not self._is_answering:
            self._answer_next()

    def _is_mostly_framing(self) -> bool:
        allowed = FRAMING_BYTES_MAX + WIRE_BYTES_PER_BODY_BYTE_MAX * self._body.total_bytes
        return self._body_wire_bytes > allowed

    def _answer_next(self) -> None:
        message, payload = self._queue.popleft()
        self._is_answering = True
        if self._parser is not None:
            self._parser.message_consumed()
        answer = self._answer(message, payload)
        if sys.version_info >= (3, 12):
            task = asyncio.Task(answer, loop=self._loop, eager_start=True)
            if not task.done():
                self._task = task
        else:
            self._task = self._loop.create_task(answer)
        if self._buffer_paused and len(self._queue) <= PIPELINE_MAX // 2:
            self._read_more()

    def _read_more(self) -> None:
        """Parse what the parser kept back while the queue was full; unless that fills it again, read on."""
        self._buffer_paused = False
        self.data_received(b"")
        if not self._buffer_paused:
            self._resume_reading_for_buffer()

    def _refuse(self, error: RefusedError) -> None:
        """Stop reading; answer `error` in its turn, or through the body that is being read."""
        if not self._body.is_eof():
            self._body.set_exception(error)
        else:
            self._queue.append((error, EMPTY_PAYLOAD))
        self._is_input_over = True
        if self._queue and not self._is_answering:
            self._answer_next()

    # Answers out.

    async def _answer(self, message: RawRequestMessage | RefusedError, payload: StreamReader) -> None:
        is_kept = False
        try:
            if isinstance(message, RefusedError):
                await send_answer(self, _refusal(message), None, is_kept=False)
            else:
                is_kept = await self._serve(message, payload)
        except ConnectionError:
            pass  # the client left
        except BaseException as error:
            self.abort()
            if not isinstance(error, Exception):
                raise
            self.server.host.log.error("answer_failed", exc_info=error)
        finally:
            self._task = None
            self._is_answering = self.has_no_end = False
        if not self.is_alive:
            return
        if not is_kept:
            self._close_gently(is_input_complete=payload.is_eof() and not isinstance(message, RefusedError))
        elif self._queue:
            self._loop.call_soon(self._go_on)
        else:
            self._patience.begin_idle(self.server.now)
            if self._is_input_over:
                self._close_gently(is_input_complete=False)

    def _go_on(self) -> None:
        if self._queue and not self._is_answering:
            self._answer_next()

    async def _serve(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Answer one request; True when the connection can carry another."""
        server = self.server
        try:
            request = self._request_of(message, payload)
        except RefusedError as error:
            await send_answer(self, _refusal(error), message, is_kept=False)
            return False
        response = await self._response_to(request)
        if isinstance(response.web_socket, WebSocketAnswer):
            if asks_for_web_socket(message):
                await self._serve_socket(message, response.web_socket)
                return False
            response = _refusal(RefusedError(426, "Only WebSockets are answered here: ask for an upgrade."))
        is_kept = not (message.should_close or message.upgrade or server.is_draining)
        if self._is_input_over and not self._queue:
            is_kept = False
        if not payload.is_eof():
            is_kept = is_kept and hdrs.EXPECT not in message.headers and _announced(message) <= DISCARD_BYTES_MAX
        self._settle_continue(response)
        is_kept = await send_answer(self, response, message, is_kept=is_kept)
        if not payload.is_eof():
            is_kept = is_kept and await self._discard(payload)
        if not payload.at_eof():
            payload.set_exception(OSError("The request's body cannot be read after the answer has been sent."))
        return is_kept

    def _request_of(self, message: RawRequestMessage, payload: StreamReader) -> Request:
        server = self.server
        url = require_url(message, server.guard)
        body = None
        if payload is not EMPTY_PAYLOAD or hdrs.TRANSFER_ENCODING in message.headers:
            check_body(message, payload, server.limits.body_bytes)
            body = self._body_of(message, payload)
        if message.upgrade and asks_for_web_socket(message):  # most messages save the call
            keys = message.headers.getall(hdrs.SEC_WEBSOCKET_KEY, ())
            versions = message.headers.getall(hdrs.SEC_WEBSOCKET_VERSION, ())
            is_http_10 = message.version is HttpVersion10
            check_handshake(message.method, keys, versions, has_body=body is not None, is_http_10=is_http_10)
        return incoming_request(
            message.method, url, message.raw_headers, body, decode_json=server.decode_json, client_address=self.address
        )

    async def _response_to(self, request: Request) -> Response:
        server = self.server
        try:
            return await server.fetcher.fetch(request)
        except RefusedError as error:
            return _refusal(error)
        except BaseException as error:  # the border: a client always gets an answer
            if is_from_outside(error):
                raise
            server.host.log.error("request_failed", exc_info=error)
            return Response("Internal Server Error\n", status=500)

    async def _serve_socket(self, message: RawRequestMessage, answer: WebSocketAnswer) -> None:
        """Carry a WebSocket until it is closed."""
        socket = AiohttpWebSocket(self)
        self.write(handshake_head(message.headers[hdrs.SEC_WEBSOCKET_KEY], answer.protocol, self.server.date))
        self._upgraded = True  # the parser is out of the way of pauses in reading
        self._socket = socket
        try:
            await socket.run(answer.handler)
        finally:
            self._socket = None

    def _body_of(self, message: RawRequestMessage, payload: StreamReader) -> Body:
        limit = self.server.limits.body_bytes
        if payload.is_eof() and payload.total_bytes <= limit and payload.exception() is None:
            return Body(payload.read_nowait())
        self._is_continue_due = message.version is HttpVersion11 and hdrs.EXPECT in message.headers
        size = None if message.chunked else int(message.headers[hdrs.CONTENT_LENGTH])
        return Body(
            chunks=IncomingBody(payload, limit, self._send_continue if self._is_continue_due else None),
            size_bytes=size,
        )

    def _send_continue(self) -> None:
        if self._is_continue_due:
            self._is_continue_due = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _settle_continue(self, response: Response) -> None:
        """Before an answer's head, as nothing but its body may follow that; a streamed body may be made of the asked
        one, so a client that waits to send it is let go on."""
        body = wire_body(response)
        if body is not None and body.whole is None:
            self._send_continue()
        self._is_continue_due = False

    # The end.

    async def _discard(self, payload: StreamReader) -> bool:
        """Throw away the unread rest of a body; False when it is too much, or broken."""
        discarded = 0
        try:
            while discarded <= DISCARD_BYTES_MAX:
                chunk = await payload.readany()
                if not chunk:
                    return True
                discarded += len(chunk)
        except RefusedError:
            pass  # cut or malformed: the answer is out, only closing is left
        return False

    def _close_gently(self, *, is_input_complete: bool) -> None:
        transport = self.transport
        assert transport is not None, "a lost connection is not closed again"
        self._is_input_over = True
        self._patience.begin_linger(self.server.now, self._unsent_bytes())
        if is_input_complete:
            transport.close()
            return
        transport.write_eof()
        if self._reading_paused or self._buffer_paused:
            self._reading_paused = self._buffer_paused = False
            self._resume_transport_reading()

    def _unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size() if self.transport is not None else 0


def _announced(message: RawRequestMessage) -> int:
    return 0 if message.chunked else int(message.headers.get(hdrs.CONTENT_LENGTH, 0))


def _refusal(error: RefusedError) -> Response:
    return Response(f"{error}\n", status=error.http_status)
