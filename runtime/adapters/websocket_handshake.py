"""The opening handshake of a WebSocket, the server's side. Source: RFC 6455, 4.2."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING

from ..core.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "13"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
"""Base64 of 16 bytes, as it must be written."""


def check_handshake(
    method: str, keys: Sequence[str], versions: Sequence[str], *, has_body: bool, is_http_10: bool
) -> None:
    """
    Args:
        keys: every Sec-WebSocket-Key of the request.
        versions: every Sec-WebSocket-Version.

    Raises:
        RefusedError: 426 for another version (the answer's head names ours), 400 for what is no handshake.
    """
    if is_http_10:
        raise RefusedError(400, "A WebSocket is asked for over HTTP/1.1.")
    if method != "GET" or has_body:
        raise RefusedError(400, "A WebSocket is asked for with GET, and without a body.")
    if tuple(versions) != (VERSION,):
        raise RefusedError(426, f"Only version {VERSION} of the WebSocket protocol is spoken here.")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise RefusedError(400, "The Sec-WebSocket-Key header must be there once: 16 bytes in base64.")


def handshake_head(key: str, protocol: str, date: str) -> bytes:
    """The head that answers a good one; what follows is frames."""
    accept = b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        date,
        "upgrade: websocket",
        "connection: upgrade",
        f"sec-websocket-accept: {accept}",
    ]
    if protocol:
        lines.append(f"sec-websocket-protocol: {protocol}")
    return "\r\n".join([*lines, "", ""]).encode()
