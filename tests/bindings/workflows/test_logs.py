"""What is logged while a workflow's code runs says which instance, step and attempt it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from edge.runtime.core.context import logged_about
from edge.runtime.error_trace import trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost


async def test_code_of_a_step_is_known_to_the_log(start: Callable[..., Any]) -> None:
    seen: list[Any] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        def fail_once(ctx: Any) -> None:
            seen.append(logged_about.get())
            if ctx["attempt"] == 1:
                raise ValueError("again")

        async def in_a_thread() -> None:
            await asyncio.to_thread(lambda: seen.append(logged_about.get()))

        await step.do("charge", fail_once, config={"retries": {"limit": 1, "delay": 0}})
        await asyncio.gather(*(step.do("thread", in_a_thread) for _ in range(2)))
        seen.append(logged_about.get())

    site = await start(run)
    instance = await site.create(id="a")
    await site.output(instance)
    own = {"workflow": "orders", "instance": "a"}
    assert seen[:2] == [{**own, "step": "charge-1", "attempt": number} for number in (1, 2)]
    assert sorted(about["step"] for about in seen[2:4]) == ["thread-1", "thread-2"]
    assert seen[4] == own
    assert logged_about.get() is None


async def test_each_failed_attempt_is_told_with_the_line_that_failed(start: Callable[..., Any], host: FakeHost) -> None:
    def charge() -> None:
        {}["typo"]

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("charge", charge, config={"retries": {"limit": 1, "delay": 500, "backoff": "constant"}})

    site = await start(run)
    instance = await site.create(id="a")
    await site.until(lambda: "workflow_attempt_failed" in host.log.events())
    await site.reach(instance, "waiting")
    await host.advance(0.5)
    await site.error(instance)
    told = [values for _, event, values in host.log.lines if event == "workflow_attempt_failed"]
    errors = [one.pop("exc_info") for one in told]
    own = {"workflow": "orders", "instance": "a", "step": "charge-1"}
    assert told == [{**own, "attempt": 1, "retry_in": "0.5s"}, {**own, "attempt": 2, "retry_in": None}]
    for error in errors:
        (frame,) = trace_of(error).stack
        assert (frame.name, frame.line) == ("charge", '{}["typo"]')


async def test_an_attempt_that_was_too_slow_is_told_without_frames(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        async def hang() -> None:
            await asyncio.get_running_loop().create_future()

        await step.do("hang", hang, config={"retries": {"limit": 0, "delay": 0}, "timeout": 1000})

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: site.runner.passes and site.runner.passes[0].steps.running)
    await host.advance(1)
    await site.error(instance)
    (told,) = [values for _, event, values in host.log.lines if event == "workflow_attempt_failed"]
    assert str(told["exc_info"]) == "WorkflowTimeoutError: Execution timed out after 1000ms"
