"""Opening, reloading, several processes on one journal, and what only a runner can do wrong."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.spec import Site as BindingSite
from edge.bindings.workflows import WorkflowEntry
from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.engine.runner import CRASH_COUNT_MAX, LEASE_SECONDS, RENEWALS_PER_LEASE
from edge.bindings.workflows.journal.records import Finish, Status
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.bindings.workflows.local import open_binding
from edge.bindings.workflows.workflow import Workflow, WorkflowTools
from edge.runtime.core.errors import BackendError, UnsupportedError
from edge.wrangler_config.worker_config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost


async def sleeper(self: Any, event: Any, step: Any) -> Any:
    await step.sleep("nap", "1 hour")
    return "slept"


def binding_site(host: FakeHost, worker: Any = None, **config: Any) -> BindingSite:
    made = WorkerConfig(
        path=host.state_dir / "wrangler.jsonc",
        name="demo",
        main=None,
        environment=None,
        compatibility_date="2026-09-08",
        compatibility_flags=(),
        vars={},
        secret_names=frozenset(),
        bindings={},
        unsupported={},
    )
    return BindingSite(host, made._replace(**config), worker)


async def test_open_binding_gives_env_a_workflow_that_runs(host: FakeHost, start: Callable[..., Any]) -> None:
    loaded = (await start(sleeper)).live  # only its code: the binding has a runner of its own
    entry = WorkflowEntry(binding="ORDERS", name="others", class_name="Order")
    async with open_binding([entry], binding_site(host, loaded)) as opened:
        running = [host.spawn(source.run(), name="source") for source in opened.sources]
        instance = await opened.env["ORDERS"].create({"id": "a"})
        async with asyncio.timeout(60):
            while (await instance.status())["status"] != "waiting":  # noqa: ASYNC110 - a user has nothing else
                await asyncio.sleep(0.001)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_class_in_another_worker_is_not_there_yet(host: FakeHost) -> None:
    entry = WorkflowEntry(binding="W", name="w", class_name="W", script_name="other")
    with pytest.raises(UnsupportedError, match="another Worker"):
        async with open_binding([entry], binding_site(host)):
            pass


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"name": "a b"}, '"workflows[0]" bindings should have a "name" of at most 64'),
        ({"limits": {"steps": 25_001}}, '"workflows[0].limits.steps" should be a whole number from 1 up to 25,000'),
        (
            {"default_retention": {"error_retention": -5}},
            '"workflows[0].default_retention.error_retention" is -5: it must be longer than nothing.',
        ),
        ({"concurrency": {"limit": 0}}, '"workflows[0].concurrency.limit" should be a whole number from 1'),
        ({"schedules": 5}, '"workflows[0].schedules" should be a cron expression or a list of them but got 5.'),
        ({"schedules": ["* * * * *", 5]}, "should be a cron expression or a list of them"),
        ({"schedules": "0 25 * * *"}, 'has one that starts nothing: The hour takes 0 to 23, got "25" at character 3.'),
        ({"schedules": ["1 1 1 1 1"] * 101}, '"workflows[0].schedules" has 101: an account has at most 100'),
    ],
    ids=["name", "steps", "retention", "concurrency", "no schedules", "no schedule", "schedule", "schedules"],
)
def test_a_wrong_entry_is_told(values: dict[str, Any], text: str) -> None:
    entry = WorkflowEntry(**{"binding": "W", "name": "w", "class_name": "W", **values})
    (problem,) = entry.problems("workflows[0]", "{}")
    assert text in problem.text


async def test_nothing_sleeping_is_lost_over_twenty_reloads(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        for _ in range(3):
            await step.sleep("nap", 4000)
        await step.sleep("long", "1 minute")
        return "done"

    site = await start(run)
    instances = [await site.create() for _ in range(4)]
    for number in range(20):
        site.load(run)
        if number % 5 == 0:  # a changed config stops the runner and starts another
            await site.stop()
            site.start()
        await host.advance(2)
    for instance in instances:
        async with asyncio.timeout(60):
            while (await instance.status())["status"] != "complete":
                await host.advance(30)


async def test_a_reload_takes_a_long_run_over_at_its_next_step(start: Callable[..., Any]) -> None:
    gate, began = asyncio.Event(), asyncio.Event()

    async def old(self: Any, event: Any, step: Any) -> Any:
        async def hold() -> str:
            began.set()
            await gate.wait()
            return "old"

        return [await step.do("a", hold), await step.do("b", lambda: "old")]

    async def new(self: Any, event: Any, step: Any) -> Any:
        return [await step.do("a", lambda: "new"), await step.do("b", lambda: "new")]

    site = await start(old)
    instance = await site.create()
    await began.wait()
    site.load(new)
    await site.host.settle()
    gate.set()
    assert await site.output(instance) == ["old", "new"]


async def test_a_crash_at_any_time_lets_everything_go_on(start: Callable[..., Any]) -> None:
    calls: list[int] = []
    gate = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def work(ctx: Any) -> int:
            calls.append(ctx["attempt"])
            await gate.wait()
            return len(calls)

        return await step.do("work", work, config={"retries": {"limit": 0, "delay": 0}})

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: calls)
    await site.crash()
    gate.set()
    site.start()
    assert await site.output(instance) == 2


async def test_an_instance_that_seems_to_kill_its_process_is_parked(start: Callable[..., Any]) -> None:
    calls: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def work() -> None:
            calls.append(1)
            await asyncio.get_running_loop().create_future()

        await step.do("poison", work)

    site = await start(run)
    instance = await site.create()
    for count in range(CRASH_COUNT_MAX):
        await site.until(lambda: len(calls) == count + 1)  # noqa: B023 - called here
        await site.crash()
        site.start()
    await site.reach(instance, "paused")
    await site.until(lambda: "workflow_parked" in site.host.log.events("error"))


async def test_a_class_that_is_missing_keeps_its_instances(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(sleeper)
    assert site.live.current is not None
    del site.live.current.worker._calls["Order.run"]
    instance = await site.create()
    await site.until(lambda: "workflow_class_missing" in site.host.log.events("error"))
    assert (await instance.status())["status"] == "queued"
    site.load(sleeper)
    await host.advance(2)
    await site.reach(instance, "waiting")


async def test_code_that_differs_between_passes_is_warned_about(start: Callable[..., Any], host: FakeHost) -> None:
    passes: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append(1)
        await step.do("first" if len(passes) == 1 else "second", lambda: 1)
        await step.sleep("nap", "1 hour")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3601)
    await site.output(instance)
    (told,) = [values for _, event, values in site.host.log.lines if event == "workflow_replay_diverged"]
    assert told["recorded_step"] == "first-1"


async def test_a_full_disk_loses_nothing(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        return [await step.do(name, lambda: 1) for name in "ab"]

    site = await start(run)
    real_save, failures = site.journal.save, []

    async def failing(*arguments: Any) -> Any:
        if len(failures) < 2:
            failures.append(1)
            raise BackendError("the disk is full")
        return await real_save(*arguments)

    site.journal.save = failing
    instance = await site.create()
    assert await site.output(instance) == [1, 1]
    assert len(failures) == 2


async def test_an_event_reaches_an_instance_that_another_process_holds(
    start: Callable[..., Any], host: FakeHost
) -> None:
    """Two runners with a journal of their own each, on one file, are what two processes are to each other."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        return (await step.wait_for_event("w", "go", timeout=900))["payload"]

    one, other = await start(run), await start(run)
    await other.stop()
    instance = await one.create(id="a")
    await one.reach(instance, "waiting")
    other.start()
    await host.settle()
    await (await other.workflow.get("a")).send_event(type="go", payload=5)
    assert await one.output(instance) == 5


