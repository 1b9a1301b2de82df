"""A rollback that has begun is finished, whatever becomes of the process and of the code; it undoes what is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.journal.records import StepState

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.bindings.workflows.journal.history import HistoryEvent
    from edge.bindings.workflows.workflow import WorkflowInstance
    from edge.runtime.testing.fake_host import FakeHost

ONCE = {"retries": {"limit": 0, "delay": 0}}
ORIGINAL = {"name": "KeyError", "message": "'typo'"}


class Shop:
    """What the code of these tests did. Each handler waits for its gate; without one it goes through."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def step(self, name: str) -> None:
        self.done.append(name)

    async def undo(self, about: dict[str, Any]) -> None:
        name = about["stepName"]
        self.done.append(f"undoing {name}")
        if name in self.gates:
            await self.gates[name].wait()
        self.done.append(f"undid {name}: {about['error']}")

    @property
    def undone(self) -> list[str]:
        return [one.split(":")[0] for one in self.done if one.startswith("undid")]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def buggy(shop: Shop, mend: bool = False) -> Callable[..., Any]:
    """Two steps that can be undone, then a bug, and a third step that only mended code comes to."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: shop.step("a"), rollback=shop.undo)
        await step.do("b", lambda: shop.step("b"), rollback=shop.undo)
        if not mend:
            {}["typo"]
        await step.do("c", lambda: shop.step("c"), rollback=shop.undo)
        return "shipped"

    return run


async def in_rollback(site: Any, shop: Shop) -> WorkflowInstance:
    """An instance whose second step is being undone, as its journal knows."""
    shop.gates["b-1"] = asyncio.Event()
    instance: WorkflowInstance = await site.create()
    await site.reach(instance, "rollingBack")
    await site.until(lambda: "undoing b-1" in shop.done)
    return instance


async def history_of(site: Any, instance: WorkflowInstance) -> list[HistoryEvent]:
    found: list[HistoryEvent] = await site.journal.history("orders", instance.id, after=0, count_max=1000)
    return found


async def types_of(site: Any, instance: WorkflowInstance) -> list[str]:
    return [event.type for event in await history_of(site, instance)]


async def test_a_rollback_goes_on_after_a_kill_under_code_that_was_mended(
    start: Callable[..., Any], shop: Shop
) -> None:
    site = await start(buggy(shop))
    instance = await in_rollback(site, shop)
    await site.crash()
    site.load(buggy(shop, mend=True))
    shop.gates.clear()
    site.start()
    assert await site.error(instance) == ORIGINAL
    assert "c" not in shop.done
    assert shop.undone == ["undid b-1", "undid a-1"]
    assert shop.done[-1] == "undid a-1: KeyError: 'typo'"
    assert (await types_of(site, instance))[-2:] == ["rollback_completed", "workflow_errored"]


async def test_a_rollback_goes_on_after_a_reload_of_code_that_was_mended(start: Callable[..., Any], shop: Shop) -> None:
    site = await start(buggy(shop))
    instance = await in_rollback(site, shop)
    site.load(buggy(shop, mend=True))
    shop.gates["b-1"].set()
    assert await site.error(instance) == ORIGINAL
    assert "c" not in shop.done
    assert shop.undone == ["undid b-1", "undid a-1"]


@pytest.mark.parametrize("ending", ["returns", "fails differently", "catches everything", "cleans up with a step"])
async def test_a_rollback_goes_on_whatever_run_does(start: Callable[..., Any], shop: Shop, ending: str) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: shop.step("a"), rollback=shop.undo)
        await step.do("b", lambda: shop.step("b"), rollback=shop.undo)
        if ending == "fails differently":
            raise ValueError(ending)
        while ending == "catches everything":
            try:
                await step.do("c", lambda: shop.step("c"))
            except BaseException:  # noqa: BLE001 - what user code should not write
                break
        if ending == "cleans up with a step":
            try:
                await step.sleep("long", "1 hour")
            finally:
                await step.do("c", lambda: shop.step("c"))

    site = await start(buggy(shop))
    instance = await in_rollback(site, shop)
    await site.crash()
    site.load(run)
    shop.gates.clear()
    site.start()
    assert await site.error(instance) == ORIGINAL
    assert "c" not in shop.done
    assert shop.undone == ["undid b-1", "undid a-1"]


async def test_a_step_that_the_new_code_does_not_call_is_told_of(
    start: Callable[..., Any], shop: Shop, host: FakeHost
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: shop.step("a"), rollback=shop.undo)
        await step.do("c", lambda: shop.step("c"))

    site = await start(buggy(shop))
    instance = await in_rollback(site, shop)
    await site.crash()
    site.load(run)
    site.start()
    await site.until(lambda: site.runner.passes)
    while site.runner.passes:
        await host.advance(1)
    assert await site.error(instance) == ORIGINAL
    assert shop.undone == ["undid a-1"]
    assert "workflow_replay_diverged" in host.log.events("warning")
    assert (await types_of(site, instance))[-2:] == ["rollback_errored", "workflow_errored"]


async def test_a_parked_rollback_goes_on_when_it_is_resumed(start: Callable[..., Any], shop: Shop) -> None:
    site = await start(buggy(shop))
    site.runner._crash_count_max = 1
    instance = await in_rollback(site, shop)
    await site.crash()
    site.load(buggy(shop, mend=True))
    shop.gates.clear()
    site.start()
    await site.reach(instance, "paused")
    await instance.resume()
    assert await site.error(instance) == ORIGINAL
    assert shop.undone == ["undid b-1", "undid a-1"]


async def test_a_restart_forgets_that_steps_were_undone(start: Callable[..., Any], shop: Shop) -> None:
    site = await start(buggy(shop))
    instance = await site.create()
    await site.error(instance)
    site.load(buggy(shop, mend=True))
    await instance.restart()
    assert await site.output(instance) == "shipped"


async def test_a_pause_that_was_asked_for_does_not_stop_a_rollback(start: Callable[..., Any], shop: Shop) -> None:
    hold = asyncio.Event()

    async def fails_late(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: shop.step("a"), rollback=shop.undo)
        shop.step("outside")
        await hold.wait()
        {}["typo"]

    site = await start(fails_late)
    instance = await site.create()
    await site.until(lambda: "outside" in shop.done)
    await instance.pause()
    assert (await instance.status())["status"] == "waitingForPause"
    hold.set()
    assert await site.error(instance) == ORIGINAL
    assert shop.undone == ["undid a-1"]


async def test_a_step_is_undone_once_its_attempt_is_over(start: Callable[..., Any], shop: Shop) -> None:
    hold = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def slow() -> str:
            shop.step("slow begins")
            await hold.wait()
            shop.step("slow ends")
            return "reserved"

        async def branch() -> None:
            await step.do("slow", slow, rollback=shop.undo)
            await step.do("after", lambda: shop.step("after"), rollback=shop.undo)

        async def nap() -> None:
            await step.sleep("long", "1 hour")
            shop.step("woke")

        def bad() -> None:
            shop.step("bad")
            raise KeyError("typo")

        await asyncio.gather(branch(), nap(), step.do("bad", bad, config=ONCE, rollback=shop.undo))

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "rollingBack")
    hold.set()
    assert await site.error(instance) == ORIGINAL
    assert [one.split(":")[0] for one in shop.done] == [
        "slow begins",
        "bad",
        "slow ends",
        "undoing bad-1",
        "undid bad-1",
        "undoing slow-1",
        "undid slow-1",
    ]
    assert (await site.steps(instance))["slow-1"].state is StepState.DONE


async def test_a_kill_while_an_attempt_is_let_finish_runs_it_not_again(start: Callable[..., Any], shop: Shop) -> None:
    hold = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def slow() -> None:
            shop.step("slow begins")
            await hold.wait()

        def bad() -> None:
            raise KeyError("typo")

        await asyncio.gather(
            step.do("slow", slow, rollback=shop.undo), step.do("bad", bad, config=ONCE, rollback=shop.undo)
        )

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "rollingBack")
    await site.crash()
    site.start()
    assert await site.error(instance) == ORIGINAL
    assert shop.done.count("slow begins") == 1
    assert shop.undone == ["undid bad-1", "undid slow-1"]


async def test_branches_that_replay_later_than_the_failure_are_undone_too(
    start: Callable[..., Any], shop: Shop
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        branch = asyncio.create_task(step.do("a", lambda: shop.step("a"), rollback=shop.undo))
        if not shop.done:
            await branch
        await step.do("bad", bad, config=ONCE)

    def bad() -> None:
        raise KeyError("typo")

    site = await start(run)
    told = site.journal.save

    async def die_at_rollback(lease: Any, progress: Any, now_ms: int) -> Any:
        if progress.status == "rollingBack":
            shop.step("dying")
            await asyncio.get_running_loop().create_future()
        return await told(lease, progress, now_ms)

    site.journal.save = die_at_rollback
    instance = await site.create()
    await site.until(lambda: "dying" in shop.done)
    await site.crash()
    site.journal.save = told
    site.start()
    assert await site.error(instance) == ORIGINAL
    assert shop.undone == ["undid a-1"]


async def test_a_rollback_that_waits_for_its_retry_is_left_alone_till_then(
    start: Callable[..., Any], shop: Shop, host: FakeHost
) -> None:
    entered: list[int] = []
    tried: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        entered.append(1)

        def undo(about: Any) -> None:
            tried.append(about["ctx"]["attempt"])
            if len(tried) < 3:
                raise ConnectionError("the bank is closed")

        config = {"retries": {"limit": 5, "delay": "1 hour", "backoff": "constant"}}
        await step.do("a", lambda: 1, rollback=undo, rollback_config=config)
        {}["typo"]

    site = await start(run)
    instance = await site.create()
    for count in (1, 2):
        await site.until(lambda count=count: len(tried) == count and not site.runner.passes)
        await site.until(lambda: site.runner.next_ready_ms is not None)
        assert len(entered) == count
        assert (await instance.status())["status"] == "rollingBack"
        await host.advance(3600)
    assert await site.error(instance) == ORIGINAL
    assert len(entered) == 3
    assert len(tried) == 3
    assert host.log.events("warning").count("workflow_rolling_back") == 1


@pytest.mark.parametrize(
    ("ending", "name"),
    [("an output that cannot be kept", "WorkflowFatalError"), ("something cancelled", "CancelledError")],
)
async def test_every_failure_of_run_is_followed_by_a_rollback(
    start: Callable[..., Any], shop: Shop, ending: str, name: str
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: 1, rollback=shop.undo)
        if ending == "something cancelled":
            elsewhere = asyncio.get_running_loop().create_future()
            elsewhere.cancel()
            await elsewhere
        return print

    site = await start(run)
    assert (await site.error(await site.create()))["name"] == name
    assert shop.undone == ["undid a-1"]


async def test_what_a_handler_returns_need_not_be_storable(start: Callable[..., Any], shop: Shop) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: 1, rollback=shop.undo)
        await step.do("b", lambda: 1, rollback=lambda: print)
        {}["typo"]

    site = await start(run)
    assert await site.error(await site.create()) == ORIGINAL
    assert shop.undone == ["undid a-1"]


async def in_a_row(step: Any, names: str, shop: Shop) -> None:
    for name in names:
        with suppress(Exception):
            await step.do(name, lambda name=name: shop.step(name), rollback=shop.undo)


async def nested(step: Any, names: str, shop: Shop) -> None:
    await step.do("outer", lambda: in_a_row(step, names[:-1], shop), config=ONCE, rollback=shop.undo)


async def in_a_branch(step: Any, names: str, shop: Shop) -> None:
    branch = asyncio.create_task(in_a_row(step, names, shop))
    await step.wait_for_event("something else", "never", timeout="1 year")
    await branch


@pytest.mark.parametrize("calls", [in_a_row, nested, in_a_branch])
async def test_an_instance_that_calls_more_steps_than_it_may_is_rolled_back(
    start: Callable[..., Any], shop: Shop, calls: Callable[..., Any]
) -> None:
    async def run(self: Any, event: Any, step: Any) -> None:
        await calls(step, "abc", shop)

    site = await start(run, steps_max=2)
    error = await site.error(await site.create())
    assert error["message"].startswith("The limit of 2 steps has been reached.")
    undone = ["undid a-1", "undid outer-1"] if calls is nested else ["undid b-1", "undid a-1"]
    assert shop.undone == undone
    assert "c" not in shop.done
