"""A body split in two, and how far one copy may run ahead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from edge.runtime.core import body as body_module
from edge.runtime.core.body import Body
from edge.runtime.core.errors import BindingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def counted(count: int, size_bytes: int = 1) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(0)
        yield b"x" * size_bytes


async def test_copies_of_a_stream_are_read_side_by_side() -> None:
    one = Body(chunks=counted(50), size_bytes=50)
    two = one.tee()
    assert two.size_bytes == 50
    assert await asyncio.gather(one.read(), two.read()) == [b"x" * 50] * 2


async def test_a_copy_of_a_copy_reads_the_same() -> None:
    one = Body(chunks=counted(5))
    two = one.tee()
    three = two.tee()
    assert [await three.read(), await one.read(), await two.read()] == [b"xxxxx"] * 3


async def test_a_failing_source_fails_both_copies() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError("cut")

    one = Body(chunks=failing())
    two = one.tee()
    for body in (one, two):
        with pytest.raises(OSError, match=r"^cut$"):
            await body.read()


async def test_a_copy_far_behind_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "TEE_BYTES_MAX", 1000)
    one = Body(chunks=counted(11, 100))
    two = one.tee()
    with pytest.raises(BindingError, match="fell 1100 bytes behind, over the limit of 1000"):
        await one.read()
    del two


async def test_a_copy_nobody_holds_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "TEE_BYTES_MAX", 1000)
    one = Body(chunks=counted(50, 100))
    two = one.tee()
    del two
    assert len(await one.read()) == 5000


async def test_a_moved_body_belongs_to_its_new_owner() -> None:
    one = Body(b"x")
    two = one.move()
    assert (one.is_used, one.whole, await two.read()) == (True, None, b"x")
    with pytest.raises(OSError, match=r"^Body already used$"):
        one.move()
