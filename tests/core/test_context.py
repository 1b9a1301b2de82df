"""`ctx.waitUntil`: kept alive, awaited before the end, failures logged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.runtime.core.context import Context, PendingWork
from edge.runtime.core.errors import UnsupportedError
from edge.runtime.testing.fake_host import FakeHost


async def test_drain_waits_for_work_that_work_added() -> None:
    pending, done = PendingWork(FakeHost()), []
    ctx = Context(pending)

    async def inner() -> None:
        await asyncio.sleep(0)
        done.append("inner")

    async def outer() -> None:
        await asyncio.sleep(0)
        ctx.waitUntil(inner())
        done.append("outer")

    ctx.waitUntil(outer())
    await pending.drain()
    assert done == ["outer", "inner"]
    assert len(pending) == 0


async def test_failed_work_is_logged_and_does_not_stop_the_drain() -> None:
    host = FakeHost()
    pending = PendingWork(host)

    async def fail() -> None:
        raise ValueError("broken")

    Context(pending).waitUntil(fail())
    await pending.drain()
    assert host.log.events("error") == ["wait_until_failed"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=type)
@pytest.mark.usefixtures("handled_ctrl_c")
async def test_pending_work_that_wants_to_end_the_process_ends_alone(error: BaseException) -> None:
    host = FakeHost()
    pending = PendingWork(host)

    async def leave() -> None:
        raise error

    Context(pending).waitUntil(leave())
    await pending.drain()
    assert host.log.events("error") == ["wait_until_failed"]


async def test_futures_and_tasks_are_taken() -> None:
    pending = PendingWork(FakeHost())
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    Context(pending).waitUntil(future)
    asyncio.get_running_loop().call_soon(future.set_result, 1)
    await pending.drain()
    assert future.done()


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match="takes a coroutine, a future or a task, got int"):
        Context(PendingWork(FakeHost())).waitUntil(1)  # type: ignore[arg-type]  # the mistake under test


def test_wait_until_names_the_right_spelling() -> None:
    with pytest.raises(AttributeError, match=r"write ctx\.waitUntil"):
        _ = Context(PendingWork(FakeHost())).wait_until


@pytest.mark.parametrize("name", ["exports", "cache", "tracing"])
def test_what_cloudflares_ctx_has_besides_is_refused_with_a_sentence(name: str) -> None:
    ctx = Context(PendingWork(FakeHost()))
    with pytest.raises(UnsupportedError, match=rf"^ctx\.{name} is there on Cloudflare, and Edge does not have it yet"):
        getattr(ctx, name)
    assert not hasattr(ctx, name)
