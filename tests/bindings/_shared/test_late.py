"""What is opened late is opened once, again after a failure, and its background work ends as any other does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge.bindings._shared.late import LateOpening
from edge.bindings.spec import Opened
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Product:
    """Opens after a turn of the loop; its source says when it runs, and takes two turns to end."""

    def __init__(self, *, failures_left: int = 0) -> None:
        self.failures_left = failures_left
        self.told: list[str] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Opened]:
        await asyncio.sleep(0)
        self.told.append("opened")
        if self.failures_left:
            self.failures_left -= 1
            raise OSError("no space left")
        yield Opened(env={}, sources=[self])
        self.told.append("closed")

    async def run(self) -> None:
        self.told.append("runs")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.told.append("ended")


async def test_many_who_ask_at_once_open_it_once() -> None:
    product = Product()
    late = LateOpening(FakeHost(), product.open, name="late")
    assert not late.has_begun
    one, *others = await asyncio.gather(*(late.opened() for _ in range(5)))
    assert all(other is one for other in others)
    await late.aclose()
    assert product.told == ["opened", "closed"]


async def test_after_a_failure_the_next_who_asks_opens_it() -> None:
    product = Product(failures_left=1)
    late = LateOpening(FakeHost(), product.open, name="late")
    with pytest.raises(OSError, match="no space left"):
        await late.opened()
    await late.opened()
    await late.aclose()
    assert product.told == ["opened", "opened", "closed"]


async def test_who_stops_asking_does_not_stop_the_opening_for_others() -> None:
    product = Product()
    late = LateOpening(FakeHost(), product.open, name="late")
    leaving, staying = asyncio.create_task(late.opened()), asyncio.create_task(late.opened())
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    await late.aclose()
    assert product.told == ["opened", "closed"]


async def test_work_that_is_stopped_may_finish_what_it_has() -> None:
    product, host = Product(), FakeHost()
    late = LateOpening(host, product.open, name="late")
    running = asyncio.create_task(late.run_sources())
    await host.settle()
    running.cancel()
    await asyncio.wait({running})
    assert product.told == ["opened", "runs", "ended"]
    await late.aclose()


async def test_nothing_that_was_never_needed_is_closed() -> None:
    product = Product()
    await LateOpening(FakeHost(), product.open, name="late").aclose()
    assert product.told == []
