"""Steps whose code does what is hard on an engine: cancels, depends in circles, raises what no border stops."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

QUICK = {"retries": {"limit": 2, "delay": 0}}


async def fail() -> None:
    raise ValueError("no")


async def failing_group() -> None:
    """Before 3.13 a TaskGroup whose child fails while it is left leaves a cancellation behind on its task."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    except* ValueError:
        pass


async def test_a_pause_lets_an_at_most_once_step_begin_that_is_said_to_have_begun(start: Callable[..., Any]) -> None:
    ran: list[str] = []
    made: list[Any] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        once = {"semantics": "at_most_once", "retries": {"limit": 0, "delay": 0}}
        await asyncio.gather(made[0].pause(), step.do("once", lambda: ran.append("once"), config=once))
        await step.do("then", lambda: ran.append("then"))
        return ran

    site = await start(run)
    made.append(await site.workflow.create({"id": "a"}))
    await site.reach(made[0], "paused")
    await made[0].resume()
    await site.reach(made[0], "complete", "paused")
    assert ran[0] == "once"
    assert ran.count("once") == 1


async def test_a_step_is_late_also_after_a_group_of_tasks_failed_in_it(
    start: Callable[..., Any], host: FakeHost
) -> None:
    attempts: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def slow(ctx: dict[str, Any]) -> str:
            attempts.append(ctx["attempt"])
            await failing_group()
            if ctx["attempt"] == 1:
                await asyncio.get_running_loop().create_future()
            return "ok"

        return await step.do("slow", slow, config={**QUICK, "timeout": 1000})

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: site.runner.passes and site.runner.passes[0].steps.running)
    await host.advance(2)
    assert await site.output(instance) == "ok"
    assert attempts == [1, 2]


@pytest.mark.parametrize("where", ["run", "step"])
async def test_what_a_group_of_tasks_leaves_behind_skips_no_rollback(start: Callable[..., Any], where: str) -> None:
    undone: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: None, rollback=lambda: undone.append("a"))
        if where == "run":
            await failing_group()
        else:
            await step.do("group", failing_group)
        elsewhere = asyncio.get_running_loop().create_future()
        elsewhere.cancel()
        await elsewhere

    site = await start(run)
    error = await site.error(await site.create())
    assert (error["name"], undone) == ("CancelledError", ["a"])


async def test_a_termination_undoes_after_a_group_of_tasks_failed(start: Callable[..., Any]) -> None:
    undone: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: None, rollback=lambda: undone.append("a"))
        await failing_group()
        await step.wait_for_event("never", "never")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await instance.terminate({"rollback": True})
    await site.until(lambda: undone)
    await site.reach(instance, "terminated")
    assert undone == ["a"]


class Own(BaseException):
    """What `except Exception` does not see."""


async def test_a_base_exception_is_a_failure_like_others(start: Callable[..., Any]) -> None:
    undone: list[str] = []
    calls: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        def own() -> None:
            calls.append(1)
            raise Own("no")

        await step.do("a", lambda: None, rollback=lambda: undone.append("a"))
        await step.do("own", own, config=QUICK)

    site = await start(run)
    error = await site.error(await site.create())
    assert (error["message"], len(calls), undone) == ("Own: no", 3, ["a"])


async def test_a_base_exception_of_run_is_rolled_back(start: Callable[..., Any]) -> None:
    undone: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("a", lambda: None, rollback=lambda: undone.append("a"))
        raise Own("no")

    site = await start(run)
    assert (await site.error(await site.create()))["message"] == "Own: no"
    assert undone == ["a"]


