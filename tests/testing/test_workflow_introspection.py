"""Instances changed and looked into, as Cloudflare's vitest integration does it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.workflow_errors import NonRetryableError
from edge.runtime.testing.workflow_introspectors import IntrospectionError, WorkflowInstanceIntrospector

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.project import ProjectUnderTest
    from edge.runtime.testing.workflow_modifier import WorkflowInstanceModifier

ORDER = """
    from datetime import timedelta

    from workers import WorkflowEntrypoint

    calls = []

    async def charge(attempt):
        calls.append(attempt)
        raise ValueError("no card")

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            found = []
            for _ in range(event["payload"].get("charges", 1)):
                @step.do("charge", config={"retries": {"limit": 2, "delay": "1 hour", "backoff": "constant"}})
                async def charged(ctx):
                    return await charge(ctx["attempt"])

                found.append(await charged())
            await step.sleep("cool off", "1 day")
            await step.sleep("cool off", "1 day")
            await step.sleep_until("date", event["timestamp"] + timedelta(days=30))
            approval = await step.wait_for_event("approval", "approved", timeout="3 days")
            return {"charged": found, "by": approval["payload"]}
"""
CHARGE = {"name": "charge"}
APPROVED = {"type": "approved", "payload": "ada"}


async def created(project: ProjectUnderTest, modify: Any = None, **params: Any) -> WorkflowInstanceIntrospector:
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    if modify is not None:
        await order.modify(modify)
    await project.env.ORDERS.create(id="a", params=params)
    return order


def charged(m: WorkflowInstanceModifier) -> WorkflowInstanceModifier:
    return m.mock_step_result({"name": "charge"}, 7)


async def calls() -> Any:
    import entry  # type: ignore[import-not-found]  # the Worker's main file, while a project is open

    return entry.calls


async def test_everything_can_be_passed_at_once(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(project, lambda m: charged(m).disable_sleeps().mock_event(APPROVED))
    await order.wait_for_status("complete")
    assert await order.get_output() == {"charged": [7], "by": "ada"}
    assert await order.wait_for_step_result(CHARGE) == 7
    assert (await order.wait_for_step_result({"name": "approval"}))["payload"] == "ada"
    assert await calls() == []


async def test_a_function_that_modifies_may_be_async(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)

    async def modify(m: WorkflowInstanceModifier) -> None:
        await m.disable_sleeps()
        await charged(m)
        m.mock_event({"type": "approved"})

    order = await created(project, modify)
    assert await order.get_output() == {"charged": [7], "by": None}


async def test_named_sleeps_are_skipped_and_others_are_not(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(project, lambda m: charged(m).disable_sleeps([{"name": "cool off"}, {"name": "date"}]))
    with pytest.raises(IntrospectionError, match=r'it sleeps in "cool off" \(2\) until .*Z \(in 1 day, 0:00:00\)'):
        await order.wait_for_status("complete")
    await project.workflows.advance("1 day")
    with pytest.raises(IntrospectionError, match=r'it waits in "approval" for an event of type \'approved\' until'):
        await order.wait_for_status("complete")


async def test_retries_follow_at_once_when_their_delays_are_off(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(project, lambda m: m.disable_retry_delays([CHARGE]))
    await order.wait_for_status("errored")
    assert await calls() == [1, 2, 3]
    other = project.workflows.introspect_workflow_instance(project.env.ORDERS, "b")
    await project.env.ORDERS.create(id="b")
    with pytest.raises(
        IntrospectionError, match=r'it waits to try step "charge" again until .* after attempt 1, which'
    ):
        await other.wait_for_status("errored")


async def test_errors_and_timeouts_come_in_turn_before_the_result(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    failures = []

    def modify(m: WorkflowInstanceModifier) -> None:
        m.mock_step_error({"name": "charge"}, ConnectionError("gone"), 1).force_step_timeout({"name": "charge"}, 1)
        charged(m)

    order = await created(project, modify)
    for _ in range(2):
        with pytest.raises(IntrospectionError) as raised:
            await order.wait_for_step_result(CHARGE)
        failures.append(str(raised.value).partition("failed with ")[2].splitlines()[0])
        await project.workflows.advance("1 hour")
    assert failures == ["ConnectionError: gone", "WorkflowTimeoutError: Execution timed out after 600000ms"]
    assert await order.wait_for_step_result(CHARGE) == 7
    assert await calls() == []


async def test_an_error_without_times_fails_every_attempt(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(
        project, lambda m: m.mock_step_error({"name": "charge"}, OSError("down")).disable_retry_delays()
    )
    await order.wait_for_status("errored")
    assert await order.get_error() == {"name": "OSError", "message": "down"}


async def test_a_mocked_error_that_is_not_retried_is_not(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(project, lambda m: m.mock_step_error({"name": "charge"}, NonRetryableError("refused")))
    with pytest.raises(NonRetryableError, match="refused"):
        await order.wait_for_step_result(CHARGE)


async def test_steps_of_one_name_are_told_apart_by_index(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(project, lambda m: charged(m).mock_step_result({"name": "charge", "index": 2}, 8), charges=2)
    assert await order.wait_for_step_result({"name": "charge", "index": 2}) == 8
    assert await order.wait_for_step_result(CHARGE) == 7


async def test_what_is_mocked_twice_is_refused(opened: Callable[..., Any]) -> None:
    order = (project := await opened(ORDER)).workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    await order.modify(charged)
    for modify, text in (
        (charged, "Trying to mock step 'charge' multiple times!"),
        (lambda m: m.mock_step_error(CHARGE, ValueError()), "Trying to mock error on step 'charge' after mocking its"),
        (lambda m: m.force_step_timeout(CHARGE), "Trying to force timeout on step 'charge' after mocking its result!"),
    ):
        with pytest.raises(ValueError, match=text):
            await order.modify(modify)


async def test_a_wait_times_out_although_its_event_was_sent(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(
        project,
        lambda m: charged(m).disable_sleeps().mock_event(APPROVED).force_event_timeout({"name": "approval"}),
    )
    await order.wait_for_status("errored")
    assert (await order.get_error())["name"] == "WorkflowTimeoutError"


async def test_an_event_reaches_an_instance_that_waits(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = await created(project, lambda m: charged(m).disable_sleeps())
    await order.wait_for_status("waiting")
    await order.modify(lambda m: m.mock_event(APPROVED))
    await order.wait_for_status("complete")


async def test_all_instances_are_changed_and_found(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    async with project.workflows.introspect_workflow(project.env.ORDERS) as orders:
        await orders.modify_all(lambda m: charged(m).disable_sleeps().mock_event(APPROVED))
        for instance_id in "cab":
            await project.env.ORDERS.create(id=instance_id)
        assert [order.id for order in await orders.get()] == ["c", "a", "b"]
        for order in await orders.get():
            assert (await order.get_output())["by"] == "ada"
        [first, *_] = await orders.get()
        await (await project.env.ORDERS.get(first.id)).restart()
        assert (await first.get_output())["by"] == "ada"
    await project.env.ORDERS.create(id="later")
    later = project.workflows.introspect_workflow_instance(project.env.ORDERS, "later")
    with pytest.raises(IntrospectionError, match="ValueError: no card"):
        await later.wait_for_status("complete")


async def test_what_was_changed_ends_with_the_introspector(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    async with project.workflows.introspect_workflow_instance(project.env.ORDERS, "a") as order:
        await order.modify(charged)
    await project.env.ORDERS.create(id="a")
    with pytest.raises(IntrospectionError, match="to try step"):
        await order.wait_for_step_result(CHARGE)


async def test_one_introspector_less_leaves_what_holds_for_all(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    orders = project.workflows.introspect_workflow(project.env.ORDERS)
    second = {"name": "charge", "index": 2}
    await orders.modify_all(lambda m: charged(m).mock_step_result(second, 9).mock_event(APPROVED))
    async with project.workflows.introspect_workflow_instance(project.env.ORDERS, "a") as order:
        await order.modify(lambda m: m.mock_step_result({"name": "charge"}, 8))
        await project.env.ORDERS.create(id="a", params={"charges": 2})
        assert await order.wait_for_step_result(second) == 9
    await project.workflows.advance("30 days")
    assert await order.get_output() == {"charged": [8, 9], "by": "ada"}


async def test_queued_and_running_count_when_they_are_passed(opened: Callable[..., Any]) -> None:
    order = await created(await opened(ORDER), lambda m: charged(m).disable_sleeps().mock_event(APPROVED))
    for status in ("queued", "complete", "running", "queued"):
        await order.wait_for_status(status)


async def test_one_that_ended_says_how_with_the_users_lines(opened: Callable[..., Any]) -> None:
    order = await created(await opened(ORDER), lambda m: m.disable_retry_delays())
    with pytest.raises(IntrospectionError) as raised:
        await order.wait_for_status("complete")
    told = str(raised.value)
    assert told.startswith(
        'It does not become "complete". Instance "a" of workflow "orders" is "errored"; '
        'the steps it called: "charge".\n'
        "ValueError: no card\n"
    )
    assert 'Step "charge" (1), attempt 3:' in told
    assert told.count('raise ValueError("no card")') == 1
    assert "found.append(await charged())" in told
    assert "instance_pass.py" not in told


async def test_a_step_that_was_never_called_is_said(opened: Callable[..., Any]) -> None:
    order = await created(await opened(ORDER), lambda m: charged(m).disable_sleeps().mock_event(APPROVED))
    with pytest.raises(
        IntrospectionError, match=r'Step "pack" \(2\) has no result. .* is "complete"; .*: "charge", "coo'
    ):
        await order.wait_for_step_result({"name": "pack", "index": 2})


async def test_output_and_error_are_refused_in_cloudflares_words(opened: Callable[..., Any]) -> None:
    order = await created(await opened(ORDER), charged)
    text = 'Cannot retrieve output: Workflow instance is in status "waiting" but must be "complete" to have an output'
    with pytest.raises(IntrospectionError, match=text):
        await order.get_output()
    with pytest.raises(IntrospectionError, match='but must be "errored" to have error information available'):
        await order.get_error()


async def test_what_is_paused_or_not_there_is_said(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    with pytest.raises(IntrospectionError, match='Workflow "orders" has no instance "a": it was never created'):
        await order.wait_for_status("complete")
    instance = await project.env.ORDERS.create(id="a")
    await order.wait_for_status("waiting")
    await instance.pause()
    with pytest.raises(IntrospectionError, match="it is paused: resume it"):
        await order.wait_for_status("complete")


async def test_one_that_has_no_room_is_said(opened: Callable[..., Any]) -> None:
    workflow = {"binding": "ORDERS", "name": "orders", "class_name": "Order", "concurrency": {"limit": 1}}
    entry = """
        import asyncio
        from workers import WorkflowEntrypoint

        class Order(WorkflowEntrypoint):
            async def run(self, event, step):
                await asyncio.Event().wait()
    """
    project = await opened(entry, workflows=[workflow])
    await project.env.ORDERS.create(id="a")
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    await order.wait_for_status("running")
    await project.env.ORDERS.create(id="b")
    queued = project.workflows.introspect_workflow_instance(project.env.ORDERS, "b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.runtime.testing.workflow_introspectors.USER_CODE_PATIENCE_S", (0.05,))
        with pytest.raises(IntrospectionError, match="it has not begun: its workflow has no room"):
            await queued.wait_for_status("complete")
        with pytest.raises(IntrospectionError, match="it runs code outside of its steps"):
            await order.wait_for_status("complete")


async def test_only_workflows_are_looked_into(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    with pytest.raises(TypeError, match=r"Give a workflow of env, as env.MY_WORKFLOW, not"):
        project.workflows.introspect_workflow(project.env.KV)


async def test_the_clock_begins_now(opened: Callable[..., Any]) -> None:
    now = (await opened(ORDER)).workflows.now()
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60
    assert now.microsecond == 0
