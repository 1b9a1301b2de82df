"""The clock of workflows under test, and a crash in the middle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import WorkflowFatalError

if TYPE_CHECKING:
    from collections.abc import Callable

SLEEPER = """
    from workers import WorkflowEntrypoint

    async def note(what):
        pass

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            for number, duration in enumerate(event["payload"]["sleeps"]):
                await step.sleep(f"sleep {number}", duration)

                @step.do(f"note {number}")
                async def noted():
                    await note(event["instanceId"])

                await noted()
            return "rested"
"""
CHARGER = """
    from workers import WorkflowEntrypoint

    async def charge(attempt):
        raise ValueError("no card")

    async def post(attempt):
        return attempt

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            @step.do("charge", config={"retries": {"limit": 3, "delay": "10 seconds"}, "timeout": "1 minute"})
            async def charged(ctx):
                return await charge(ctx["attempt"])

            @step.do("post", config={"retries": {"limit": 0, "delay": 0}})
            async def posted(charged, ctx):
                return [charged, await post(ctx["attempt"])]

            return await posted()
"""


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """`noted(project, "note")`: that function of the Worker notes its argument and how far the clock has moved."""

    def noted(project: Any, name: str, error: Exception | None = None) -> list[Any]:
        began, calls = project.workflows.now(), []

        async def note(what: object) -> object:
            calls.append((what, (project.workflows.now() - began).total_seconds()))
            if error is not None:
                raise error
            return what

        monkeypatch.setattr(f"entry.{name}", note)
        return calls

    return noted


async def test_sleeps_end_in_the_order_of_their_times(opened: Callable[..., Any], noted: Callable[..., Any]) -> None:
    project = await opened(SLEEPER)
    calls = noted(project, "note")
    await project.env.ORDERS.create(id="a", params={"sleeps": ["2 hours", "1 second"]})
    await project.env.ORDERS.create(id="b", params={"sleeps": ["1 hour", "2 hours"]})
    await project.workflows.advance("3 hours")
    assert calls == [("b", 3600.0), ("a", 7200.0), ("a", 7201.0), ("b", 10800.0)]


async def test_the_clock_stands_still_by_itself(opened: Callable[..., Any], noted: Callable[..., Any]) -> None:
    project = await opened(SLEEPER)
    calls = noted(project, "note")
    await project.env.ORDERS.create(params={"sleeps": ["1 second"]})
    await project.workflows.settle()
    before = project.workflows.now()
    await project.workflows.advance(999)
    assert calls == []
    await project.workflows.advance(1)
    assert len(calls) == 1
    assert (project.workflows.now() - before).total_seconds() == 1.0


async def test_a_year_of_days_passes_at_once(opened: Callable[..., Any], noted: Callable[..., Any]) -> None:
    project = await opened(SLEEPER)
    calls = noted(project, "note")
    await project.env.ORDERS.create(params={"sleeps": ["30 days"] * 12})
    await project.workflows.advance("365 days")
    assert [at_s / 86400 for _, at_s in calls] == [30 * month for month in range(1, 13)]


async def test_retries_come_at_their_times(opened: Callable[..., Any], noted: Callable[..., Any]) -> None:
    project = await opened(CHARGER)
    calls = noted(project, "charge", ValueError("no card"))
    await project.env.ORDERS.create(id="a")
    await project.workflows.advance("1 hour")
    assert calls == [(1, 0.0), (2, 10.0), (3, 30.0), (4, 70.0)]
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    assert await order.get_error() == {"name": "ValueError", "message": "no card"}


async def test_a_function_that_hangs_times_out_as_the_clock_moves(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await opened(CHARGER)
    began, times = project.workflows.now(), []

    async def hang(attempt: int) -> None:
        times.append((project.workflows.now() - began).total_seconds())
        if attempt == 1:
            await asyncio.Event().wait()

    monkeypatch.setattr("entry.charge", hang)
    monkeypatch.setattr("edge.runtime.testing.workflow_engine.ADVANCE_PATIENCE_S", 0.05)
    await project.env.ORDERS.create(id="a")
    await project.workflows.advance("2 minutes")
    assert times == [0.0, 70.0]


async def test_functions_that_wait_for_something_real_are_waited_for(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await opened(CHARGER)

    async def ask(attempt: int) -> bytes:
        process = await asyncio.create_subprocess_exec("echo", "paid", stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0]

    monkeypatch.setattr("entry.charge", ask)
    await project.env.ORDERS.create(id="a")
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    assert await order.wait_for_step_result({"name": "charge"}) == b"paid\n"


async def test_after_a_crash_finished_steps_stay_and_a_running_one_begins_again(
    opened: Callable[..., Any], noted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await opened(CHARGER)
    calls = noted(project, "charge")
    reached = asyncio.Event()

    async def hang(attempt: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("entry.post", hang)
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    await project.env.ORDERS.create(id="a")
    await reached.wait()
    posts = noted(project, "post")
    await project.workflows.restart()
    assert await order.get_output() == [1, 1]
    assert [what for what, _ in calls] == [1]
    assert len(posts) == 1


async def test_schedules_fire_as_the_clock_moves(opened: Callable[..., Any], noted: Callable[..., Any]) -> None:
    workflow = {"binding": "ORDERS", "name": "orders", "class_name": "Order", "schedules": ["0 * * * *"]}
    project = await opened(CHARGER, workflows=[workflow])
    noted(project, "charge")
    await project.workflows.advance("3 hours")
    orders = await project.workflows.introspect_workflow(project.env.ORDERS).get()
    assert len(orders) == 3
    assert all(order.id.startswith("0 * * * *-") for order in orders)
    await orders[-1].wait_for_status("complete")


async def test_code_that_counts_on_its_memory_shows_where_every_wait_lets_go(opened: Callable[..., Any]) -> None:
    forgetful = """
        from workers import WorkflowEntrypoint

        class Order(WorkflowEntrypoint):
            async def run(self, event, step):
                begun.append(1)
                await step.sleep("a moment", 500)
                return len(begun)

        begun = []
    """
    outputs = []
    for replay in ("resident", "always"):
        project = await opened(forgetful, replay=replay)
        await project.env.ORDERS.create(id=replay)
        await project.workflows.advance("1 second")
        outputs.append(await project.workflows.introspect_workflow_instance(project.env.ORDERS, replay).get_output())
    assert outputs == [1, 2]


async def test_a_workflow_that_never_rests_is_named(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = """
        from workers import WorkflowEntrypoint

        class Order(WorkflowEntrypoint):
            async def run(self, event, step):
                while True:
                    await step.sleep("no time", 0)
                    begun.set()

        begun = None
    """
    project = await opened(endless)
    begun = asyncio.Event()
    monkeypatch.setattr("entry.begun", begun)
    monkeypatch.setattr("edge.runtime.testing.workflow_engine.SETTLE_SECONDS_MAX", 0.1)
    await project.env.ORDERS.create(id="a")
    await begun.wait()
    with pytest.raises(RuntimeError, match=r"within 0\.1 s of real time\. Instances that run: orders/a\. Does one"):
        await project.workflows.settle()


async def test_what_is_no_duration_is_refused(opened: Callable[..., Any]) -> None:
    project = await opened(SLEEPER)
    with pytest.raises(WorkflowFatalError, match=r"duration of advance.* is 'soon'"):
        await project.workflows.advance("soon")
