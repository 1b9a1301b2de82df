"""The REST API of workflows on a real socket: every route, every code, and what no client should send."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from .workflow_calls import INSTANCES, ORDERS, WORKFLOWS, assert_refused, create

if TYPE_CHECKING:
    from conftest import Api


async def test_a_workflow_is_shown_with_what_its_instances_do(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")
    shown = await orders.call("GET", ORDERS)
    assert {name: shown[name] for name in ("name", "class_name", "script_name")} == {
        "name": "orders",
        "class_name": "Order",
        "script_name": "demo",
    }
    assert shown["triggered_on"] == "2026-01-01T00:00:00.000Z"
    assert {status: count for status, count in shown["instances"].items() if count} == {"waiting": 1}
    assert await orders.call("GET", WORKFLOWS) == [shown]
    assert await orders.call("GET", f"{WORKFLOWS}?search=RDE") == [shown]
    assert await orders.call("GET", f"{WORKFLOWS}?search=nope") == []
    assert await orders.call("GET", f"{WORKFLOWS}?page=2") == []


async def test_an_instance_from_create_to_its_end(orders: Api) -> None:
    made = await orders.call("POST", INSTANCES, {"instance_id": "a", "params": {"x": 1}})
    assert (made["id"], made["trigger_source"]) == ("a", "api")
    assert made["status"] in {"queued", "running"}, "it may have begun already"
    await orders.reach("orders", "a", "waiting")
    waiting = await orders.call("GET", f"{INSTANCES}/a")
    assert (waiting["success"], waiting["output"], waiting["end"]) == (None, None, None)
    sent = await orders.call("POST", f"{INSTANCES}/a/events/approved", {"who": "ada"})
    assert sent == {"instanceId": "a", "timestamp": "2026-01-01T00:00:00.000Z"}
    await orders.reach("orders", "a", "complete")
    done = await orders.call("GET", f"{INSTANCES}/a")
    assert done["versionId"] == made["version_id"]
    assert done["trigger"] == {"source": "api"}
    assert done["params"] == {"x": 1}
    assert (done["success"], done["error"], done["rollback"], done["step_count"]) == (True, None, None, 2)
    assert json.loads(done["output"]) == {"price": {"eur": 5}, "by": {"who": "ada"}, "params": {"x": 1}}
    price, approval = done["steps"]
    assert (price["name"], price["type"], price["success"], price["output"]) == ("price-1", "step", True, '{"eur":5}')
    assert [attempt["success"] for attempt in price["attempts"]] == [True]
    assert price["config"]["retries"]["limit"] == 5
    assert (approval["name"], approval["type"], approval["event_type"]) == ("approval-1", "waitForEvent", "approved")
    assert approval["finished"] is True
    latest_first = await orders.call("GET", f"{INSTANCES}/a?order=desc")
    assert [step["name"] for step in latest_first["steps"]] == ["approval-1", "price-1"]
    assert (await orders.call("GET", f"{INSTANCES}/a?simple=true"))["steps"] == []


async def test_a_failed_instance_tells_its_error(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.call("POST", f"{INSTANCES}/a/events/approved", "no")
    failed = await orders.reach("orders", "a", "errored")
    assert failed["success"] is False
    assert failed["output"] is None
    assert "refused" in failed["error"]["message"] or failed["error"]["name"] == "WorkflowFatalError"


PARAMS = (
    ('{"a": [1, null]}', {"a": [1, None]}),
    ({"a": [1, None]}, {"a": [1, None]}),
    ("just text", "just text"),
    ("1", 1),
    ("", ""),
    ("[" * 900, "[" * 900),
    (None, None),
    (7, 7),
    (2**70, 2**70),
    (False, False),
)


async def test_params_come_as_json_or_as_a_string_of_it(orders: Api) -> None:
    await orders.call("PUT", f"{WORKFLOWS}/echo", {"class_name": "Echo", "script_name": "demo"})
    for params, value in PARAMS:
        made = await orders.call("POST", f"{WORKFLOWS}/echo/instances", {"params": params})
        done = await orders.reach("echo", made["id"], "complete")
        assert done["params"] == value
        is_plain = value is None or (isinstance(value, str | int) and not isinstance(value, bool))
        assert (done["output"] if is_plain else json.loads(done["output"])) == value


async def test_an_instance_without_params_gets_an_empty_object(orders: Api) -> None:
    await orders.call("PUT", f"{WORKFLOWS}/echo", {"class_name": "Echo", "script_name": "demo"})
    made = (await orders.ask("POST", f"{WORKFLOWS}/echo/instances", raw=b"")).json()["result"]
    assert (await orders.reach("echo", made["id"], "complete"))["params"] == {}


async def test_a_step_is_shown_in_full(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")
    step = f"{INSTANCES}/a/step"
    assert await orders.call("GET", f"{step}?name=price-1&type=step") == {
        "status": "complete",
        "output": {"eur": 5},
        "error": None,
    }
    assert (await orders.call("GET", f"{step}?name=price-1&attempt=1"))["status"] == "complete"
    wait = await orders.call("GET", f"{step}?name=approval-1&type=waitForEvent")
    assert wait == {"status": "waiting", "output": None, "error": None, "event_type": "approved"}
    for query in ("name=price-2", "name=price", "name=price-1&type=waitForEvent", "name=price-1&attempt=2"):
        assert_refused(await orders.ask("GET", f"{step}?{query}"), 404, 10400)
    for query in ("", "name=", "name=price-1&type=sleep", "name=price-1&attempt=0", "name=price-1&attempt=x"):
        assert_refused(await orders.ask("GET", f"{step}?{query}"), 400, 10002)


async def test_a_wait_is_shown_until_its_event_or_its_timeout(orders: Api) -> None:
    step = "step?name=approval-1&type=waitForEvent"
    for name in ("sent", "late"):
        await create(orders, instance_id=name)
        await orders.reach("orders", name, "waiting")
    await orders.call("POST", f"{INSTANCES}/sent/events/approved", [1])
    await orders.reach("orders", "sent", "complete")
    done = await orders.call("GET", f"{INSTANCES}/sent/{step}")
    assert (done["status"], done["error"]) == ("complete", None)
    event = {"payload": [1], "timestamp": "2026-01-01T00:00:00+00:00", "type": "approved"}
    assert done["output"] == event
    await orders.host.advance(3600)
    await orders.reach("orders", "late", "errored")
    late = await orders.call("GET", f"{INSTANCES}/late/{step}")
    assert (late["status"], late["output"]) == ("errored", None)
    assert late["error"] == {"name": "WorkflowTimeoutError", "message": "Execution timed out after 3600000ms"}


async def test_a_long_output_is_cut_where_all_steps_are_shown(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")
    payload = "x" * 900_000
    await orders.call("POST", f"{INSTANCES}/a/events/approved", payload)
    await orders.reach("orders", "a", "complete")
    shown = (await orders.call("GET", f"{INSTANCES}/a"))["steps"][1]["output"]
    assert len(shown) < 17_000
    assert shown.startswith('{"payload":"xxx')
    assert shown.endswith("xxx... (cut: it has 900,091 bytes)")
    whole = await orders.call("GET", f"{INSTANCES}/a/step?name=approval-1&type=waitForEvent")
    assert whole["output"]["payload"] == payload


async def test_an_instance_of_a_schedule_is_shown_with_its_time_and_found_by_its_long_id(orders: Api) -> None:
    body = {"class_name": "Echo", "script_name": "demo", "schedules": [{"cron": "*/5 * * * *"}]}
    await orders.call("PUT", f"{WORKFLOWS}/echo", body)
    async with asyncio.timeout(60):
        while not (listed := await orders.call("GET", f"{WORKFLOWS}/echo/instances")):
            await orders.host.advance(60)
    (made,) = listed
    assert made["trigger_source"] == "cron"
    found = await orders.call("GET", f"{WORKFLOWS}/echo/instances/{quote(made['id'], safe='')}")
    assert found["trigger"] == {"source": "cron"}
    assert found["schedule"] == {"cron": "*/5 * * * *", "scheduledTime": 1_767_225_900_000}


async def test_steps_of_every_kind_are_shown_as_json(orders: Api) -> None:
    await orders.call("PUT", f"{WORKFLOWS}/kinds", {"class_name": "Kinds", "script_name": "demo"})
    kinds = f"{WORKFLOWS}/kinds/instances/a"
    await orders.call("POST", f"{WORKFLOWS}/kinds/instances", {"instance_id": "a"})
    async with asyncio.timeout(60):
        while (await orders.call("GET", f"{kinds}?simple=true"))["step_count"] < 4:
            pass
        await orders.host.advance(0.001)
        while (await orders.call("GET", f"{kinds}?simple=true"))["step_count"] < 5:
            pass
    await orders.reach("kinds", "a", "waiting")
    stream, secret, odd, nap, refused = (await orders.call("GET", kinds))["steps"]
    assert stream["output"] == "[ReadableStream]"
    assert secret["output"] == "[REDACTED]"
    assert secret["config"]["sensitive"] == "output"
    shown = {"at": "2026-01-02T00:00:00+00:00", "raw": "aGk=", "set": [1], "('a', 1)": "\ufffd", "big": 2**70}
    assert json.loads(odd["output"]) == shown
    assert (nap["type"], nap["finished"], nap["end"]) == ("sleep", True, "2026-01-01T00:00:00.001Z")
    assert (refused["success"], refused["end"]) == (None, None)
    assert refused["attempts"][0]["error"] == {"name": "ValueError", "message": "no"}
    assert refused["config"]["retries"]["delay"] == "1 hour"
    body = await orders.ask("GET", f"{kinds}/step?name=stream-1")
    assert body.headers["content-type"] == "application/octet-stream"
    assert body.body == b"".join(b"%d" % number * 200_000 for number in range(3))
    assert (await orders.call("GET", f"{kinds}/step?name=secret-1"))["output"] == "[REDACTED]"
    assert (await orders.call("GET", f"{kinds}/step?name=odd-1"))["output"] == shown
    retrying = await orders.call("GET", f"{kinds}/step?name=refused-1")
    assert retrying == {"status": "waiting", "output": None, "error": None}
    first = await orders.call("GET", f"{kinds}/step?name=refused-1&attempt=1")
    assert first == {"status": "errored", "output": None, "error": {"name": "ValueError", "message": "no"}}
    failed = await orders.call("GET", f"{kinds}/step?name=refused-1&attempt=1")
    assert (failed["status"], failed["error"]["message"]) == ("errored", "no")


async def test_pause_resume_terminate_and_restart(orders: Api) -> None:
    async def act(status: str, **more: Any) -> Any:
        return await orders.call("PATCH", f"{INSTANCES}/a/status", {"status": status, **more})

    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")
    assert await act("pause") == {"status": "paused", "timestamp": "2026-01-01T00:00:00.000Z"}
    assert (await act("pause"))["status"] == "paused"
    assert (await act("resume"))["status"] in {"running", "waiting"}
    await orders.reach("orders", "a", "waiting")
    assert (await act("terminate"))["status"] == "terminated"
    refused = await orders.ask("PATCH", f"{INSTANCES}/a/status", body={"status": "terminate"})
    assert_refused(refused, 409, 10401)
    assert refused.json()["errors"][0]["message"] == "workflows.api.error.instance.cannot_terminate"
    assert refused.headers["x-should-retry"] == "false"
    assert (await act("restart"))["status"] == "queued"
    await orders.reach("orders", "a", "waiting")
    assert (await act("restart", **{"from": {"name": "approval", "type": "waitForEvent"}}))["status"] == "queued"
    await orders.reach("orders", "a", "waiting")
    unknown = {"status": "restart", "from": {"name": "nope"}}
    assert_refused(await orders.ask("PATCH", f"{INSTANCES}/a/status", body=unknown), 400, 10002)


async def test_who_terminated_an_instance_is_told(orders: Api) -> None:
    for instance_id in ("a", "b"):
        await create(orders, instance_id=instance_id)
        await orders.reach("orders", instance_id, "waiting")
    await orders.call("PATCH", f"{INSTANCES}/a/status", {"status": "terminate"})
    await (await orders.app.environment.env.ORDERS.get("b")).terminate()
    for instance_id, source in (("a", "api"), ("b", "binding")):
        *_, last = (await orders.call("GET", f"{INSTANCES}/{instance_id}"))["steps"]
        assert last == {"type": "termination", "trigger": {"source": source}}


async def test_a_terminated_instance_rolls_back_when_asked_to(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")
    await orders.call("PATCH", f"{INSTANCES}/a/status", {"status": "terminate", "rollback": True})
    await orders.reach("orders", "a", "terminated")


async def test_all_instances_are_terminated_in_the_background(orders: Api) -> None:
    for number in range(3):
        await create(orders, instance_id=f"i{number}")
        await orders.reach("orders", f"i{number}", "waiting")
    paused = await orders.call("PATCH", f"{INSTANCES}/i0/status", {"status": "pause"})
    assert paused["status"] == "paused"
    assert await orders.call("PUT", f"{INSTANCES}/terminate?status=waiting") == {"status": "ok"}
    for number in (1, 2):
        await orders.reach("orders", f"i{number}", "terminated")
    assert (await orders.reach("orders", "i0", "paused"))["status"] == "paused"
    assert await orders.call("PUT", f"{INSTANCES}/terminate") == {"status": "ok"}
    await orders.reach("orders", "i0", "terminated")
    for status in ("nope", "complete", "waiting,complete"):
        assert_refused(await orders.ask("PUT", f"{INSTANCES}/terminate?status={status}"), 400, 10002)
    assert_refused(await orders.ask("PUT", f"{WORKFLOWS}/nope/instances/terminate"), 404, 10200)


async def test_a_second_termination_of_all_says_that_one_is_running(orders: Api) -> None:
    """The job is held where it asks the journal, which is a real part made to wait on demand."""
    await create(orders, instance_id="a")
    service = orders.app.admins["workflows"]
    journal, gate = service._tools.journal, asyncio.Event()
    real = journal.terminate_some

    async def held(*arguments: Any, **options: Any) -> Any:
        await gate.wait()
        return await real(*arguments, **options)

    journal.terminate_some = held
    assert await orders.call("PUT", f"{INSTANCES}/terminate") == {"status": "ok"}
    assert await orders.call("PUT", f"{INSTANCES}/terminate") == {"status": "already_running"}
    put = await orders.call("PUT", ORDERS, {"class_name": "Order", "script_name": "demo"})
    assert put["terminator_running"] == 1
    gate.set()
    await orders.reach("orders", "a", "terminated")


async def test_a_batch_is_made_and_deleted(orders: Api) -> None:
    await create(orders, instance_id="there")
    batch = [{"instance_id": "a"}, {"instance_id": "there"}, {"params": '{"n": 1}'}]
    reply = (await orders.ask("POST", f"{INSTANCES}/batch", body=batch)).json()
    assert reply["result"][0]["id"] == "a"
    assert len(reply["result"]) == 2
    assert [(one["code"], one["message"]) for one in reply["messages"]] == [
        (10405, "workflows.api.error.instance.already_exists: there")
    ]
    deleted = await orders.call("POST", f"{INSTANCES}/batch/delete", {"instances": ["a", "nope", "there", "a"]})
    assert deleted["deleted"] == [{"id": "a"}, {"id": "there"}]
    assert [(one["id"], one["code"]) for one in deleted["errors"]] == [("nope", 10400), ("a", 10400)]
    twice = [{"instance_id": "b"}, {"instance_id": "b"}]
    assert_refused(await orders.ask("POST", f"{INSTANCES}/batch", body=twice), 400, 10415)
    assert_refused(await orders.ask("GET", f"{INSTANCES}/b"), 404, 10400)
    wrong = [{"instance_id": "good"}, {"instance_id": "a b"}]
    assert_refused(await orders.ask("POST", f"{INSTANCES}/batch", body=wrong), 400, 10002)
    assert_refused(await orders.ask("GET", f"{INSTANCES}/good"), 404, 10400)
    for body in ([], [{}] * 101):
        assert_refused(await orders.ask("POST", f"{INSTANCES}/batch", body=body), 400, 10002)
    for ids in ([], ["a"] * 101):
        assert_refused(await orders.ask("POST", f"{INSTANCES}/batch/delete", body={"instances": ids}), 400, 10002)


async def test_lists_are_walked_by_cursor_or_by_page(orders: Api) -> None:
    names = [f"i{number}" for number in range(7)]
    for name in names:
        await create(orders, instance_id=name)
        await orders.host.advance(1)

    async def listed(query: str) -> tuple[str, Any]:
        reply = (await orders.ask("GET", f"{INSTANCES}?{query}")).json()
        assert reply["result_info"]["count"] == len(reply["result"])
        return " ".join(one["id"] for one in reply["result"]), reply["result_info"]

    shown, info = await listed("per_page=3")
    assert shown == "i6 i5 i4"
    assert info["total_count"] == 7
    assert "page" not in info
    shown, info = await listed(f"per_page=3&cursor={info['cursor']}")
    assert shown == "i3 i2 i1"
    shown, info = await listed(f"per_page=3&cursor={info['cursor']}")
    assert (shown, info["cursor"]) == ("i0", None)
    assert (await listed("direction=asc"))[0] == " ".join(names)
    assert (await listed("page=2&per_page=3"))[0] == "i3 i2 i1"
    assert (await listed("page=3.0&per_page=3"))[1]["total_pages"] == 3
    assert (await listed("page=4&per_page=3"))[0] == ""
    assert (await listed("status=complete"))[0] == ""
    assert (await listed("date_start=2026-01-01T00:00:05Z"))[0] == "i6 i5"
    assert (await listed("date_end=2026-01-01T00:00:01"))[0] == "i1 i0"
    assert (await orders.ask("GET", f"{INSTANCES}/")).json()["result"][0]["id"] == "i6"


ODD_LISTS = (
    "per_page=0",
    "per_page=101",
    "per_page=x",
    "page=0",
    "page=1.5",
    "status=nope",
    "status=",
    "direction=up",
    "date_start=yesterday",
    "date_end=99999",
    "cursor=x",
    "cursor=1",
    "cursor=-1-2",
    "cursor=1-2&page=1",
    "cursor=" + "1" * 100 + "-1",
)


async def test_a_list_refuses_what_makes_no_sense(orders: Api) -> None:
    for query in ODD_LISTS:
        assert_refused(await orders.ask("GET", f"{INSTANCES}?{query}"), 400, 10002, query)


async def test_the_sdks_page_behind_a_cursor_is_empty(orders: Api) -> None:
    await create(orders)
    assert (await orders.ask("GET", f"{INSTANCES}?cursor=1-2&page=2")).json()["result"] == []


async def test_a_workflow_that_is_put_runs_and_stays(orders: Api) -> None:
    put = await orders.call(
        "PUT",
        f"{WORKFLOWS}/echo",
        {
            "class_name": "Echo",
            "script_name": "demo",
            "limits": {"steps": 7},
            "concurrency": {"limit": 3},
            "default_retention": {"success_retention": "5 minutes", "error_retention": 1000},
            "schedules": [{"cron": "0 12 * * *"}],
            "nobody_knows": 1,
        },
    )
    assert (put["is_deleted"], put["terminator_running"]) == (0, 0)
    await orders.call("POST", f"{WORKFLOWS}/echo/instances", {"instance_id": "a", "params": "hello"})
    assert (await orders.reach("echo", "a", "complete"))["output"] == "hello"
    (version,) = await orders.call("GET", f"{WORKFLOWS}/echo/versions")
    assert version["id"] == put["version_id"]
    assert (version["language"], version["has_dag"]) == ("python", False)
    assert version["limits"] == {"steps": 7}
    assert version["concurrency"] == {"limit": 3}
    assert version["default_retention"] == {"success_retention": 300_000, "error_retention": 1000}
    assert await orders.call("GET", f"{WORKFLOWS}/echo/versions/{version['id']}") == version
    graph = await orders.call("GET", f"{WORKFLOWS}/echo/versions/{version['id']}/graph")
    assert (graph["class_name"], graph["graph"]) == ("Echo", None)
    assert_refused(await orders.ask("GET", f"{WORKFLOWS}/echo/versions/nope"), 404, 10300)
    assert (await orders.call("GET", f"{WORKFLOWS}/echo"))["schedules"] == [
        {"cron": "0 12 * * *", "next_instance": "2026-01-01T12:00:00.000Z"}
    ]
    await orders.app.reload({orders.app.config.path})
    assert (await orders.reach("echo", "a", "complete"))["output"] == "hello"
    await orders.call("POST", f"{WORKFLOWS}/echo/instances", {"instance_id": "b"})
    await orders.reach("echo", "b", "complete")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"class_name": "Nope", "script_name": "demo"}, "class Nope(WorkflowEntrypoint)"),
        ({"class_name": "Echo", "script_name": "elsewhere"}, 'script "elsewhere" is not this Worker'),
    ],
    ids=["class", "script"],
)
async def test_a_workflow_that_cannot_run_says_why(orders: Api, body: dict[str, Any], text: str) -> None:
    reply = await orders.ask("PUT", f"{WORKFLOWS}/other", body=body)
    assert text in reply.json()["messages"][0]["message"]
    created = await orders.ask("POST", f"{WORKFLOWS}/other/instances")
    assert text in created.json()["messages"][0]["message"]
    assert created.json()["result"]["status"] == "queued"


ODD_WORKFLOWS = (
    ("a%20b", {"class_name": "C", "script_name": "s"}),
    ("-a", {"class_name": "C", "script_name": "s"}),
    ("a%2Fb", {"class_name": "C", "script_name": "s"}),
    ("a" * 65, {"class_name": "C", "script_name": "s"}),
    ("a", {"script_name": "s"}),
    ("a", {"class_name": 1, "script_name": "s"}),
    ("a", {"class_name": "", "script_name": "s"}),
    ("a", {"class_name": "a b", "script_name": "s"}),
    ("a", {"class_name": "A\x07", "script_name": "s"}),
    ("a", {"class_name": "C" * 256, "script_name": "s"}),
    ("a", {"class_name": "C", "script_name": "s", "limits": {"steps": 0}}),
    ("a", {"class_name": "C", "script_name": "s", "limits": {"steps": 25_001}}),
    ("a", {"class_name": "C", "script_name": "s", "limits": []}),
    ("a", {"class_name": "C", "script_name": "s", "concurrency": {"limit": -1}}),
    ("a", {"class_name": "C", "script_name": "s", "default_retention": {"success_retention": "soon"}}),
    ("a", {"class_name": "C", "script_name": "s", "default_retention": {"success_retention": -5}}),
    ("a", {"class_name": "C", "script_name": "s", "default_retention": {"error_retention": 0}}),
    ("a", {"class_name": "C", "script_name": "s", "schedules": [{"cron": "now"}]}),
    ("a", {"class_name": "C", "script_name": "s", "schedules": ["* * * * *"]}),
)


async def test_a_workflow_that_makes_no_sense_is_refused(orders: Api) -> None:
    for name, body in ODD_WORKFLOWS:
        assert_refused(await orders.ask("PUT", f"{WORKFLOWS}/{name}", body=body), 400, 10002, (name, body))
    assert [one["name"] for one in await orders.call("GET", WORKFLOWS)] == ["orders"]


async def test_the_class_of_a_workflow_of_the_config_is_the_configs(orders: Api) -> None:
    reply = await orders.ask("PUT", ORDERS, body={"class_name": "Echo", "script_name": "demo"})
    assert_refused(reply, 400, 10002)
    text = 'The config says that workflow "orders" is class "Order": change class_name there.'
    assert reply.json()["errors"][0]["error_chain"][0]["message"] == text
    assert (await orders.call("GET", ORDERS))["class_name"] == "Order"


async def test_a_deleted_workflow_is_gone_with_its_instances_until_the_config_is_read_again(orders: Api) -> None:
    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")
    assert await orders.call("DELETE", ORDERS) == {"status": "ok", "success": None}
    for method, path in (("GET", ORDERS), ("DELETE", ORDERS), ("GET", f"{INSTANCES}/a"), ("POST", INSTANCES)):
        assert_refused(await orders.ask(method, path, body=None), 404, 10200)
    await orders.app.reload({orders.app.config.path})
    assert_refused(await orders.ask("GET", f"{INSTANCES}/a"), 404, 10400)
    await create(orders, instance_id="a")
    await orders.reach("orders", "a", "waiting")


ODD_CALLS = (
    ("GET", f"{WORKFLOWS}/nope", 404, 10200),
    ("DELETE", f"{WORKFLOWS}/nope", 404, 10200),
    ("GET", f"{WORKFLOWS}/nope/versions", 404, 10200),
    ("GET", f"{WORKFLOWS}/nope/instances", 404, 10200),
    ("POST", f"{WORKFLOWS}/nope/instances", 404, 10200),
    ("GET", f"{WORKFLOWS}/nope/instances/a", 404, 10200),
    ("GET", f"{INSTANCES}/nope", 404, 10400),
    ("GET", f"{INSTANCES}/nope/step?name=a-1", 404, 10400),
    ("GET", f"{INSTANCES}/nope/subscribe", 404, 10400),
    ("DELETE", f"{INSTANCES}/nope", 404, 10400),
    ("POST", f"{INSTANCES}/nope/events/approved", 404, 10201),
    ("GET", f"{INSTANCES}/a%2Fb", 404, 10400),
    ("GET", f"{INSTANCES}/%00", 404, 10400),
    ("GET", f"{INSTANCES}/{'a' * 101}", 400, 10002),
    ("GET", f"{INSTANCES}/a?order=up", 400, 10002),
    ("GET", f"{INSTANCES}/a?simple=perhaps", 400, 10002),
    ("GET", f"{WORKFLOWS}?search={'a' * 65}", 400, 10002),
    ("GET", f"{WORKFLOWS}?per_page=101", 400, 10002),
    ("POST", f"{INSTANCES}/{'a' * 101}/events/approved", 400, 10002),
    ("POST", f"{INSTANCES}/a/events/{'a' * 101}", 400, 10002),
    ("POST", f"{WORKFLOWS}/{'a' * 65}/instances/a/events/approved", 400, 10002),
    ("POST", f"{INSTANCES}/a/events/", 404, 7003),
    ("GET", f"{INSTANCES}/a/events/approved", 405, 10405),
    ("PATCH", f"{INSTANCES}/a/status", 400, 10002),
    ("GET", "/accounts/ffffffffffffffffffffffffffffffff/workflows", 403, 10000),
)


async def test_what_is_not_there_and_what_makes_no_sense(orders: Api) -> None:
    for method, path, status, code in ODD_CALLS:
        assert_refused(await orders.ask(method, path), status, code, (method, path))


ODD_INSTANCES = (
    b"{",
    b"\xff",
    b"[]",
    b"1",
    b'{"instance_id": 1}',
    b'{"instance_id": "a b"}',
    b'{"instance_id": ""}',
    b'{"instance_id": "batch"}',
    b'{"instance_id": "cf_' + b"a" * 64 + b'"}',
    b'{"instance_id": "' + b"a" * 101 + b'"}',
    b'{"instance_id": "a/b"}',
    b'{"location_hint": "moon"}',
    b'{"instance_retention": {"success_retention": []}}',
    b'{"instance_retention": {"success_retention": "soon"}}',
    b'{"instance_retention": {"success_retention": -1}}',
    b'{"instance_retention": {"error_retention": 0}}',
    b'{"params": "' + b"x" * 2 * 1024 * 1024 + b'"}',
    b'{"params": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    b'{"params": ' + b"[" * 100_000,
    b'{"params": "' + b"[" * 1000 + b"]" * 1000 + b'"}',
    b'{"params": "' + b"[" * 100_000 + b"]" * 100_000 + b'"}',
    b'{"params": NaN}',
    b'{"params": "\\ud800"}',
)


async def test_an_instance_that_makes_no_sense_is_refused(orders: Api) -> None:
    for raw in ODD_INSTANCES:
        assert_refused(await orders.ask("POST", INSTANCES, raw=raw), 400, 10002, raw)
    assert await orders.call("GET", INSTANCES) == []


async def test_an_id_is_taken_once(orders: Api) -> None:
    await create(orders, instance_id="a")
    again = await orders.ask("POST", INSTANCES, body={"instance_id": "a"})
    assert_refused(again, 400, 10405)
    error = again.json()["errors"][0]
    assert error["message"] == "workflows.api.error.instance.already_exists"
    assert error["error_chain"][0]["message"] == 'Workflow instance with id "a" already exists'


async def test_an_unknown_action_is_refused(orders: Api) -> None:
    await create(orders, instance_id="a")
    for status in ("nope", None, 1, "PAUSE"):
        refused = await orders.ask("PATCH", f"{INSTANCES}/a/status", body={"status": status})
        assert_refused(refused, 400, 10002, status)


async def test_an_instance_is_deleted_and_its_id_is_free_again(orders: Api) -> None:
    await create(orders, instance_id="a")
    assert await orders.call("DELETE", f"{INSTANCES}/a") == {"success": True}
    assert_refused(await orders.ask("GET", f"{INSTANCES}/a"), 404, 10400)
    await create(orders, instance_id="a")


async def test_the_api_is_there_where_no_workflow_is(api: Api) -> None:
    assert await api.call("GET", WORKFLOWS) == []
