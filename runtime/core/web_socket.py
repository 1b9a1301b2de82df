"""An answer that turns a request's connection into a WebSocket.

A Fetcher answers `Response(status=101, web_socket=WebSocketAnswer(handler))`. Doors and the REST API do; Workers come
later. The doorway keeps RFC 6455: handshake, pings, sizes, the closing handshake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .headers import Headers

PROTOCOLS_HEADER = "sec-websocket-protocol"


class WebSocket(Protocol):
    """The server's end of one connection, open while its handler runs."""

    async def send_text(self, text: str) -> None:
        """Send a message; returns when the client has taken enough that more may follow.

        Raises:
            ConnectionError: it is closed.
        """

    async def receive(self) -> str | bytes:
        """The next message, text or binary."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say that nothing follows. Returning from the handler says it with 1000."""


class WebSocketAnswer(NamedTuple):
    """What a 101 goes on with. The handler is cancelled when the client leaves or closes."""

    handler: Callable[[WebSocket], Awaitable[None]]
    protocol: str = ""
    """Which of the protocols that the client offered is spoken."""


def asks_for_web_socket(headers: Headers) -> bool:
    """Whether a request is a WebSocket's handshake. The doorway has refused a malformed one."""
    is_named = (headers.get("upgrade") or "").lower() == "websocket"
    return is_named and "upgrade" in (headers.get("connection") or "").lower()


def offered_protocols(headers: Headers) -> list[str]:
    """The subprotocols a handshake offers, in the client's order of preference."""
    offered = (one.strip() for one in (headers.get(PROTOCOLS_HEADER) or "").split(","))
    return [one for one in offered if one]
