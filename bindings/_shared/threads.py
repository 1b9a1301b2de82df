"""Work in a thread that ends before what it works on is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


async def to_its_end(work: Callable[[], R]) -> R:
    """As `asyncio.to_thread`; a cancellation waits until the thread is done, which nothing can stop."""
    done = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait({done})
        if not done.cancelled():
            done.exception()  # seen: who asked is not there to hear of it
        raise
