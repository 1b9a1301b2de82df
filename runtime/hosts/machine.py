"""What every machine gives: the real clock, random ids, tasks it owns, the internet. Imports stay light."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ..core.host import Logger
    from ..core.request import Request
    from ..core.response import Response

T = TypeVar("T")


class Machine:
    """A Host. `aclose` ends its tasks and closes its connections."""

    def __init__(self, log: Logger) -> None:
        self.log = log
        self._tasks: set[asyncio.Task[Any]] = set()
        self._close_outbound: Callable[[], Awaitable[None]] | None = None

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def new_id(self) -> str:
        return os.urandom(16).hex()

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def fetch(self, request: Request, *, may_connect: Callable[[str], bool] | None = None) -> Response:
        from . import outbound  # noqa: PLC0415 - the HTTP client loads on the first outgoing request

        self._close_outbound = outbound.aclose
        return await outbound.send_request(request, may_connect=may_connect)

    async def aclose(self) -> None:
        """Cancel what is still running, wait for it, close outgoing connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._close_outbound is not None:
            await self._close_outbound()
