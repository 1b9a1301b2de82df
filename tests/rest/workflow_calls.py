"""What the tests of the REST API of workflows call, and how they read a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Api, Reply

WORKFLOWS = "{A}/workflows"
ORDERS = f"{WORKFLOWS}/orders"
INSTANCES = f"{ORDERS}/instances"


def assert_refused(reply: Reply, status: int, code: int, what: object = None) -> None:
    assert (reply.status, *reply.codes) == (status, code), f"{what!r:.200}: {reply.body!r}"
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["result"] is None


async def create(api: Api, **body: Any) -> str:
    made = await api.call("POST", INSTANCES, body)
    return str(made["id"])
