"""What wrangler's `--local` asks: the operations without account or token, for programs of this machine alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from edge.runtime.core.request import incoming_request

if TYPE_CHECKING:
    from conftest import Api

BASES = ("/cdn-cgi/explorer/api", "/cdn-cgi/local/explorer/api")
ORDERS = "/workflows/orders"
INSTANCES = f"{ORDERS}/instances"


async def ask(api: Api, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with api.client.request(method, URL(api.url + path, encoded=True), json=body, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("base", BASES)
async def test_an_instance_is_driven_without_a_token(orders: Api, base: str) -> None:
    async def call(method: str, path: str, body: Any = None) -> Any:
        status, answer = await ask(orders, method, base + path, body)
        assert (status, answer["success"]) == (200, True), answer
        return answer["result"]

    assert [one["name"] for one in await call("GET", "/workflows")] == ["orders"]
    assert (await call("POST", INSTANCES, {"id": "a", "params": {"n": 1}}))["id"] == "a"
    await orders.reach("orders", "a", "waiting")
    assert (await call("GET", ORDERS))["instances"]["waiting"] == 1
    assert [one["id"] for one in await call("GET", f"{INSTANCES}?page=1&per_page=10&status=waiting")] == ["a"]
    for action, status in (("pause", "paused"), ("resume", "waiting"), ("terminate", "terminated")):
        assert (await call("PATCH", f"{INSTANCES}/a/status", {"action": action}))["success"] is True
        await orders.reach("orders", "a", status)
    await call("PATCH", f"{INSTANCES}/a/status", {"action": "restart"})
    await call("POST", f"{INSTANCES}/a/events/approved", "yes")
    await orders.reach("orders", "a", "complete")
    assert [step["name"] for step in (await call("GET", f"{INSTANCES}/a"))["steps"]] == ["price-1", "approval-1"]
    await call("DELETE", f"{INSTANCES}/a")
    await call("POST", INSTANCES, {"id": "b"})
    assert (await call("DELETE", ORDERS))["status"] == "ok"
    assert await call("GET", INSTANCES) == []
    assert [one["name"] for one in await call("GET", "/workflows")] == ["orders"]
    assert (await call("POST", INSTANCES, {"id": "b"}))["id"] == "b"
    await orders.reach("orders", "b", "waiting")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/workflows/nope", None, 404, 10200),
        ("GET", f"{INSTANCES}/nope", None, 404, 10400),
        ("PATCH", f"{INSTANCES}/a/status", {"action": "nope"}, 400, 10002),
        ("PATCH", f"{INSTANCES}/a/status", {"status": "pause"}, 400, 10002),
        ("GET", "/pipelines", None, 404, 7003),
        ("GET", "/accounts", None, 404, 7003),
        ("PUT", ORDERS, {}, 405, 10405),
    ],
)
async def test_what_is_refused(orders: Api, method: str, path: str, body: Any, status: int, code: int) -> None:
    answered, answer = await ask(orders, method, BASES[0] + path, body)
    assert (answered, answer["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=str,
)
async def test_a_page_of_elsewhere_is_refused(orders: Api, headers: dict[str, str]) -> None:
    url = orders.url + BASES[0] + "/workflows"
    async with orders.client.get(url, headers=headers) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("host", "address", "status"),
    [
        ("localhost:8787", "127.0.0.1", 200),
        ("127.0.0.1", "127.0.0.1", 200),
        ("[::1]:8787", "::1", 200),
        ("localhost", "::ffff:127.0.0.1", 200),
        ("localhost", "192.168.1.7", 404),
        ("localhost", "", 404),
        ("dev.example.com", "127.0.0.1", 404),
        ("192.168.1.7:8787", "127.0.0.1", 404),
    ],
)
async def test_only_programs_of_this_machine_are_answered(orders: Api, host: str, address: str, status: int) -> None:
    """Asked behind the doorway, which knows the address a connection comes from."""
    url = f"http://{host}{BASES[0]}/workflows"
    answer = await orders.app.fetch(incoming_request("GET", url, [], client_address=address))
    assert answer.status == status


async def test_only_a_dev_server_answers(served_orders: Api) -> None:
    """What comes by a proxy has its address: `edge serve` may stand behind one."""
    status, answer = await ask(served_orders, "GET", f"{BASES[0]}/workflows")
    assert (status, answer["errors"][0]["code"]) == (404, 7003)
