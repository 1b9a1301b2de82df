"""The events of an instance over HTTP, each as one JSON text: as server-sent events, or as messages of a WebSocket.

Both are resumed by the last `eventId` that was seen: `?cursor=`, and `Last-Event-ID` as a browser's EventSource sends.
Source: spec "Workflows", 5 and 7; WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .rest_values import json_text, json_value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from ...runtime.core.host import Host
    from ...runtime.core.web_socket import WebSocket

KEEP_ALIVE_SECONDS = 15.0
"""A comment is sent so often: proxies cut connections that say nothing."""
CONTENT_TYPE = "text/event-stream"
OPEN = ": open\n\n"
"""Sent at once: the head leaves with the first chunk, and who waits for events sees that the stream is there."""
KEEP_ALIVE = ": keep-alive\n\n"


async def event_stream(events: AsyncGenerator[Mapping[str, Any], None], host: Host) -> AsyncIterator[str]:
    """The text of a stream of events, which ends when they do. Leaving early closes them."""
    yield OPEN
    coming = host.spawn(_next(events), name="workflow_event")
    beat = host.spawn(host.sleep(KEEP_ALIVE_SECONDS), name="workflow_keep_alive")
    try:
        while True:
            await asyncio.wait((coming, beat), return_when=asyncio.FIRST_COMPLETED)
            if beat.done():
                beat = host.spawn(host.sleep(KEEP_ALIVE_SECONDS), name="workflow_keep_alive")
                yield KEEP_ALIVE
            if coming.done():
                event = coming.result()
                if event is None:
                    return
                coming = host.spawn(_next(events), name="workflow_event")
                yield f"id: {event['eventId']}\ndata: {event_text(event)}\n\n"
    finally:
        coming.cancel()
        beat.cancel()
        await asyncio.gather(coming, beat, return_exceptions=True)
        await events.aclose()


async def send_events(events: AsyncGenerator[Mapping[str, Any], None], socket: WebSocket) -> None:
    """Send a message for each event; returns when they end. Being cancelled, as when the client leaves, closes them."""
    try:
        async for event in events:
            await socket.send_text(event_text(event))
    finally:
        await events.aclose()


def event_text(event: Mapping[str, Any]) -> str:
    return json_text(json_value(event))


async def _next(events: AsyncGenerator[Mapping[str, Any], None]) -> Mapping[str, Any] | None:
    return await anext(events, None)
