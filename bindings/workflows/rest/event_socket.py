"""The events of an instance over a WebSocket: the same JSON as the server-sent events, each a text message.

After the last event the server closes with 1000, and with 4404 when the instance was deleted. Whoever is cut off before
asks again with the `eventId` it saw last as `cursor`. What a client sends is thrown away.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from ....runtime.core.response import Response
from ....runtime.core.web_socket import WebSocketAnswer, offered_protocols
from ..._shared.rest import BEARER_PROTOCOL
from .event_stream import DELETED, REVOKED, event_text, with_beats

if TYPE_CHECKING:
    from ....runtime.core.host import Host
    from ....runtime.core.web_socket import WebSocket
    from ..._shared.rest import Call
    from ..subscription import Subscription

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
"""Source: IANA, "WebSocket Close Code Number Registry"."""
INSTANCE_NOT_FOUND = 4404
"""Ours, of the codes for private use."""


def event_socket(events: Subscription, call: Call, host: Host) -> Response:
    """The answer to a handshake."""

    async def send_all(socket: WebSocket) -> None:
        discarding = host.spawn(_discard(socket), name="workflow_socket_discard")
        try:
            async with aclosing(with_beats(events, host)) as coming:
                async for event in coming:
                    if not call.is_permitted():
                        socket.close(POLICY_VIOLATION, REVOKED)
                        return
                    if event is not None:
                        await socket.send_text(event_text(event))
            if events.is_deleted:
                socket.close(INSTANCE_NOT_FOUND, DELETED)
        except BackendError:
            socket.close(TRY_AGAIN_LATER, "The storage failed: ask again, behind the last eventId.")
        finally:
            discarding.cancel()
            await asyncio.gather(discarding, return_exceptions=True)

    protocol = BEARER_PROTOCOL if BEARER_PROTOCOL in offered_protocols(call.headers) else ""
    return Response(status=101, web_socket=WebSocketAnswer(send_all, protocol))


async def _discard(socket: WebSocket) -> None:
    while True:
        await socket.receive()
