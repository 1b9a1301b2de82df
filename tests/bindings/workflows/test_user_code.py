"""A step's function is awaited as ever, and it is known whether it waited for anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.engine.user_code import awaited

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Waits:
    """How often it was told that a function waits."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def answered(coroutine: Coroutine[Any, Any, Any] | object) -> tuple[Any, int]:
    waits = Waits()
    return await awaited(coroutine, waits), waits.count


async def at_once() -> str:
    return "done"


async def after_turns(count: int) -> str:
    for _ in range(count):
        await asyncio.sleep(0)
    return "done"


@pytest.mark.parametrize("returned", ["done", at_once])
async def test_what_ends_at_once_is_not_told_of(returned: Any) -> None:
    assert await answered(returned() if callable(returned) else returned) == ("done", 0)


async def test_what_waits_is_told_of_once() -> None:
    assert await answered(after_turns(3)) == ("done", 1)


async def test_a_future_is_waited_for() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "done")
    assert await answered(future) == ("done", 1)


async def test_a_function_gets_what_it_awaits_and_may_handle_its_errors() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def handles() -> list[object]:
        found: list[object] = []
        try:
            await asyncio.create_task(fails())
        except ValueError as error:
            found.append(str(error))
        return [*found, await asyncio.create_task(at_once())]

    assert await answered(handles()) == (["no", "done"], 1)


@pytest.mark.parametrize("count", [0, 2])
async def test_its_error_is_raised(count: int) -> None:
    async def fails() -> None:
        await after_turns(count)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await awaited(fails(), Waits())


async def test_a_cancellation_reaches_it_and_it_may_clean_up_with_awaits() -> None:
    ended = []

    async def cleans_up() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    task = asyncio.create_task(answered(cleans_up()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cleaned up"]


async def test_its_errors_show_its_own_lines() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        await awaited(fails(), Waits())
    assert caught.traceback[-1].name == "fails"
