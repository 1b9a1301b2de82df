"""An instance's events over a WebSocket: the same as over server-sent events, until the end, from any cursor."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from edge.bindings.workflows.rest.event_stream import KEEP_ALIVE_SECONDS

from .conftest import url_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .conftest import Api

INSTANCES = "{A}/workflows/orders/instances"
TEXT, CLOSE = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.CLOSE


@asynccontextmanager
async def subscribed(
    api: Api, instance_id: str, query: str = "", **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

    path = f"{INSTANCES}/{instance_id}/subscribe{query}".replace("{A}", f"/accounts/{LOCAL_ACCOUNT_ID}")
    options = {"headers": {"authorization": f"Bearer {api.token}"}, **options}
    async with (
        asyncio.timeout(60),
        api.client.ws_connect(url_of(api.base_url + path), autoclose=False, **options) as ws,
    ):
        yield ws


async def read_all(socket: aiohttp.ClientWebSocketResponse) -> tuple[list[dict[str, Any]], int]:
    """What comes until the server closes, and the code it closes with."""
    events = []
    while (message := await socket.receive()).type is TEXT:
        events.append(json.loads(message.data))
    assert message.type is CLOSE, message
    return events, message.data


async def complete(api: Api, instance_id: str) -> None:
    await api.call("POST", INSTANCES, {"instance_id": instance_id})
    await api.call("POST", f"{INSTANCES}/{instance_id}/events/approved", "ada")
    await api.reach("orders", instance_id, "complete")


async def test_each_event_is_a_text_and_the_last_is_followed_by_1000(orders: Api) -> None:
    await complete(orders, "a")
    async with subscribed(orders, "a") as socket:
        events, code = await read_all(socket)
    assert code == 1000
    assert [event["eventId"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("workflow_queued", "workflow_completed")


async def test_the_texts_are_those_of_server_sent_events(orders: Api) -> None:
    await complete(orders, "a")
    streamed = (await orders.ask("GET", f"{INSTANCES}/a/subscribe")).body.decode()
    data = [line.removeprefix("data: ") for line in streamed.splitlines() if line.startswith("data: ")]
    async with subscribed(orders, "a") as socket:
        texts = [await socket.receive_str() for _ in data]
    assert texts == data


async def test_what_happens_later_comes_as_it_happens(orders: Api) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    async with subscribed(orders, "a") as socket:
        while json.loads(await socket.receive_str())["type"] != "wait_started":
            pass
        await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
        events, code = await read_all(socket)
    assert [event["type"] for event in events][-2:] == ["wait_completed", "workflow_completed"]
    assert code == 1000


async def test_a_cursor_and_a_filter_choose_what_comes(orders: Api) -> None:
    await complete(orders, "a")
    async with subscribed(orders, "a") as socket:
        everything, _ = await read_all(socket)
    async with subscribed(orders, "a", "?cursor=3") as socket:
        assert await read_all(socket) == (everything[3:], 1000)
    async with subscribed(orders, "a", "?filter=step_completed,workflow_completed") as socket:
        chosen, code = await read_all(socket)
    assert [event["type"] for event in chosen] == ["step_completed", "workflow_completed"]
    assert code == 1000


async def test_a_page_offers_its_token_as_a_protocol(orders: Api) -> None:
    await complete(orders, "a")
    async with subscribed(orders, "a", headers={}, protocols=("bearer", orders.token)) as socket:
        assert socket.protocol == "bearer"
        assert (await read_all(socket))[1] == 1000


@pytest.mark.parametrize(
    ("instance_id", "query", "options", "status"),
    [
        ("nope", "", {}, 404),
        ("a", "?cursor=-1", {}, 400),
        ("a", "?filter=nonsense", {}, 400),
        ("a", "", {"headers": {}}, 400),
        ("a", "", {"headers": {"authorization": "Bearer nonsense"}}, 403),
        ("a", "", {"headers": {}, "protocols": ("bearer", "nonsense")}, 403),
        ("a", "", {"headers": {}, "protocols": ("bearer",)}, 400),
        ("a", "", {"origin": "http://evil.example"}, 403),
    ],
    ids=["instance", "cursor", "filter", "no token", "token", "protocol", "half a protocol", "origin"],
)
async def test_a_refusal_comes_before_the_upgrade_as_rest_has_it(
    orders: Api, instance_id: str, query: str, options: dict[str, Any], status: int
) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with subscribed(orders, instance_id, query, **options):
            pass
    assert refused.value.status == status


async def test_an_instance_that_is_deleted_ends_its_events_with_4404(orders: Api) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    async with subscribed(orders, "a") as socket:
        while json.loads(await socket.receive_str())["type"] != "wait_started":
            pass
        await orders.call("POST", f"{INSTANCES}/batch/delete", {"instances": ["a"]})
        assert (await read_all(socket))[1] == 4404


async def test_a_client_that_leaves_lets_the_server_go_on(orders: Api) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    async with subscribed(orders, "a") as socket:
        await socket.receive_str()
    await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
    await orders.reach("orders", "a", "complete")
    assert orders.host.log.events("error") == []


async def test_a_changed_config_does_not_interrupt_who_listens(orders: Api) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    async with subscribed(orders, "a") as socket:
        while json.loads(await socket.receive_str())["type"] != "wait_started":
            pass
        await orders.app.reload({orders.app.config.path})
        await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
        events, code = await read_all(socket)
    assert events[-1]["type"] == "workflow_completed"
    assert code == 1000


async def test_a_token_that_is_revoked_closes_its_sockets_with_1008(orders: Api) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    token = orders.tokens.create("All Read")
    async with subscribed(orders, "a", headers={"authorization": f"Bearer {token}"}) as socket:
        while json.loads(await socket.receive_str())["type"] != "workflow_waiting":
            pass
        orders.revoke(token)
        await orders.host.advance(KEEP_ALIVE_SECONDS)
        assert await read_all(socket) == ([], 1008)


async def test_what_a_client_sends_is_thrown_away(orders: Api) -> None:
    await orders.call("POST", INSTANCES, {"instance_id": "a"})
    async with subscribed(orders, "a") as socket:
        for _ in range(5):
            await socket.send_str("x" * 600_000)
        while json.loads(await socket.receive_str())["type"] != "workflow_waiting":
            pass
        await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
        _, code = await read_all(socket)
    assert code == 1000
