"""A subscriber to an instance whose server is killed: with the `eventId` it saw last, it misses nothing and sees
nothing twice."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from edge.bindings._shared.tokens import TokenStore
from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

ENTRY = """
from workers import WorkflowEntrypoint

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        for number in range(40):
            await step.do("work", lambda: number)
            await step.sleep("nap", 25)
"""
KILLS = 2
PATIENCE_S = 60


class Subscriber:
    """Reads one instance's events over WebSockets."""

    def __init__(self, token: str, *, uses_cursor: bool) -> None:
        self.ids: list[int] = []
        self.types: list[str] = []
        self._headers = {"authorization": f"Bearer {token}"}
        self._uses_cursor = uses_cursor

    async def read(self, server: Server, count_max: int | None = None) -> None:
        """Go on reading; until so many more events came, or the server closes."""
        url = f"{instances_of(server)}/a/subscribe"
        if self._uses_cursor:
            url += f"?cursor={max(self.ids, default=0)}"
        async with aiohttp.ClientSession() as client, client.ws_connect(url, headers=self._headers) as socket:
            async for message in socket:
                event = json.loads(message.data)
                self.ids.append(event["eventId"])
                self.types.append(event["type"])
                if count_max is not None and (count_max := count_max - 1) == 0:
                    server.child.kill()  # while more is under way

    async def create(self, server: Server) -> None:
        async with (
            aiohttp.ClientSession() as client,
            client.post(instances_of(server), headers=self._headers, json={"instance_id": "a"}) as made,
        ):
            assert made.status == 200, await made.text()


def instances_of(server: Server) -> str:
    return f"{server.url}/cdn-cgi/api/client/v4/accounts/{LOCAL_ACCOUNT_ID}/workflows/orders/instances"


@pytest.mark.parametrize("uses_cursor", [True, False], ids=["", "control"])
async def test_a_killed_server_costs_a_subscriber_nothing(
    start: Callable[..., Server], project: Path, worker: Any, *, uses_cursor: bool
) -> None:
    """The control asks without the cursor, and is told twice."""
    worker.entry(project, ENTRY)
    worker.config(project, ', "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}]')
    server = start(project, "dev")
    tokens = TokenStore(project / ".edge" / "state", now=time.time)
    subscriber = Subscriber(tokens.create("All Write"), uses_cursor=uses_cursor)
    tokens.close()
    async with asyncio.timeout(PATIENCE_S):
        await subscriber.create(server)
        for number in range(KILLS):
            with suppress(aiohttp.ClientError):
                await subscriber.read(server, 20 + 7 * number)
            server = start(project, "dev")
        await subscriber.read(server)
    assert subscriber.types[-1] == "workflow_completed"
    is_whole = subscriber.ids == list(range(1, len(subscriber.ids) + 1))
    assert is_whole == uses_cursor
