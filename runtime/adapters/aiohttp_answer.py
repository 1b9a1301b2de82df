"""A Worker's Response -> the bytes of an HTTP answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp.http_writer import HttpVersion10

from ..core.response import Response, wire_body, wire_head
from .http1_head import response_head
from .response_head import EMPTY_STATUSES, asks_to_close, body_length, is_event_stream
from .websocket_handshake import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.http_parser import RawRequestMessage

    from ..core.body import Body
    from .aiohttp_connection import Connection

JOIN_BYTES_MAX = 64 * 1024
"""Up to here a body is copied behind its head and leaves in one write."""


async def send_answer(
    connection: Connection, response: Response, message: RawRequestMessage | None, *, is_kept: bool
) -> bool:
    """Write an answer; returns whether the connection can be kept after it.

    Args:
        message: what is answered; None when it could not be parsed.
        is_kept: whether it could be kept before; "connection: close" is sent when not.

    Raises:
        ConnectionError: the client left.
    """
    status, _, pairs = wire_head(response)
    body = wire_body(response)
    is_http_10 = message is not None and message.version is HttpVersion10
    is_head = message is not None and message.method == "HEAD"
    whole = b"" if body is None or status in EMPTY_STATUSES else body.whole
    length = body_length(pairs, body, whole, is_head=is_head)
    is_kept = is_kept and not asks_to_close(pairs) and (length is not None or is_head or not is_http_10)
    head = _head(connection, response, _framing(status, length, is_http_10=is_http_10, is_kept=is_kept))
    if head is None:
        failed = Response("Internal Server Error\n", status=500)
        return await send_answer(connection, failed, message, is_kept=is_kept)
    if is_head:
        connection.write(head)
    elif whole is None:
        assert body is not None, "a body is whole or in chunks"
        connection.write(head)
        connection.has_no_end = is_event_stream(pairs)
        return await _stream(connection, body, length, is_chunked=length is None and not is_http_10) and is_kept
    elif len(whole) <= JOIN_BYTES_MAX:
        connection.write(head + whole)
    else:
        connection.write(head)
        connection.write(whole)
    if connection.writing_paused:
        await connection.drained()
    return is_kept


def _framing(status: int, length: int | None, *, is_http_10: bool, is_kept: bool) -> list[str]:
    lines = []
    if length is None:
        if not is_http_10:
            lines.append("transfer-encoding: chunked")
    elif status not in {204, 304}:
        lines.append(f"content-length: {length}")
    if status == 426:  # says to what: RFC 9110, 15.5.22; RFC 6455, 4.4
        lines += ["upgrade: websocket", f"sec-websocket-version: {VERSION}"]
        lines.append(f"connection: {'upgrade' if is_kept else 'upgrade, close'}")
    elif not is_kept:
        lines.append("connection: close")
    elif is_http_10:
        lines.append("connection: keep-alive")
    return lines


def _head(connection: Connection, response: Response, framing: Sequence[str]) -> bytes | None:
    """None, and a line in the log, when the handler's headers cannot be sent."""
    try:
        return response_head(*wire_head(response), framing, connection.server.date)
    except ValueError as error:
        connection.server.host.log.error("response_refused", exc_info=error)
        return None


async def _stream(connection: Connection, body: Body, length: int | None, *, is_chunked: bool) -> bool:
    """Send chunks as they come; False when the body failed, and only a broken connection can tell the client."""
    sent_bytes = 0
    chunks = body.chunks()
    try:
        async for chunk in chunks:
            if not chunk:
                continue
            sent_bytes += len(chunk)
            if length is not None and sent_bytes > length:
                raise ValueError(f"The body is longer than its content-length, {length}.")
            connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk)
            if connection.writing_paused:
                await connection.drained()
        if length is not None and sent_bytes < length:
            raise ValueError(f"The body ended after {sent_bytes} bytes; its content-length is {length}.")
    except Exception as error:
        if not connection.is_alive:
            raise ConnectionResetError("The client left.") from error
        connection.server.host.log.error("response_body_failed", exc_info=error)
        connection.abort()
        return False
    finally:
        if (close := getattr(chunks, "aclose", None)) is not None:
            await close()
    if is_chunked:
        connection.write(b"0\r\n\r\n")
    return True