async def test_a_removed_doorbell_takes_nothing_from_who_lives(start: Callable[..., Any], host: FakeHost) -> None:
    calls: list[int] = []
    gate = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def work() -> int:
            calls.append(1)
            await gate.wait()
            return len(calls)

        return await step.do("work", work)

    one, other = await start(run), await start(run)
    instance = await one.create()
    await one.until(lambda: calls)
    one.doorbell.unlink()
    other.doorbell.unlink()
    seen_by_other = await other.workflow.get(instance.id)
    for _ in range(int(2 * LEASE_SECONDS)):
        await host.advance(1)
        for handle in (instance, seen_by_other):  # behind what that process has to write
            await handle.send_event(type="tick")
    gate.set()
    assert await one.output(instance) == 1


async def test_a_removed_doorbell_is_made_again(start: Callable[..., Any], host: FakeHost) -> None:
    """It rings for what came meanwhile."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        return (await step.wait_for_event("w", "go"))["payload"]

    one, other = await start(run), await start(run)
    await other.stop()
    instance = await one.create(id="a")
    await one.reach(instance, "waiting")
    await one.until(lambda: not one.runner.passes)
    shutil.rmtree(one.doorbell.parent)
    await (await other.workflow.get("a")).send_event(type="go", payload=5)
    await host.advance(LEASE_SECONDS / RENEWALS_PER_LEASE)
    await one.until(one.doorbell.exists)
    assert await one.output(instance) == 5


async def test_two_runners_never_advance_one_instance_together(start: Callable[..., Any]) -> None:
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("once", lambda: calls.append(event["instanceId"]))

    one, other = await start(run), await start(run)
    instances = [await (one if n % 2 else other).create(id=f"i{n}") for n in range(40)]
    for instance in instances:
        await one.output(instance)
    assert sorted(calls) == sorted(f"i{n}" for n in range(40))


async def test_a_stalled_owner_cannot_write(host: FakeHost, start: Callable[..., Any]) -> None:
    """The control is the first save: the same lease, before the instance was taken over, does write."""
    site = await start(sleeper)
    await site.stop()
    await site.create(id="a")
    async with open_journal(Path(host.state_dir) / "workflows.sqlite") as journal:
        (claimed,) = (await journal.claim("stalled", "orders", 10, int(host.now() * 1000))).claimed
        assert await journal.held_status(claimed.lease) is Status.RUNNING
        await journal.take_over("stalled", 10, int(host.now() * 1000))
        (again,) = (await journal.claim("next", "orders", 10, int(host.now() * 1000))).claimed
        assert not await journal.finish(claimed.lease, Finish(Status.COMPLETE, b"1"), 0)
        assert await journal.finish(again.lease, Finish(Status.COMPLETE, b"2"), 0)
        found = await journal.find("orders", "a")
        assert found is not None
        assert found.output == b"2"


def test_the_default_definition_keeps_what_the_docs_say() -> None:
    made = Definition("w", "W")
    assert (made.steps_max, made.delay_ms_default, made.concurrency_max) == (10_000, 10_000, None)


async def test_a_workflow_that_is_added_while_others_run_is_run_too(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(event: Any, step: Any, env: Any) -> Any:
        return [event["workflowName"], await step.do("a", lambda: "new")]

    async def earlier_run(event: Any, step: Any, env: Any) -> Any:
        return "earlier"

    site = await start(sleeper)
    earlier = Definition("added", "", run=earlier_run, version="1")
    added = Definition("added", "", run=run, version="2", earlier={"1": earlier})
    workflow = Workflow(added, WorkflowTools(site.journal, host, site.runner.tell))
    instance = await workflow.create()
    await host.settle()
    assert (await instance.status())["status"] == "queued"
    site.runner.definitions["added"] = added
    site.runner.tell(None)
    assert await site.output(instance) == ["added", "new"]
    assert added.of_version("1").run is earlier_run


async def test_what_woke_goes_before_what_is_new(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(sleeper)
    slept = await site.create(id="slept")
    await site.reach(slept, "waiting")
    await site.until(lambda: not site.runner.passes)
    await site.stop()
    await site.create(id="new")
    await host.advance(3601)
    now_ms = int(host.now() * 1000)
    (first,) = (await site.journal.claim("somebody", "orders", 1, now_ms)).claimed
    assert first.instance.id == "slept"
    await site.journal.take_over("somebody", 10, now_ms)
