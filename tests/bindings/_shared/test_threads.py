"""A thread's work is over before what it works on is closed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge.bindings._shared.threads import to_its_end


async def test_a_cancellation_waits_for_the_thread() -> None:
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        may_end.wait()
        ended.set()

    task = asyncio.create_task(to_its_end(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    asyncio.get_running_loop().call_soon(may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_the_work_returns_and_raises_is_passed_on() -> None:
    assert await to_its_end(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await to_its_end(lambda: 1 // 0)
