"""An instance's events as server-sent events: in order, resumable, alive, and let go of when nobody reads them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from edge.bindings.workflows.rest.event_stream import KEEP_ALIVE_SECONDS
from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse
    from conftest import Api

INSTANCES = "{A}/workflows/orders/instances"


@asynccontextmanager
async def subscribed(api: Api, query: str = "", **headers: str) -> AsyncIterator[ClientResponse]:
    """The stream of instance `a`, open."""
    url = f"{api.base_url}/accounts/{LOCAL_ACCOUNT_ID}/workflows/orders/instances/a/subscribe{query}"
    sent = {"authorization": f"Bearer {api.token}", **headers}
    async with asyncio.timeout(60), api.client.get(URL(url, encoded=True), headers=sent) as answer:
        assert answer.status == 200
        assert (answer.content_type, answer.headers["cache-control"]) == ("text/event-stream", "no-store")
        yield answer


async def block(answer: ClientResponse) -> list[str]:
    """The next block of lines, as an EventSource splits them; empty at the end."""
    lines: list[str] = []
    while (line := (await answer.content.readline()).decode()) not in {"", "\n"}:
        lines.append(line.rstrip("\n"))
    return lines


async def events(answer: ClientResponse, until: str | None = None) -> list[dict[str, Any]]:
    """The events that come, up to the first of a type, or to the end."""
    found: list[dict[str, Any]] = []
    while lines := await block(answer):
        if lines[0].startswith(":"):
            continue
        event_id, data = lines
        event = json.loads(data.removeprefix("data: "))
        assert event_id == f"id: {event['eventId']}"
        found.append(event)
        if event["type"] == until:
            break
    return found


async def waiting(api: Api) -> None:
    await api.call("POST", INSTANCES, {"instance_id": "a", "params": {"n": 1}})
    await api.reach("orders", "a", "waiting")


async def test_what_was_comes_first_then_what_happens_until_the_end(orders: Api) -> None:
    await waiting(orders)
    async with subscribed(orders) as stream:
        before = await events(stream, until="wait_started")
        await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
        after = await events(stream)
    assert [event["eventId"] for event in [*before, *after]] == list(range(1, len(before) + len(after) + 1))
    assert [event["type"] for event in before][:2] == ["workflow_queued", "workflow_started"]
    assert [event["type"] for event in after][-2:] == ["wait_completed", "workflow_completed"]
    assert before[0]["timestamp"] == 1_767_225_600_000


@pytest.mark.parametrize("how", ["cursor", "header", "both"])
async def test_a_reader_that_was_cut_off_goes_on_behind_what_it_saw(orders: Api, how: str) -> None:
    await waiting(orders)
    await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
    await orders.reach("orders", "a", "complete")
    async with subscribed(orders) as stream:
        everything = await events(stream)
    query = {"cursor": "?cursor=4", "header": "", "both": "?cursor=1"}[how]
    headers = {} if how == "cursor" else {"Last-Event-ID": "4"}  # of a browser's own second try: it knows better
    async with subscribed(orders, query, **headers) as stream:
        assert await events(stream) == everything[4:]
    async with subscribed(orders, f"?cursor={len(everything)}") as stream:
        assert await events(stream) == []


async def test_a_filter_leaves_out_the_other_types(orders: Api) -> None:
    await waiting(orders)
    await orders.call("PATCH", f"{INSTANCES}/a/status", {"status": "terminate"})
    async with subscribed(orders, "?filter=step_completed,wait_started") as stream:
        assert [event["type"] for event in await events(stream)] == ["step_completed", "wait_started"]


@pytest.mark.parametrize("query", ["?cursor=-1", "?cursor=x", "?cursor=1.5", f"?cursor={'9' * 40}", "?filter=nope"])
async def test_options_that_make_no_sense_are_refused_before_anything_is_sent(orders: Api, query: str) -> None:
    await waiting(orders)
    reply = await orders.ask("GET", f"{INSTANCES}/a/subscribe{query}")
    assert (reply.status, *reply.codes) == (400, 10002)
    assert reply.json()["errors"][0]["error_chain"][0]["message"] == "Invalid Workflow subscription options"


async def test_a_stream_without_events_says_that_it_lives(orders: Api) -> None:
    await waiting(orders)
    async with subscribed(orders) as stream:
        await events(stream, until="workflow_waiting")
        for _ in range(2):
            await orders.host.advance(KEEP_ALIVE_SECONDS)
            assert await block(stream) == [": keep-alive"]


async def test_what_nobody_reads_any_more_is_let_go_of(orders: Api) -> None:
    """The control is the count while it is read."""
    await waiting(orders)

    def subscriber_count() -> int:
        return sum(task.get_name() == "workflow_event" for task in orders.host._tasks)

    async with subscribed(orders) as stream:
        await events(stream, until="workflow_waiting")
        assert subscriber_count() == 1
        stream.close()
    async with asyncio.timeout(60):
        while subscriber_count():  # noqa: ASYNC110 - the server learns of it from the socket
            await asyncio.sleep(0)
    await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
    await orders.reach("orders", "a", "complete")
    assert orders.host.log.events("error") == []


async def test_many_readers_see_the_same(orders: Api) -> None:
    await waiting(orders)
    async with subscribed(orders) as one, subscribed(orders) as other:
        await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
        assert await events(one) == await events(other)


async def test_a_token_that_is_revoked_ends_its_streams(orders: Api) -> None:
    await waiting(orders)
    token = orders.tokens.create("All Read")
    async with subscribed(orders, authorization=f"Bearer {token}") as stream, subscribed(orders) as other:
        for one in (stream, other):
            await events(one, until="workflow_waiting")
        orders.revoke(token)
        await orders.host.advance(KEEP_ALIVE_SECONDS)
        assert await block(stream) == [": The token is good no more."]
        assert await block(stream) == []
        assert await block(other) == [": keep-alive"]


async def test_an_event_is_not_sent_for_a_token_that_was_revoked(orders: Api) -> None:
    await waiting(orders)
    token = orders.tokens.create("All Read")
    async with subscribed(orders, authorization=f"Bearer {token}") as stream:
        await events(stream, until="workflow_waiting")
        orders.revoke(token)
        await orders.host.advance(1)
        await orders.call("POST", f"{INSTANCES}/a/events/approved", "ada")
        assert await events(stream) == []


async def test_an_instance_that_is_deleted_says_so_at_the_end(orders: Api) -> None:
    await waiting(orders)
    async with subscribed(orders) as stream:
        await events(stream, until="workflow_waiting")
        await orders.call("DELETE", f"{INSTANCES}/a")
        assert await block(stream) == [": The instance was deleted."]
        assert await block(stream) == []
