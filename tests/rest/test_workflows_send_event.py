"""Sending an event to an instance over REST: any payload or none, who may, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge.bindings._shared.permissions import SCRIPTS_WRITE

from .workflow_calls import INSTANCES, assert_refused, create

if TYPE_CHECKING:
    from conftest import Api

EMAIL = "ada@example.com"

PAYLOADS = (
    (b"", None),
    (b"null", None),
    (b"  ", None),
    (b'{"a":1}', {"a": 1}),
    (b"[1]", [1]),
    (b'"text"', "text"),
    (b"0", 0),
    (b"1.5", 1.5),
    (b"true", True),
    (b'"1"', "1"),
    (str(2**70).encode(), 2**70),
)


async def test_an_event_has_any_payload_or_none(orders: Api) -> None:
    for raw, payload in PAYLOADS:
        name = await create(orders)
        reply = await orders.ask("POST", f"{INSTANCES}/{name}/events/approved", raw=raw)
        assert (reply.status, reply.json()["messages"]) == (200, [])
        done = await orders.reach("orders", name, "complete")
        assert json.loads(done["output"])["by"] == payload


NO_JSON = (b"{", b"\xff", b"[" * 100_000, b"NaN", b'"' + b"x" * 1024 * 1024 + b'"', b"{} {}")


async def test_an_event_that_is_no_json_is_refused(orders: Api) -> None:
    await create(orders, instance_id="a")
    for raw in NO_JSON:
        assert_refused(await orders.ask("POST", f"{INSTANCES}/a/events/approved", raw=raw), 400, 10002, raw)
    assert (await orders.reach("orders", "a", "waiting"))["status"] == "waiting"


async def test_an_event_moves_on_only_who_waits_for_its_type(orders: Api) -> None:
    for name in ("a", "b"):
        await create(orders, instance_id=name)
        await orders.reach("orders", name, "waiting")
    await orders.call("POST", f"{INSTANCES}/a/events/other%20type%2F1", 1)
    assert_refused(await orders.ask("POST", f"{INSTANCES}/a/events/$ended:1"), 400, 10002)
    await orders.call("POST", f"{INSTANCES}/b/events/approved", "early")
    await orders.reach("orders", "b", "complete")
    assert (await orders.reach("orders", "a", "waiting"))["status"] == "waiting"


async def test_an_event_for_a_finished_instance_is_taken_and_dropped(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.call("PATCH", f"{INSTANCES}/a/status", {"status": "terminate"})
    reply = await orders.ask("POST", f"{INSTANCES}/a/events/approved", body=1)
    assert reply.status == 200
    assert "finished" in reply.json()["messages"][0]["message"]


async def test_an_event_is_sent_with_the_right_token_or_an_email_and_its_key(orders: Api) -> None:
    path = f"{INSTANCES}/a/events/other"
    await create(orders, instance_id="a")
    key = orders.tokens.create_global_key(EMAIL)
    pair = {"x-auth-email": EMAIL, "x-auth-key": key}
    for headers, status, code in (
        ({}, 400, 9106),
        ({"x-auth-email": EMAIL}, 400, 9106),
        ({"x-auth-key": key}, 400, 9106),
        ({"authorization": "Bearer nope"}, 403, 10000),
        ({"authorization": f"Bearer {orders.tokens.create('Workers Scripts Read')}"}, 403, 9109),
        ({"authorization": f"Bearer {orders.tokens.create('Pipelines Write')}"}, 403, 9109),
    ):
        assert_refused(await orders.ask("POST", path, headers=headers), status, code)
    for headers in (pair, {"authorization": f"Bearer {orders.tokens.create(SCRIPTS_WRITE)}"}):
        reply = await orders.ask("POST", path, headers=headers)
        assert (reply.status, reply.json()["errors"]) == (200, [])
        assert set(reply.json()) >= {"errors", "messages", "success", "result"}
