"""The events of an instance as server-sent events: `id:` and `data:` lines, resumable by `Last-Event-ID`.

Source: spec "Workflows", 5 and 7; WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .rest_values import json_text, json_value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from ...runtime.core.host import Host

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
                yield f"id: {event['eventId']}\ndata: {json_text(json_value(event))}\n\n"
                coming = host.spawn(_next(events), name="workflow_event")  # not before that is taken
    finally:
        coming.cancel()
        beat.cancel()
        await asyncio.gather(coming, beat, return_exceptions=True)
        await events.aclose()


async def _next(events: AsyncGenerator[Mapping[str, Any], None]) -> Mapping[str, Any] | None:
    return await anext(events, None)
