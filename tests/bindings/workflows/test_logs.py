"""What is logged while a workflow's code runs says which instance, step and attempt it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from edge.runtime.core.context import logged_about

if TYPE_CHECKING:
    from collections.abc import Callable


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