async def test_a_delay_function_may_call_sys_exit(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        def leave(_: Any) -> None:
            raise SystemExit(3)

        await step.do("a", fail, config={"retries": {"limit": 2, "delay": leave}})

    site = await start(run)
    assert "The delay function" in (await site.error(await site.create()))["message"]


async def test_a_pause_comes_when_run_gave_up_the_step_that_it_waited_for(start: Callable[..., Any]) -> None:
    began, asked, gives_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def slow() -> None:
            began.set()
            await asyncio.get_running_loop().create_future()

        async def bounded() -> None:
            task = asyncio.ensure_future(step.do("slow", slow))
            await gives_up.wait()
            task.cancel()
            await asyncio.get_running_loop().create_future()

        async def branch() -> None:
            await asked.wait()
            await step.do("before", lambda: None)
            await step.do("held by the pause", lambda: None)

        await asyncio.gather(bounded(), branch())

    site = await start(run)
    instance = await site.create()
    await site.until(began.is_set)
    await instance.pause()
    asked.set()
    await site.until(lambda: site.runner.passes[0]._branches._held)
    gives_up.set()
    await site.reach(instance, "paused")


async def test_steps_that_depend_on_each_other_are_refused(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do("one")
        async def one(two: Any) -> None: ...

        @step.do("two")
        async def two(one: Any) -> None: ...

        await one()

    site = await start(run)
    error = await site.error(await site.create())
    assert error["message"] == "Steps depend on each other, so none can begin: one -> two -> one"


async def test_steps_may_depend_on_each_other_by_very_many_ways(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do("first")
        async def first() -> int:
            return 1

        below = (first, first)
        for layer in range(40):  # 2**40 ways from the last to the first

            @step.do(f"left {layer}", depends=below)
            async def left(one: int, two: int) -> int:
                return one + two

            @step.do(f"right {layer}", depends=below)
            async def right(one: int, two: int) -> int:
                return one + two

            below = (left, right)
        return await left()

    site = await start(run, has_implicit_dependencies=False)
    assert await site.output(await site.create()) == 2**40


async def test_a_decorated_step_that_was_given_up_runs_for_who_still_wants_it(start: Callable[..., Any]) -> None:
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do("x")
        async def x() -> str:
            calls.append("x")
            if len(calls) == 1:
                await asyncio.get_running_loop().create_future()
            return "ok"

        given_up = asyncio.ensure_future(x())
        await asyncio.sleep(0)
        beside = asyncio.ensure_future(x())
        await asyncio.sleep(0)
        given_up.cancel()
        return [await beside, await x()]

    site = await start(run)
    assert await site.output(await site.create()) == ["ok", "ok"]


async def test_the_context_goes_where_it_is_named(start: Callable[..., Any]) -> None:
    def bound(a: int, ctx: Any) -> list[Any]:
        return [a, ctx["attempt"]]

    async def only_named(*, ctx: Any) -> int:
        return int(ctx["attempt"])

    async def run(self: Any, event: Any, step: Any) -> Any:
        return [
            await step.do("idiom", lambda i=7, ctx=None: [i, ctx["attempt"]]),
            await step.do("partial", partial(bound, a=1)),
            await step.do("named", only_named),
            await step.do("first", lambda context: context["attempt"]),
            await step.do("own", lambda i=7: i),
        ]

    site = await start(run)
    assert await site.output(await site.create()) == [[7, 1], [1, 1], 1, 1, 7]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda step: step.do("x"), 'Step "x" requires a callback function'),
        (lambda step: step.do("x", None), 'Step "x" requires a callback function'),
        (lambda step: step.do("x")(5), 'Step "x" requires a callback function'),
        (lambda step: step.do("x", {"timeout": 5}, fail), "takes the function second and its options by name"),
        (lambda step: step.do("x", fail, {"timeout": 5}), "takes the function second and its options by name"),
        (lambda step: step.do(fail), 'as a decorator it is written @step.do("name"), with its parentheses'),
        (lambda step: step.do("x", fail, rollback=5), 'The rollback of step "x" is no function'),
    ],
)
async def test_a_step_without_its_function_says_so(start: Callable[..., Any], call: Any, told: str) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await call(step)

    site = await start(run)
    error = await site.error(await site.create())
    assert error["name"] == "WorkflowFatalError"
    assert told in error["message"]
