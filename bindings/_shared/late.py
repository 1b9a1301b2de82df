"""A product that no Worker here binds: opened by the first who needs it, so that a start does not pay for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from .sources import keep_running

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from ...runtime.core.host import Host
    from ..spec import Opened


class LateOpening:
    """Opens once, however many ask at the same time; after a failure the next who asks tries again."""

    def __init__(self, host: Host, open_it: Callable[[], AbstractAsyncContextManager[Opened]], *, name: str) -> None:
        """`name` is that of the task."""
        self._host = host
        self._open_it = open_it
        self._name = name
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Opened] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether somebody has asked."""
        return self._opening is not None

    async def opened(self) -> Opened:
        """What opening yields. Raises what opening raises."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = self._host.spawn(self._stack.enter_async_context(self._open_it()), name=self._name)
        return await asyncio.shield(self._opening)

    async def run_sources(self) -> None:
        """Open, and do the background work until cancelled."""
        opened = await self.opened()
        running = [
            self._host.spawn(keep_running(source, self._host), name=type(source).__name__) for source in opened.sources
        ]
        try:
            await asyncio.wait(running)  # not gather: cancelled, it would cancel them too, and what they finish then
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def aclose(self) -> None:
        """Close what was opened."""
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._stack.aclose()
