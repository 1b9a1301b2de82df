"""What is kept of an instance's life, against a plain model of what happened to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.describe import rollback_shown, step_name, steps_shown
from edge.bindings.workflows.journal.records import Change, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.bindings.workflows.journal.history import HistoryEvent
    from edge.bindings.workflows.workflow import WorkflowInstance
    from edge.runtime.testing.fake_host import FakeHost

T0 = 1_767_225_600_000
"""When a FakeHost begins."""
BORN = ["workflow_queued", "workflow_started", "workflow_running"]


async def history_of(site: Any, instance: WorkflowInstance) -> list[HistoryEvent]:
    found = await site.journal.history("orders", instance.id, after=0, count_max=10_000)
    assert found is not None
    assert [event.number for event in found] == sorted({event.number for event in found})
    return list(found)


async def told(site: Any, instance: WorkflowInstance) -> list[str]:
    """Each event as `type step attempt`."""
    return [shown(event) for event in await history_of(site, instance)]


async def until_told(site: Any, instance: WorkflowInstance, what: str, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while (await told(site, instance)).count(what) < count:  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)


def shown(event: HistoryEvent) -> str:
    words = [event.type, "" if event.step is None else step_name(event.step), str(event.attempt or "")]
    return " ".join(word for word in words if word)


def ran(step: str) -> list[str]:
    """What a step that runs once and well tells."""
    return [
        f"step_started {step}",
        f"attempt_started {step} 1",
        f"attempt_completed {step} 1",
        f"step_completed {step}",
    ]


async def test_a_step_that_is_tried_again(start: Callable[..., Any], host: FakeHost) -> None:
    tries = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        def charge() -> int:
            tries.append(1)
            if len(tries) < 3:
                raise ValueError(f"declined {len(tries)}")
            return 7

        return await step.do("charge", charge, config={"retries": {"limit": 2, "delay": 5000, "backoff": "linear"}})

    site = await start(run)
    instance = await site.create()
    for count, seconds in ((1, 5), (2, 10)):
        await until_told(site, instance, "workflow_waiting", count)
        await host.advance(seconds)
    assert await site.output(instance) == 7
    assert await told(site, instance) == [
        *BORN,
        "step_started charge-1",
        "attempt_started charge-1 1",
        "attempt_errored charge-1 1",
        "workflow_waiting",
        "workflow_running",
        "attempt_started charge-1 2",
        "attempt_errored charge-1 2",
        "workflow_waiting",
        "workflow_running",
        "attempt_started charge-1 3",
        "attempt_completed charge-1 3",
        "step_completed charge-1",
        "workflow_completed",
    ]
    events = await history_of(site, instance)
    errors = [(event.at_ms - T0, event.data) for event in events if event.type == "attempt_errored"]
    assert errors == [
        (0, {"error": {"name": "ValueError", "message": "declined 1"}, "retryDelayMs": 5000}),
        (5000, {"error": {"name": "ValueError", "message": "declined 2"}, "retryDelayMs": 10_000}),
    ]
    (step,) = await steps_of(site, instance)
    assert [(one["start"] - T0, one["end"] - T0, one["success"]) for one in step["attempts"]] == [
        (0, 0, False),
        (5000, 5000, False),
        (15_000, 15_000, True),
    ]
    assert step["attempts"][0]["error"] == {"name": "ValueError", "message": "declined 1"}
    assert (step["start"], step["end"], step["success"], step["output"]) == (T0, T0 + 15_000, True, 7)
    assert step["config"]["retries"] == {"limit": 2, "delay": 5000, "backoff": "linear"}


@pytest.mark.parametrize("outcome", ["completed", "errored"])
async def test_what_waited_in_memory_runs_again_before_its_attempt(
    start: Callable[..., Any], host: FakeHost, outcome: str
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        def charge(ctx: Any) -> int:
            if ctx["attempt"] == 1 or outcome == "errored":
                raise ValueError("declined")
            return 7

        await step.do("charge", charge, config={"retries": {"limit": 2, "delay": 500, "backoff": "constant"}})

    site = await start(run)
    instance = await site.create()
    await until_told(site, instance, "workflow_waiting", 1)
    await host.advance(0.5)
    await until_told(site, instance, f"attempt_{outcome} charge-1 2")
    events = (await history_of(site, instance))[len(BORN) + 2 :]
    assert [event.type for event in events][:5] == [
        "attempt_errored",
        "workflow_waiting",
        "workflow_running",
        "attempt_started",
        f"attempt_{outcome}",
    ]
    times = [event.at_ms for event in events]
    assert times == sorted(times)


async def steps_of(site: Any, instance: WorkflowInstance) -> list[dict[str, Any]]:
    found = await site.journal.find("orders", instance.id)
    records = await site.journal.steps("orders", instance.id)
    return steps_shown(found, records, await history_of(site, instance))


async def test_a_step_that_fails_for_good_and_what_undoes_the_others(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("reserve", lambda: 1, rollback=lambda: None)
        await step.do("ship", broken, config={"retries": {"limit": 0, "delay": 1}})

    site = await start(run)
    instance = await site.create()
    await site.error(instance)
    assert await told(site, instance) == [
        *BORN,
        *ran("reserve-1"),
        "step_started ship-1",
        "attempt_started ship-1 1",
        "attempt_errored ship-1 1",
        "step_errored ship-1",
        "rollback_started",
        "rollback_step_started reserve-1",
        "rollback_attempt_started reserve-1 1",
        "rollback_attempt_completed reserve-1 1",
        "rollback_step_completed reserve-1",
        "rollback_completed",
        "workflow_errored",
    ]
    events = await history_of(site, instance)
    assert events[-1].data == {"error": {"name": "ValueError", "message": "out of stock"}}
    assert "retryDelayMs" not in next(event for event in events if event.type == "attempt_errored").data
    kinds = [(step["type"], step["name"], step["success"]) for step in await steps_of(site, instance)]
    assert kinds == [("step", "reserve-1", True), ("step", "ship-1", False), ("rollback", "reserve-1", True)]
    assert await rollback_of(site, instance) == {"outcome": "complete", "error": None}


def broken() -> None:
    raise ValueError("out of stock")


async def rollback_of(site: Any, instance: WorkflowInstance) -> dict[str, Any] | None:
    records = await site.journal.steps("orders", instance.id)
    return rollback_shown(records, await history_of(site, instance))


async def test_a_rollback_that_fails(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        once = {"retries": {"limit": 0, "delay": 1}}
        await step.do("reserve", lambda: 1, rollback=broken, rollback_config=once)
        raise RuntimeError("later")

    site = await start(run)
    instance = await site.create()
    await site.error(instance)
    assert (await told(site, instance))[-6:] == [
        "rollback_step_started reserve-1",
        "rollback_attempt_started reserve-1 1",
        "rollback_attempt_errored reserve-1 1",
        "rollback_step_errored reserve-1",
        "rollback_errored",
        "workflow_errored",
    ]
    assert await rollback_of(site, instance) == {
        "outcome": "failed",
        "error": {"name": "ValueError", "message": "out of stock"},
    }


async def test_a_rollback_that_is_cut_short_has_failed(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("reserve", lambda: 1, rollback=broken)
        raise RuntimeError("later")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "rollingBack")
    await instance.terminate()
    assert (await told(site, instance))[-2:] == ["rollback_errored", "workflow_terminated"]
    assert (await rollback_of(site, instance) or {})["outcome"] == "failed"


async def test_a_sleep_an_event_and_a_pause(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.sleep("nap", "1 minute")
        return (await step.wait_for_event("approval", "go", timeout="1 hour"))["payload"]

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(20)
    await instance.pause()
    await host.advance(1000)
    await instance.resume()
    await until_told(site, instance, "workflow_waiting", 2)
    await host.advance(40)
    await until_told(site, instance, "workflow_waiting", 3)
    await instance.send_event(type="go", payload="yes")
    assert await site.output(instance) == "yes"
    happened = await told(site, instance)
    assert happened == [
        *BORN,
        "sleep_started nap-1",
        "workflow_waiting",
        "workflow_paused",
        "workflow_running",
        "workflow_waiting",
        "workflow_running",
        "sleep_completed nap-1",
        "wait_started approval-1",
        "workflow_waiting",
        "workflow_running",
        "wait_completed approval-1",
        "workflow_completed",
    ]
    events = await history_of(site, instance)
    assert next(event for event in events if event.type == "sleep_started").data == {"durationMs": 60_000}
    assert next(event for event in events if event.type == "wait_started").data == {"eventType": "go"}
    nap, approval = await steps_of(site, instance)
    assert nap == {
        "name": "nap-1",
        "type": "sleep",
        "status": "complete",
        "start": T0,
        "end": T0 + 1_060_000,
        "finished": True,
        "error": None,
    }
    assert (approval["type"], approval["event_type"], approval["finished"]) == ("waitForEvent", "go", True)
    assert approval["output"]["payload"] == "yes"


async def test_times_do_not_go_back_when_a_wait_ends_beside_an_attempt_that_just_began(
    start: Callable[..., Any], host: FakeHost
) -> None:
    is_begun, is_over = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        is_begun.set()
        await is_over.wait()

    async def news(step: Any) -> None:
        await is_begun.wait()
        await host.sleep(0.005)  # the attempt is too young to be recorded
        await step.wait_for_event("news", "go")

    async def run(self: Any, event: Any, step: Any) -> None:
        await asyncio.gather(step.do("work", work), news(step))

    site = await start(run)
    instance = await site.create()
    await instance.send_event(type="go")
    await site.until(is_begun.is_set)
    await host.advance(0.005)
    await until_told(site, instance, "wait_completed news-1")
    is_over.set()
    await site.output(instance)
    times = [event.at_ms for event in await history_of(site, instance)]
    assert times == sorted(times)


async def test_an_event_that_does_not_come(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.wait_for_event("approval", "go", timeout="1 minute")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    (pending,) = await steps_of(site, instance)
    assert (pending["finished"], pending["start"], pending["end"], pending["error"]) == (False, T0, None, None)
    await host.advance(60)
    await site.error(instance)
    assert (await told(site, instance))[-2:] == ["wait_timed_out approval-1", "workflow_errored"]
    (wait,) = await steps_of(site, instance)
    assert (wait["finished"], wait["end"], wait["error"]["name"]) == (True, T0 + 60_000, "WorkflowTimeoutError")


async def test_an_attempt_whose_process_died(start: Callable[..., Any], host: FakeHost) -> None:
    attempts = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def callback() -> int:
            attempts.append(1)
            if len(attempts) == 1:
                await host.sleep(100)
            return len(attempts)

        return await step.do("charge", callback, config={"semantics": "at_least_once"})

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: attempts)
    await host.advance(1)
    await until_told(site, instance, "step_started charge-1")
    await site.crash()
    site.start()
    assert await site.output(instance) == 2
    happened = await told(site, instance)
    assert happened == [
        *BORN,
        "step_started charge-1",
        "attempt_started charge-1 1",
        "attempt_errored charge-1 1",
        "attempt_started charge-1 2",
        "attempt_completed charge-1 2",
        "step_completed charge-1",
        "workflow_completed",
    ]
    error = next(event for event in await history_of(site, instance) if event.type == "attempt_errored").data["error"]
    assert error == {
        "name": "WorkflowInternalError",
        "message": "Attempt failed due to internal workflows error",
    }


async def test_a_replay_tells_nothing_again(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("before", lambda: 1)
        await step.sleep("nap", "1 hour")
        await step.do("after", lambda: 2)

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3600)
    await site.output(instance)
    happened = await told(site, instance)
    assert happened == [
        *BORN,
        *ran("before-1"),
        "sleep_started nap-1",
        "workflow_waiting",
        "workflow_running",
        "sleep_completed nap-1",
        *ran("after-1"),
        "workflow_completed",
    ]


async def test_a_pause_that_was_asked_for_in_a_step(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("slow", slow)
        await step.do("next", lambda: 1)

    async def slow() -> None:
        begun.append(1)
        await host.sleep(10)

    begun: list[int] = []
    site = await start(run)
    instance = await site.create()
    await site.until(lambda: begun)
    await host.advance(1)
    await until_told(site, instance, "step_started slow-1")
    await instance.pause()
    await host.advance(10)
    await site.reach(instance, "paused")
    assert (await told(site, instance))[-4:] == [
        "workflow_waiting_for_pause",
        "attempt_completed slow-1 1",
        "step_completed slow-1",
        "workflow_paused",
    ]
    (shown_step,) = await steps_of(site, instance)
    assert (shown_step["start"], shown_step["end"]) == (T0, T0 + 10_000)


async def test_a_restart_from_a_step_keeps_what_is_told_of_those_before(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        for name in ("one", "two"):
            await step.do(name, lambda: 1)

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    before = await history_of(site, instance)
    await instance.restart({"from": {"name": "two"}})
    await site.output(instance)
    assert await told(site, instance) == [*ran("one-1"), *BORN, *ran("two-1"), "workflow_completed"]
    after = await history_of(site, instance)
    assert after[:4] == before[3:7]
    assert after[4].number == before[-1].number + 1


async def test_a_step_that_runs_at_once_is_one_row(start: Callable[..., Any]) -> None:
    """It is what lets the journal write 10,000 steps per second with their history."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        for n in range(10):
            await step.do(f"s{n}", lambda: 1)

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    count = "SELECT count(*) FROM history WHERE kind = 'do'"
    assert await site.journal._read(lambda connection: connection.execute(count).fetchone()[0]) == 10


