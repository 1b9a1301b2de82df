"""The API's description: made of the routes, true, and no input that fits or does not fit it fails the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from conftest import Api

EXAMPLES = 40
"""Of each operation, fitting the description and not."""


async def described(api: Api) -> dict[str, Any]:
    async with api.client.get(f"{api.url}/cdn-cgi/api/openapi.json") as answer:
        assert answer.content_type == "application/json"
        document: dict[str, Any] = await answer.json()
        return document


async def test_every_route_is_described_with_its_parameters(api: Api) -> None:
    document = await described(api)
    routes = api.app.gateway.api._api.table.routes  # type: ignore[union-attr]
    operations = [one for path in document["paths"].values() for name, one in path.items() if name != "servers"]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for route in routes:
        operation = document["paths"][route.pattern][route.method.lower()]
        assert operation["summary"].endswith(".") or ":" in operation["summary"]
        named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert named == {part[1:-1] for part in route.pattern.split("/") if part.startswith("{")}
        assert ("requestBody" in operation) is (route.body is not None)
    for path in ("/cdn-cgi/ingest/{stream}", "/cdn-cgi/api/v1/streams/ingest"):
        assert document["paths"][path]["servers"] == [{"url": api.url}]
    assert document["servers"] == [{"url": api.base_url}]


async def test_a_body_is_described_by_its_fields(api: Api) -> None:
    document = await described(api)
    create = document["paths"]["/accounts/{account_id}/pipelines/v1/streams"]["post"]["requestBody"]
    name = create["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    assert schema["required"] == ["name"]
    assert set(schema["properties"]) == {"name", "format", "http", "worker_binding", "schema"}


@pytest.mark.slow
@pytest.mark.parametrize("product", ["pipelines", "workflows", ""], ids=["pipelines", "workflows", "others"])
async def test_schemathesis_finds_no_server_error(api: Api, product: str) -> None:
    """What fits the description and what does not, for every operation, on objects that are there."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings

    document = await described(api)
    schema = schemathesis.openapi.from_dict(document)
    failures: list[str] = []
    stream = await api.call("POST", "{A}/pipelines/v1/streams", {"name": "flights"})
    sink = await api.call("POST", "{A}/pipelines/v1/sinks", {"name": "far", "type": "r2", "config": {"bucket": "far"}})
    await api.call("PUT", "{A}/workflows/orders", {"class_name": "Order", "script_name": "demo"})
    await api.call("POST", "{A}/workflows/orders/instances", {"instance_id": "a"})
    known = {
        "stream": stream["id"],
        "account_id": LOCAL_ACCOUNT_ID,
        "stream_id": stream["id"],
        "sink_id": sink["id"],
        "workflow_name": "orders",
        "instance_id": "a",
    }

    def fuzz() -> int:
        count = 0
        for result in schema.get_all_operations():
            operation = result.ok()
            named = next((one for one in ("pipelines", "workflows") if f"/{one}" in operation.path), "")
            if named != product:
                continue
            for mode in schemathesis.GenerationMode:
                strategy = operation.as_strategy(generation_mode=mode)

                @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
                @given(case=strategy)
                def check(case: Any) -> None:
                    nonlocal count
                    count += 1
                    case.headers["authorization"] = f"Bearer {api.token}"
                    if not case.path.endswith("/subscribe"):  # of an instance that is there it has no end
                        case.path_parameters.update((k, v) for k, v in known.items() if k in case.path_parameters)
                    case.path_parameters["account_id"] = LOCAL_ACCOUNT_ID
                    is_ingest = case.path.startswith("/cdn-cgi")
                    answer = case.call(base_url=api.url if is_ingest else api.base_url)
                    if answer.status_code >= 500 or answer.headers["content-type"] != ["application/json"]:
                        failures.append(f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text}")

                check()
        return count

    assert await asyncio.to_thread(fuzz) > 100
    assert not failures
