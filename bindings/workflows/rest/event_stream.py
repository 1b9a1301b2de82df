"""The events of an instance as server-sent events: `id:` and `data:` lines, resumable by `Last-Event-ID`.

Source: spec "Workflows", 5 and 7; WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from .json_values import json_text, json_value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from ....runtime.core.host import Host
    from ..._shared.rest import Call
    from ..subscription import Subscription

KEEP_ALIVE_SECONDS = 15.0
"""A comment is sent so often: proxies cut connections that say nothing."""
CONTENT_TYPE = "text/event-stream"
OPEN = ": open\n\n"
"""Sent at once: the head leaves with the first chunk, and who waits for events sees that the stream is there."""
KEEP_ALIVE = ": keep-alive\n\n"
REVOKED = "The token is good no more."
DELETED = "The instance was deleted."


async def event_stream(events: Subscription, call: Call, host: Host) -> AsyncIterator[str]:
    """The text of a stream of events, which ends when they do, or with the call's token. Leaving early closes them."""
    yield OPEN
    async with aclosing(with_beats(events, host)) as coming:
        async for event in coming:
            if not call.is_permitted():
                yield f": {REVOKED}\n\n"
                return
            yield KEEP_ALIVE if event is None else f"id: {event['eventId']}\ndata: {event_text(event)}\n\n"
    if events.is_deleted:
        yield f": {DELETED}\n\n"


async def with_beats(
    events: AsyncGenerator[Mapping[str, Any], None], host: Host
) -> AsyncGenerator[Mapping[str, Any] | None, None]:
    """The events, and None every KEEP_ALIVE_SECONDS. Closing it closes them."""
    coming = host.spawn(_next(events), name="workflow_event")
    beat = host.spawn(host.sleep(KEEP_ALIVE_SECONDS), name="workflow_keep_alive")
    try:
        while True:
            await asyncio.wait((coming, beat), return_when=asyncio.FIRST_COMPLETED)
            if beat.done():
                beat = host.spawn(host.sleep(KEEP_ALIVE_SECONDS), name="workflow_keep_alive")
                yield None
            if coming.done():
                event = coming.result()
                if event is None:
                    return
                yield event
                coming = host.spawn(_next(events), name="workflow_event")  # not before that is taken
    finally:
        coming.cancel()
        beat.cancel()
        await asyncio.gather(coming, beat, return_exceptions=True)
        await events.aclose()


def event_text(event: Mapping[str, Any]) -> str:
    """As JSON."""
    return json_text(json_value(event))


async def _next(events: AsyncGenerator[Mapping[str, Any], None]) -> Mapping[str, Any] | None:
    return await anext(events, None)
