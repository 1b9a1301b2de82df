"""The binding and its handles: what a handler may do with instances, and what each status allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import WorkflowError, WorkflowFatalError, WorkflowTimeoutError
from edge.runtime.core.errors import BindingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost


async def idle(self: Any, event: Any, step: Any) -> Any:
    return event["payload"]


async def sleeper(self: Any, event: Any, step: Any) -> Any:
    await step.do("before", lambda: 1)
    await step.sleep("nap", "1 hour")
    await step.do("after", lambda: 2)
    return "slept"


async def waiter(self: Any, event: Any, step: Any) -> Any:
    return [(await step.wait_for_event(f"wait {n}", "go"))["payload"] for n in range(event["payload"]["count"])]


RESTART_FROM = "from of restart() is a step, {name, count?, type?: do, sleep or waitForEvent}, got "


async def test_create_takes_an_object_or_keywords(start: Callable[..., Any]) -> None:
    site = await start(idle)
    assert await site.output(await site.workflow.create({"id": "a", "params": [1]})) == [1]
    assert await site.output(await site.workflow.create(id="b", params="x")) == "x"
    first, second = await site.workflow.create(), await site.workflow.create()
    assert await site.output(first) == {}
    assert first.id != second.id
    assert len(first.id) == 36


async def test_an_id_exists_once_even_when_finished(start: Callable[..., Any]) -> None:
    site = await start(idle)
    await site.output(await site.workflow.create(id="a"))
    with pytest.raises(WorkflowError) as caught:
        await site.workflow.create(id="a")
    assert str(caught.value) == (
        'WorkflowError: (instance.already_exists) Workflow instance with id "a" already exists'
    )


@pytest.mark.parametrize("bad", ["", "-a", "a b", "x" * 101, 5, "ä"])
async def test_a_malformed_id_is_refused(start: Callable[..., Any], bad: object) -> None:
    site = await start(idle)
    with pytest.raises(BindingError, match="Error: Workflow instance has invalid id"):
        await site.workflow.create(id=bad)
    with pytest.raises(BindingError, match="not_found"):
        await site.workflow.get(bad)


async def test_params_that_cannot_be_stored_are_refused_at_create(start: Callable[..., Any]) -> None:
    site = await start(idle)
    for params in (print, object(), "x" * 1024 * 1024):
        with pytest.raises(BindingError):
            await site.workflow.create(id="a", params=params)
    with pytest.raises(BindingError, match="not_found"):
        await site.workflow.get("a")


async def test_a_batch_as_a_list_leaves_out_what_exists(start: Callable[..., Any]) -> None:
    site = await start(idle)
    await site.workflow.create(id="a")
    made = await site.workflow.create_batch([{"id": "a"}, {"id": "b"}, {"id": "b"}, {"id": "c", "params": 3}])
    assert [one.id for one in made] == ["b", "c"]
    assert await site.output(made[1]) == 3


async def test_one_bad_id_refuses_the_whole_batch(start: Callable[..., Any]) -> None:
    site = await start(idle)
    with pytest.raises(BindingError, match="invalid id"):
        await site.workflow.create_batch([{"id": "good"}, {"id": "not good"}])
    with pytest.raises(BindingError, match="not_found"):
        await site.workflow.get("good")


async def test_a_batch_as_an_object_tells_each_error(start: Callable[..., Any]) -> None:
    site = await start(idle)
    await site.workflow.create(id="a")
    answer = await site.workflow.createBatch({"instances": [{"id": "a"}, {"id": "b"}, {"id": "b"}]})
    assert [one.id for one in answer["created"]] == ["b"]
    assert [(e["index"], e["id"], e["code"]) for e in answer["errors"]] == [(0, "a", 10405), (2, "b", 10415)]
    counted = await site.workflow.create_batch({"count": 2, "params": {"n": 1}})
    assert [await site.output(one) for one in counted["created"]] == [{"n": 1}, {"n": 1}]
    with pytest.raises(BindingError, match="1 to 100"):
        await site.workflow.create_batch([])


async def test_a_sleeping_instance_waits_and_goes_on(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(sleeper)
    instance = await site.create()
    assert await site.reach(instance, "waiting") == {"status": "waiting", "output": None}
    await host.advance(3599)
    assert (await instance.status())["status"] == "waiting"
    await host.advance(1)
    assert await site.output(instance) == "slept"


async def test_a_paused_sleep_has_as_much_time_left_when_it_is_resumed(
    start: Callable[..., Any], host: FakeHost
) -> None:
    site = await start(sleeper)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(1800)
    await instance.pause()
    assert (await instance.status())["status"] == "paused"
    await host.advance(86_400)
    await instance.resume()
    assert (await site.steps(instance))["nap-1"].due_ms == int(host.now() * 1000) + 1_800_000
    await site.reach(instance, "waiting")
    await host.advance(1801)
    assert await site.output(instance) == "slept"


async def test_a_running_step_is_let_finish_before_the_pause(start: Callable[..., Any]) -> None:
    gate, calls = asyncio.Event(), []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def hold() -> int:
            calls.append("hold")
            await gate.wait()
            return 1

        try:
            first = await step.do("hold", hold)
        except Exception:  # noqa: BLE001 - a pause must not be seen here
            return "swallowed the pause"
        return first + await step.do("next", lambda: calls.append("next") or 2)

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: calls)
    await instance.pause()
    assert (await instance.status())["status"] == "waitingForPause"
    gate.set()
    await site.reach(instance, "paused")
    assert calls == ["hold"]
    await instance.resume()
    assert await site.output(instance) == 3
    assert calls == ["hold", "next"]


async def test_a_resume_takes_back_a_pause_that_waits(start: Callable[..., Any]) -> None:
    gate, calls = asyncio.Event(), []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def hold() -> None:
            calls.append("hold")
            await gate.wait()

        await step.do("hold", hold)
        return "done"

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: calls)
    await instance.pause()
    await instance.resume()
    gate.set()
    assert await site.output(instance) == "done"
    assert calls == ["hold"]


async def test_actions_without_a_meaning_do_nothing(start: Callable[..., Any]) -> None:
    site = await start(idle)
    instance = await site.create()
    await site.output(instance)
    await instance.pause()
    await instance.resume()
    await instance.send_event({"type": "late"})
    assert (await instance.status())["status"] == "complete"
    with pytest.raises(WorkflowError, match=r"\(instance.cannot_terminate\) Cannot terminate"):
        await instance.terminate()


async def test_terminate_ends_it_at_once(start: Callable[..., Any]) -> None:
    ended: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def forever() -> None:
            ended.append("began")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append("cut")

        await step.do("forever", forever)

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: ended)
    await instance.terminate()
    assert (await instance.status())["status"] == "terminated"
    await site.until(lambda: "cut" in ended)
    await site.until(lambda: not site.runner._passes)
    assert (await instance.status())["status"] == "terminated"


async def test_terminate_with_rollback_undoes_what_was_done(start: Callable[..., Any]) -> None:
    undone: list[Any] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        def undo(found: Any) -> None:
            undone.append((found["stepName"], found["output"]))

        await step.do("a", lambda: "A", rollback=undo)
        await step.do("b", lambda: "B", rollback=undo)
        await step.sleep("long", "1 hour")
        await step.do("never", lambda: "N", rollback=undo)

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await instance.terminate({"rollback": True})
    await site.reach(instance, "terminated")
    assert undone == [("b-1", "B"), ("a-1", "A")]


async def test_terminate_with_rollback_of_what_never_ran_is_immediate(start: Callable[..., Any]) -> None:
    site = await start(idle)
    await site.stop()
    instance = await site.create()
    await instance.terminate(rollback=True)
    assert (await instance.status())["status"] == "terminated"


@pytest.mark.parametrize("step", ["first", "second"])
async def test_a_restart_from_a_step_keeps_the_events_that_no_wait_took(start: Callable[..., Any], step: str) -> None:
    passes: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append(1)
        await step.do("first", lambda: 1)
        await step.do("second", lambda: 1)
        if len(passes) == 1:
            await step.sleep("nap", "1 hour")
        return (await step.wait_for_event("w", "go"))["payload"]

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await instance.send_event(type="go", payload=5)
    await instance.restart({"from": {"name": step}})
    assert await site.output(instance) == 5


async def test_a_pause_between_two_steps_lets_the_second_not_begin(start: Callable[..., Any]) -> None:
    calls: list[str] = []
    gate = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: calls.append("a"))
        await gate.wait()
        await step.do("b", lambda: calls.append("b"))

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: calls)
    await site.reach(instance, "running")
    await instance.pause()
    gate.set()
    await site.reach(instance, "paused")
    assert calls == ["a"]
    await instance.resume()
    await site.output(instance)
    assert calls == ["a", "b"]


async def test_a_pause_that_is_taken_back_lets_every_branch_go_on(start: Callable[..., Any]) -> None:
    calls: list[str] = []
    gate = asyncio.Event()
    asked = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def held() -> None:
            calls.append("held")
            await gate.wait()

        async def other() -> None:
            await asked.wait()
            calls.append("asks")
            await step.do("next", lambda: calls.append("next"))

        await asyncio.gather(step.do("held", held), other())

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: calls)
    await instance.pause()
    asked.set()
    await site.until(lambda: "asks" in calls)
    await instance.resume()
    await site.until(lambda: "next" in calls)
    gate.set()
    await site.output(instance)
    assert calls == ["held", "asks", "next"]


@pytest.mark.parametrize("action", ["pause", "terminate", "delete"])
async def test_an_instance_that_ends_itself_begins_no_other_step(start: Callable[..., Any], action: str) -> None:
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: calls.append("a"))
        await getattr(await site.workflow.get(event["instanceId"]), action)()
        await step.do("b", lambda: calls.append("b"))

    site = await start(run)
    await site.create()
    await site.until(lambda: calls)
    await site.until(lambda: not site.runner.passes)
    assert calls == ["a"]


async def test_restart_runs_everything_again(start: Callable[..., Any]) -> None:
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        for name in "abc":
            await step.do(name, lambda name=name: calls.append(name))
        return len(calls)

    site = await start(run)
    instance = await site.create()
    assert await site.output(instance) == 3
    await instance.restart()
    await site.until(lambda: len(calls) == 6)
    assert await site.output(instance) == 6
    await instance.restart({"from": {"name": "b"}})
    await site.until(lambda: len(calls) == 8)
    assert await site.output(instance) == 8
    assert calls == [*"abc", *"abc", *"bc"]
    with pytest.raises(WorkflowError, match=r'\(instance.cannot_restart\) Step "x" not found in execution history'):
        await instance.restart({"from": {"name": "x"}})


async def test_a_deleted_id_may_be_created_again(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(sleeper)
    instance = await site.create(id="a")
    await site.reach(instance, "waiting")
    await instance.delete()
    for call in (instance.status, instance.delete, instance.pause, lambda: site.workflow.get("a")):
        with pytest.raises(BindingError, match="not_found"):
            await call()
    again = await site.create(id="a")
    await site.reach(again, "waiting")
    assert await site.workflow.delete_batch(["a", "a"]) == {
        "deleted": [{"id": "a"}],
        "errors": [{"id": "a", "code": 10400, "message": "instance.not_found"}],
    }


async def test_events_are_taken_in_order_whenever_they_were_sent(start: Callable[..., Any]) -> None:
    site = await start(waiter)
    instance = await site.create({"count": 4})
    await instance.send_event({"type": "go", "payload": 0})
    await site.reach(instance, "waiting")
    await instance.sendEvent(type="other", payload="x")
    await instance.send_event(type="go", payload=1)
    await site.until(lambda: not site.runner._passes)
    await site.reach(instance, "waiting")
    await instance.pause()
    await instance.send_event(type="go", payload=2)
    await instance.resume()
    await instance.send_event(type="go", payload=3)
    assert await site.output(instance) == [0, 1, 2, 3]


async def test_parallel_waits_take_events_in_the_order_of_their_calls(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        waits = (step.wait_for_event(name, "go", timeout=900) for name in ("first", "second"))
        return [found["payload"] for found in await asyncio.gather(*waits)]

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    for payload in ("a", "b"):
        await instance.send_event(type="go", payload=payload)
    assert await site.output(instance) == ["a", "b"]


async def test_a_wait_without_an_event_times_out_the_same_on_every_pass(
    start: Callable[..., Any], host: FakeHost
) -> None:
    seen: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        try:
            await step.wait_for_event("wait", "never", timeout="1 hour")
        except WorkflowTimeoutError as error:
            seen.append(str(error))
        await step.sleep("then", "1 hour")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3601)
    await site.until(lambda: seen and not site.runner._passes)
    await host.advance(3601)
    assert await site.output(instance) is None
    assert seen == 2 * ["WorkflowTimeoutError: Execution timed out after 3600000ms"]


async def test_a_wait_that_lost_a_race_does_not_keep_waking_its_instance(
    start: Callable[..., Any], host: FakeHost
) -> None:
    passes: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append(1)
        if len(passes) == 1:
            loser = asyncio.ensure_future(step.wait_for_event("loser", "late"))
            await step.sleep("short", 1000)
            loser.cancel()
        await step.sleep("long", "1 hour")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await instance.send_event(type="other")
    await host.advance(1)
    await site.until(lambda: not site.runner._passes)
    await instance.send_event(type="late")
    await site.reach(instance, "waiting")
    await site.until(lambda: not site.runner._passes)
    await host.settle()
    await site.reach(instance, "waiting")  # the pass that the event began is over
    assert len(passes) <= 2


async def test_an_event_needs_a_type(start: Callable[..., Any]) -> None:
    site = await start(sleeper)
    instance = await site.create()
    with pytest.raises(WorkflowFatalError, match="1 to 100 characters"):
        await instance.send_event({"payload": 1})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda one: one.terminate(5), "terminate() takes an object of options, got 5."),
        (lambda one: one.restart("b"), "restart() takes an object of options, got 'b'."),
        (lambda one: one.send_event("go"), "send_event() takes an object of options, got 'go'."),
        (lambda one: one.terminate({"rollback": "no"}), "rollback of terminate() is True or False, got 'no'."),
        (lambda one: one.terminate(rollback=1), "rollback of terminate() is True or False, got 1."),
        (lambda one: one.restart({"from": "b"}), RESTART_FROM + "'b'."),
        (lambda one: one.restart({"from": {}}), RESTART_FROM + "{}."),
        (lambda one: one.restart(from_={"name": 5}), RESTART_FROM + "{'name': 5}."),
        (lambda one: one.restart({"from": {"name": "b", "count": "1"}}), RESTART_FROM),
        (lambda one: one.restart({"from": {"name": "b", "count": True}}), RESTART_FROM),
        (lambda one: one.restart({"from": {"name": "b", "type": "bogus"}}), RESTART_FROM),
        (lambda one: one.restart({"from": {"name": "b", "type": []}}), RESTART_FROM),
    ],
)
async def test_options_of_a_handle_are_checked(
    start: Callable[..., Any], call: Callable[[Any], Any], text: str
) -> None:
    site = await start(sleeper)
    instance = await site.create()
    await site.reach(instance, "waiting")
    with pytest.raises(BindingError) as caught:
        await call(instance)
    assert caught.value.name == "TypeError"
    assert caught.value.message.startswith(text)
    assert (await instance.status())["status"] == "waiting"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda workflow: workflow.create("a"), "create() takes an object of options, got 'a'."),
        (lambda workflow: workflow.create_batch([5]), "create() takes an object of options, got 5."),
        (
            lambda workflow: workflow.create(id="a", retention=5),
            "retention of create() is an object with successRetention and errorRetention, got 5.",
        ),
    ],
)
async def test_options_of_create_are_checked(start: Callable[..., Any], call: Callable[[Any], Any], text: str) -> None:
    site = await start(idle)
    with pytest.raises(BindingError) as caught:
        await call(site.workflow)
    assert (caught.value.name, caught.value.message) == ("TypeError", text)


async def test_only_so_many_run_at_once_and_waiting_frees_a_slot(start: Callable[..., Any], host: FakeHost) -> None:
    running: set[str] = set()
    most: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def work() -> None:
            running.add(event["instanceId"])
            most.append(len(running))
            await asyncio.sleep(0)
            running.discard(event["instanceId"])

        await step.do("one", work)
        await step.sleep("nap", 1000)
        await step.do("two", work)

    site = await start(run, concurrency_max=2)
    instances = [await site.create() for _ in range(6)]
    for instance in instances:
        await site.reach(instance, "waiting")
    await host.advance(2)
    for instance in instances:
        await site.output(instance)
    assert max(most) <= 2


async def test_a_finished_instance_is_forgotten_after_its_retention(start: Callable[..., Any], host: FakeHost) -> None:
    site = await start(idle)
    kept = await site.workflow.create(id="kept")
    gone = await site.workflow.create(id="gone", retention={"successRetention": "1 day"})
    await site.output(kept)
    await site.output(gone)
    await host.advance(86_400 + 60)
    assert await site.journal.purge(int(host.now() * 1000), 10) in {0, 1}
    assert await site.journal.find("orders", "gone") is None
    assert await site.output(kept) == {}


@pytest.mark.parametrize("is_in_main", [True, False], ids=["in run", "in a branch"])
async def test_work_outside_of_steps_goes_on_while_another_branch_waits(
    start: Callable[..., Any], host: FakeHost, is_in_main: bool
) -> None:
    answered = asyncio.Event()
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def ask() -> None:
            await step.do("before", lambda: 1)
            await answered.wait()
            await step.do("after", lambda: calls.append("after"))

        async def deadline() -> None:
            await step.sleep("deadline", "1 hour")

        first, second = (ask, deadline) if is_in_main else (deadline, ask)
        other = asyncio.ensure_future(second())
        await first()
        await other

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.settle()
    answered.set()
    await site.until(lambda: calls)
    await site.reach(instance, "waiting")
    async with asyncio.timeout(60):
        while site.runner.passes:
            await host.advance(1)
    await host.advance(3600)
    await site.output(instance)
    assert calls == ["after"]
