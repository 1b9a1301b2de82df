"""The events of an instance over a WebSocket: the same JSON as the server-sent events, each a text message.

After the last event the server closes with 1000. Whoever is cut off before asks again with the `eventId` it saw last
as `cursor`. What a client sends is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BackendError
from ...runtime.core.response import Response
from ...runtime.core.web_socket import WebSocketAnswer, offered_protocols
from .._shared.rest import BEARER_PROTOCOL
from .rest_values import json_text, json_value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ...runtime.core.headers import Headers
    from ...runtime.core.web_socket import WebSocket

TRY_AGAIN_LATER = 1013
"""Source: IANA, "WebSocket Close Code Number Registry"."""


def event_socket(events: AsyncGenerator[Mapping[str, Any], None], headers: Headers) -> Response:
    """The answer to a handshake with these headers."""

    async def send_all(socket: WebSocket) -> None:
        try:
            async for event in events:
                await socket.send_text(json_text(json_value(event)))
        except BackendError:
            socket.close(TRY_AGAIN_LATER, "The storage failed: ask again, behind the last eventId.")
        finally:
            await events.aclose()

    protocol = BEARER_PROTOCOL if BEARER_PROTOCOL in offered_protocols(headers) else ""
    return Response(status=101, web_socket=WebSocketAnswer(send_all, protocol))
