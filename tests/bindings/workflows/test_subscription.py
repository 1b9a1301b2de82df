"""The events of an instance: in order, once, first those that were and then those that come."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.journal.history_statements import PAGE_BYTES_MAX
from edge.bindings.workflows.journal.listeners import LOOK_SECONDS
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.bindings.workflows.subscription import PAGE_COUNT
from edge.bindings.workflows.workflow import WorkflowInstance, WorkflowTools
from edge.runtime.core.errors import BindingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

ONE_STEP = [
    "workflow_queued",
    "workflow_started",
    "workflow_running",
    "step_started",
    "attempt_started",
    "attempt_completed",
    "step_completed",
    "workflow_completed",
]


async def one_step(self: Any, event: Any, step: Any) -> Any:
    return await step.do("charge", lambda: {"paid": True})


async def waiter(self: Any, event: Any, step: Any) -> Any:
    await step.do("before", lambda: 1)
    await step.wait_for_event("approval", "go")
    return "gone"


async def all_of(events: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        return [event async for event in events]


async def types_of(events: Any) -> list[str]:
    return [event["type"] for event in await all_of(events)]


async def test_history_comes_in_order_and_ends_with_the_instance(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create({"amount": 5}, id="a")
    await site.output(instance)
    events = await all_of(instance.subscribe())
    assert [event["eventId"] for event in events] == list(range(1, 9))
    assert [event["type"] for event in events] == ONE_STEP
    now_ms = int(site.host.now() * 1000)
    assert events[1] == {
        "instanceId": "a",
        "eventId": 2,
        "timestamp": now_ms,
        "type": "workflow_started",
        "params": {"amount": 5},
    }
    assert events[3]["stepName"] == "charge-1"
    assert events[3]["config"]["retries"] == {"limit": 5, "delay": 10_000, "backoff": "exponential"}
    assert events[5]["attempt"] == 1
    assert events[6]["output"] == {"paid": True}
    assert events[7]["output"] == {"paid": True}


async def test_events_come_as_they_happen(start: Callable[..., Any]) -> None:
    """Without the clock being moved: what this process writes is told at once."""
    site = await start(waiter)
    instance = await site.create()
    events = instance.subscribe()
    seen: list[str] = []
    async with asyncio.timeout(60):
        async for event in events:
            seen.append(event["type"])
            if event["type"] == "workflow_waiting":
                await instance.send_event(type="go")
    assert seen[-4:] == ["workflow_waiting", "workflow_running", "wait_completed", "workflow_completed"]


async def test_awaiting_a_subscription_gives_itself(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create()
    assert await types_of(await instance.subscribe()) == ONE_STEP


async def test_a_cursor_leaves_out_what_was_seen(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create()
    await site.output(instance)
    for cursor in range(len(ONE_STEP) + 1):
        assert await types_of(instance.subscribe(cursor=cursor)) == ONE_STEP[cursor:]


async def test_a_cursor_of_an_earlier_instance_with_that_id_hides_nothing(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    earlier = await site.create(id="a")
    await site.output(earlier)
    await earlier.restart()
    seen = await all_of(earlier.subscribe())
    await earlier.delete()
    again = await site.create(id="a")
    assert await types_of(again.subscribe(cursor=seen[-1]["eventId"])) == ONE_STEP


async def test_a_cursor_that_no_instance_can_reach_hides_nothing(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create(id="a")
    assert await types_of(instance.subscribe(cursor=2**70)) == ONE_STEP


async def test_a_subscription_knows_whether_its_instance_was_deleted(start: Callable[..., Any]) -> None:
    site = await start(waiter)
    kept, deleted = await site.create(), await site.create()
    subscriptions = [one.subscribe(filter=["workflow_completed"]) for one in (kept, deleted)]
    coming = [site.host.spawn(all_of(one), name="subscriber") for one in subscriptions]
    await site.reach(kept, "waiting")
    await site.reach(deleted, "waiting")
    await deleted.delete()
    await kept.send_event(type="go")
    await asyncio.gather(*coming)
    assert [one.is_deleted for one in subscriptions] == [False, True]


async def test_a_filter_chooses_types_and_does_not_hide_the_end(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create()
    events = await all_of(instance.subscribe({"filter": ["step_completed", "workflow_queued"]}))
    assert [(event["eventId"], event["type"]) for event in events] == [(1, "workflow_queued"), (7, "step_completed")]
    assert await all_of(instance.subscribe(filter=[])) == []


@pytest.mark.parametrize(
    "options",
    [
        {"cursor": -1},
        {"cursor": "1"},
        {"cursor": True},
        {"filter": "step_started"},
        {"filter": ["step_begun"]},
        {"filter": [1]},
        {"after": 3},
        [1],
    ],
    ids=str,
)
async def test_malformed_options_are_refused_at_the_call(start: Callable[..., Any], options: Any) -> None:
    site = await start(one_step)
    instance = await site.create()
    with pytest.raises(BindingError, match="Invalid Workflow subscription options"):
        instance.subscribe(options)


async def test_an_instance_that_is_not_there_has_no_events(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create()
    await instance.delete()
    with pytest.raises(BindingError, match=r"instance\.not_found"):
        await all_of(instance.subscribe())


async def test_deleting_the_instance_ends_its_subscriptions(start: Callable[..., Any]) -> None:
    """Also when its id is created again at once: that is another instance."""
    site = await start(waiter)
    instance = await site.create(id="a")
    events = instance.subscribe()
    assert (await anext(events))["type"] == "workflow_queued"
    await instance.delete()
    await site.create(id="a")
    assert await all_of(events) == []


async def test_long_histories_come_whole(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        for n in range(PAGE_COUNT // 4 + 5):
            await step.do(f"s{n}", lambda: 1)

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    ids = [event["eventId"] for event in await all_of(instance.subscribe())]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) > PAGE_COUNT


async def test_another_processs_events_come_within_a_quarter_of_a_second(
    start: Callable[..., Any], host: FakeHost
) -> None:
    assert LOOK_SECONDS < 0.25
    site = await start(waiter)
    instance = await site.create()
    await site.reach(instance, "waiting")
    async with open_journal(host.state_dir / "workflows.sqlite") as other:
        tools = WorkflowTools(other, host, lambda _: None)
        events = WorkflowInstance("orders", instance.id, tools).subscribe(cursor=9)
        coming = host.spawn(all_of(events), name="subscriber")
        await site.until(lambda: other._listeners._listening)
        await instance.send_event(type="go")
        await site.output(instance)
        async with asyncio.timeout(60):
            while not coming.done():
                await host.advance(LOOK_SECONDS)
        assert (await coming)[-1]["type"] == "workflow_completed"


async def test_nobody_looks_when_nobody_listens(start: Callable[..., Any]) -> None:
    site = await start(waiter)
    instance = await site.create()
    await site.reach(instance, "waiting")
    listeners = site.journal._listeners
    first, second = instance.subscribe(), instance.subscribe()
    await anext(first)
    await anext(second)
    assert len(listeners._listening) == 1
    await first.aclose()
    assert len(listeners._listening) == 1
    del second  # dropped, and not closed
    gc.collect()
    await site.until(lambda: not listeners._listening)
    assert listeners._task is None


async def test_subscribers_share_one_look(start: Callable[..., Any], host: FakeHost) -> None:
    """A look costs one read for all of them, and nothing is read again while nobody writes."""
    site = await start(waiter)
    instance = await site.create()
    await site.reach(instance, "waiting")
    coming = [host.spawn(all_of(instance.subscribe()), name=f"subscriber {n}") for n in range(50)]
    listeners = site.journal._listeners
    await site.until(lambda: len(listeners._listening.get(1, ())) == 50)
    looks, real_look = [], listeners._look

    async def counted(numbers: Any, version: Any) -> Any:
        looks.append(await real_look(numbers, version))
        return looks[-1]

    listeners._look = counted
    for count in range(1, 6):  # one at a time: an owner that renews its lease writes, too
        await host.advance(LOOK_SECONDS)
        await site.until(lambda count=count: len(looks) >= count)
    assert [look.newest for look in looks[-3:]] == [{}, {}, {}]
    await instance.send_event(type="go")
    assert {events[-1]["type"] for events in await asyncio.gather(*coming)} == {"workflow_completed"}


async def test_a_restart_forgets_what_was_and_goes_on_counting(start: Callable[..., Any]) -> None:
    site = await start(one_step)
    instance = await site.create()
    await site.output(instance)
    await instance.restart()
    events = await all_of(instance.subscribe(cursor=8))
    assert [event["type"] for event in events] == ONE_STEP
    assert [event["eventId"] for event in events] == list(range(9, 17))
    assert await all_of(instance.subscribe()) == events


async def test_what_is_sensitive_is_not_shown(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        secret = await step.do("secret", lambda: "hunter2", config={"sensitive": "output"})
        return len(secret)

    site = await start(run)
    instance = await site.create()
    assert await site.output(instance) == 7
    events = await all_of(instance.subscribe())
    assert [event["output"] for event in events if event["type"] == "step_completed"] == ["[REDACTED]"]
    assert "hunter2" not in str(events)


async def test_large_events_are_read_few_at_once(start: Callable[..., Any]) -> None:
    """A subscriber that does not take them keeps a page of them in memory."""
    size_bytes = PAGE_BYTES_MAX // 2

    async def run(self: Any, event: Any, step: Any) -> None:
        for _ in range(6):
            await step.do("large", lambda: "x" * size_bytes)

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    number = await site.journal.number_of("orders", instance.id)
    page = await site.journal.history_of(number, after=0, count_max=PAGE_COUNT)
    assert page.has_more
    assert sum(event.type == "step_completed" for event in page.events) == 2

    events = await all_of(instance.subscribe())
    assert [event["eventId"] for event in events] == list(range(1, len(events) + 1))
    assert sum(event["type"] == "step_completed" for event in events) == 6
