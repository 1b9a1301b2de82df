"""One machine with a disk: the real clock, random ids, tasks, a state folder."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from .leases import Leases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ..core.host import Logger
    from ..core.request import Request
    from ..core.response import Response

T = TypeVar("T")


class LocalMachine:
    """The LocalHost of `edge dev` and `edge serve`."""

    def __init__(self, state_dir: Path, log: Logger, *, process_slot: int = 0) -> None:
        self.state_dir = state_dir
        self.log = log
        self.process_slot = process_slot
        self._leases = Leases()
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

    async def fetch(self, request: Request) -> Response:
        from . import outbound  # noqa: PLC0415 - the HTTP client loads on the first outgoing request

        self._close_outbound = outbound.aclose
        return await outbound.send_request(request)

    def lease(
        self, key: Hashable, open_resource: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AbstractAsyncContextManager[T]:
        return self._leases.lease(key, open_resource)

    async def aclose(self) -> None:
        """Cancel what is still running, wait for it, close outgoing connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._close_outbound is not None:
            await self._close_outbound()
