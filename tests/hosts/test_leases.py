"""Leases: one resource per key, opened by the first, closed by the last."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge.runtime.hosts.leases import Leases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_holders_share_one_resource_and_the_last_one_closes_it() -> None:
    leases, told = Leases(), []

    @asynccontextmanager
    async def resource() -> AsyncIterator[object]:
        told.append("open")
        yield object()
        told.append("close")

    first, second = leases.lease("key", resource), leases.lease("key", resource)
    one = await first.__aenter__()
    assert await second.__aenter__() is one
    await first.__aexit__(None, None, None)
    assert told == ["open"]
    await second.__aexit__(None, None, None)
    assert told == ["open", "close"]
    async with leases.lease("key", resource) as again:
        assert again is not one


async def test_a_resource_that_fails_to_open_is_tried_again_by_the_next() -> None:
    leases, tries = Leases(), []

    @asynccontextmanager
    async def resource() -> AsyncIterator[str]:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("disk")
        yield "open"

    with pytest.raises(OSError, match="disk"):
        async with leases.lease("key", resource):
            pass
    async with leases.lease("key", resource) as opened:
        assert opened == "open"
