"""The unmodified `cloudflare` SDK against a real socket: every method of `client.workflows`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from conftest import Api

A = LOCAL_ACCOUNT_ID
ORDERS: dict[str, Any] = {"account_id": A, "workflow_name": "orders"}


async def all_of(pages: Any) -> list[Any]:
    return [one async for one in pages]


async def test_workflows_are_updated_listed_got_and_deleted(orders: Api, sdk: Any) -> None:
    async with sdk(orders) as client:
        workflows = client.workflows
        put = await workflows.update(
            "echo",
            account_id=A,
            class_name="Echo",
            script_name="demo",
            limits={"steps": 10},
            concurrency={"limit": 2},
            default_retention={"success_retention": "1 day", "error_retention": 1000},
            schedules=[{"cron": "*/5 * * * *"}],
        )
        assert (put.name, put.class_name, put.is_deleted, put.terminator_running) == ("echo", "Echo", 0, 0)
        assert sorted([one.name for one in await all_of(workflows.list(account_id=A))]) == ["echo", "orders"]
        assert [one.name for one in await all_of(workflows.list(account_id=A, search="ech"))] == ["echo"]
        for per_page in (1, 2):
            assert len(await all_of(workflows.list(account_id=A, per_page=per_page))) == 2
        got = await workflows.get("echo", account_id=A)
        assert got.id == put.id
        assert (got.instances["queued"], got.triggered_on) == (0, None)
        assert [(one.cron, one.next_instance) for one in got.schedules] == [("*/5 * * * *", "2026-01-01T00:05:00.000Z")]
        assert (await workflows.delete("echo", account_id=A)).status == "ok"
        assert [one.name for one in await all_of(workflows.list(account_id=A))] == ["orders"]


async def test_versions_and_their_graph(orders: Api, sdk: Any) -> None:
    async with sdk(orders) as client:
        versions = client.workflows.versions
        (version,) = await all_of(versions.list("orders", account_id=A))
        assert (version.class_name, version.language, version.has_dag) == ("Order", "python", False)
        assert version.limits.steps == 50
        got = await versions.get(version.id, **ORDERS)
        assert got.default_retention.success_retention == 30 * 24 * 3600 * 1000
        graph = await versions.graph(version.id, **ORDERS)
        assert (graph.id, graph.workflow_id, graph.graph) == (version.id, version.workflow_id, None)


async def test_an_instance_from_create_over_an_event_to_its_output(orders: Api, sdk: Any) -> None:
    async with sdk(orders) as client:
        instances = client.workflows.instances
        made = await instances.create(
            "orders",
            account_id=A,
            instance_id="a",
            params=json.dumps({"n": 1}),
            instance_retention={"success_retention": "5 minutes"},
            location_hint="weur",
        )
        assert (made.id, made.trigger_source) == ("a", "api")
        await orders.reach("orders", "a", "waiting")
        wait = await instances.step("a", **ORDERS, name="approval-1", type="waitForEvent")
        assert (wait.status, wait.event_type, wait.output) == ("waiting", "approved", None)
        price = await instances.step("a", **ORDERS, name="price-1", type="step", attempt=1)
        assert (price.status, price.output, price.error) == ("complete", {"eur": 5}, None)
        sent = await instances.events.create("approved", **ORDERS, instance_id="a", body={"by": "ada"})
        assert (sent.instance_id, sent.timestamp) == ("a", datetime(2026, 1, 1, tzinfo=UTC))
        await orders.reach("orders", "a", "complete")
        got = await instances.get("a", **ORDERS)
        assert json.loads(got.output) == {"price": {"eur": 5}, "by": {"by": "ada"}, "params": {"n": 1}}
        assert (got.status, got.success, got.step_count, got.trigger.source) == ("complete", True, 2, "api")
        step, approval = got.steps
        assert (step.name, step.output, step.attempts[0].success, step.config.retries.backoff) == (
            "price-1",
            '{"eur":5}',
            True,
            "exponential",
        )
        assert (approval.type, approval.event_type, approval.finished) == ("waitForEvent", "approved", True)
        simple = await instances.get("a", **ORDERS, simple="true", order="desc")
        assert (simple.steps, simple.step_count) == ([], 2)


async def test_every_action_on_an_instance(orders: Api, sdk: Any) -> None:
    async with sdk(orders) as client:
        await client.workflows.instances.create("orders", account_id=A, instance_id="a")
        await orders.reach("orders", "a", "waiting")
        status = client.workflows.instances.status
        assert (await status.edit("a", **ORDERS, status="pause")).status == "paused"
        await status.edit("a", **ORDERS, status="resume")
        await orders.reach("orders", "a", "waiting")
        await status.edit("a", **ORDERS, status="terminate", rollback=True)
        await orders.reach("orders", "a", "terminated")
        await status.edit("a", **ORDERS, status="restart")
        await orders.reach("orders", "a", "waiting")
        edited = await status.edit("a", **ORDERS, status="restart", from_={"name": "price", "count": 1, "type": "do"})
        assert edited.timestamp == datetime(2026, 1, 1, tzinfo=UTC)
        await orders.reach("orders", "a", "waiting")


async def test_lists_end_whatever_their_length_and_take_every_filter(orders: Api, sdk: Any) -> None:
    async with sdk(orders) as client:
        instances = client.workflows.instances
        batch = await instances.bulk("orders", account_id=A, body=[{"instance_id": f"i{n}"} for n in range(5)])
        assert [one.id async for one in batch] == [f"i{n}" for n in range(5)]
        for n in range(5):
            await orders.reach("orders", f"i{n}", "waiting")
        for per_page in (1, 2, 5, 25):
            listed = await all_of(instances.list("orders", account_id=A, per_page=per_page))
            assert sorted(one.id for one in listed) == [f"i{n}" for n in range(5)]
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        found = instances.list(
            "orders", account_id=A, status="waiting", direction="asc", date_start=moment, date_end=moment
        )
        assert [one.id for one in await all_of(found)] == [f"i{n}" for n in range(5)]
        assert await all_of(instances.list("orders", account_id=A, status="rollingBack")) == []
        page = await instances.list("orders", account_id=A, per_page=2)
        after = await all_of(
            instances.list("orders", account_id=A, per_page=2, cursor=page.result_info.model_extra["cursor"])
        )
        assert len(after) == 2


async def test_refusals_become_the_sdks_exceptions_without_a_second_try(orders: Api, sdk: Any) -> None:
    cloudflare = pytest.importorskip("cloudflare")
    async with sdk(orders) as client:
        instances = client.workflows.instances
        with pytest.raises(cloudflare.NotFoundError) as missing:
            await client.workflows.get("nope", account_id=A)
        assert [error.code for error in missing.value.errors] == [10200]
        with pytest.raises(cloudflare.NotFoundError) as missing:
            await instances.events.create("approved", **ORDERS, instance_id="nope", body={})
        assert [error.code for error in missing.value.errors] == [10201]
        await instances.create("orders", account_id=A, instance_id="a")
        with pytest.raises(cloudflare.BadRequestError) as taken:
            await instances.create("orders", account_id=A, instance_id="a")
        assert [error.code for error in taken.value.errors] == [10405]
        await instances.status.edit("a", **ORDERS, status="terminate")
        with pytest.raises(cloudflare.ConflictError) as finished:
            await instances.status.edit("a", **ORDERS, status="terminate")
        assert [error.code for error in finished.value.errors] == [10401]
        assert finished.value.response.request.headers["x-stainless-retry-count"] == "0"


async def test_an_email_and_its_key_do(orders: Api, sdk: Any) -> None:
    key = orders.tokens.create_global_key("ada@example.com")
    async with sdk(orders, api_token=None, api_email="ada@example.com", api_key=key) as client:
        await client.workflows.instances.create("orders", account_id=A, instance_id="a")
        sent = await client.workflows.instances.events.create("approved", **ORDERS, instance_id="a", body="yes")
        assert sent.instance_id == "a"