async def test_a_deleted_instance_leaves_nothing_behind(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("one", lambda: 1)

    site = await start(run)
    instance = await site.create(id="a")
    await site.output(instance)
    await instance.delete()
    assert await site.journal.history("orders", "a", after=0, count_max=10) is None
    for table in ("instance", "step", "history", "inbox", "chunk"):
        rows = await site.journal._read(lambda c, table=table: c.execute(f"SELECT * FROM {table}").fetchall())
        assert rows == [], table
    again = await site.create(id="a")
    await site.output(again)
    assert (await history_of(site, again))[0].number == 1


async def test_a_termination_is_shown_as_a_step(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.wait_for_event("w", "go")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await site.journal.act("orders", instance.id, lambda _, __: Change(Status.TERMINATED), T0)
    assert (await steps_of(site, instance))[-1] == {"type": "termination", "trigger": {"source": "unknown"}}


async def test_a_sensitive_output_is_not_described(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("secret", lambda: "hunter2", config={"sensitive": "output"})

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    (step,) = await steps_of(site, instance)
    assert step["output"] == "[REDACTED]"
    assert step["config"]["sensitive"] == "output"


async def test_a_delay_function_is_told_as_a_word(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("one", lambda: 1, config={"retries": {"limit": 1, "delay": lambda _: 5}})

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    (step,) = await steps_of(site, instance)
    assert step["config"]["retries"]["delay"] == "[dynamic]"


async def test_a_termination_that_undoes_first(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("reserve", lambda: 1, rollback=lambda: None)
        await step.wait_for_event("w", "go")

    site = await start(run)
    instance = await site.create()
    await until_told(site, instance, "workflow_waiting")
    await instance.terminate(rollback=True)
    await site.reach(instance, "terminated")
    assert (await told(site, instance))[-7:] == [
        "rollback_started",
        "rollback_step_started reserve-1",
        "rollback_attempt_started reserve-1 1",
        "rollback_attempt_completed reserve-1 1",
        "rollback_step_completed reserve-1",
        "rollback_completed",
        "workflow_terminated",
    ]
    assert [step["type"] for step in await steps_of(site, instance)][-2:] == ["rollback", "termination"]
    assert await rollback_of(site, instance) == {"outcome": "complete", "error": None}
