"""A host whose clock moves by hand, so that no test sleeps."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ..hosts.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ..core.request import Request
    from ..core.response import Response

T = TypeVar("T")

CLOCK_SLACK_S = 1e-6
"""Who sleeps for the difference of two floats wakes a hair beside the second."""


class RecordingLog:
    """A logger that keeps what it was told: `(level, event, values)` in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def debug(self, event: str, **values: Any) -> None:
        self.lines.append(("debug", event, values))

    def info(self, event: str, **values: Any) -> None:
        self.lines.append(("info", event, values))

    def warning(self, event: str, **values: Any) -> None:
        self.lines.append(("warning", event, values))

    def error(self, event: str, **values: Any) -> None:
        self.lines.append(("error", event, values))

    def events(self, level: str | None = None) -> list[str]:
        return [event for at, event, _ in self.lines if level in {None, at}]


class FakeHost:
    """LocalHost and AwsHost for tests: starts at 2026-01-01T00:00:00Z, ids count up, `advance` wakes sleepers."""

    def __init__(self, state_dir: Path | None = None, *, now: float = 1_767_225_600.0, process_slot: int = 0) -> None:
        self._state_dir = state_dir
        self._now = now
        self._ids = count(1)
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._leases = Leases()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.process_slot = process_slot
        self.log = RecordingLog()
        self.clients: dict[str, Any] = {}
        self.on_fetch: Callable[[Request], Awaitable[Response]] | None = None

    @property
    def state_dir(self) -> Path:
        assert self._state_dir is not None, "this FakeHost was made without a state folder"
        return self._state_dir

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move the clock, waking each sleeper at its own time and letting it run before the next."""
        until = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not woken.done():
                woken.set_result(None)
            await self.settle()
        self._now = until

    def jump(self, to: float) -> None:
        """Set the clock (Unix seconds) and wake all who slept until then, at once: as a machine that was suspended."""
        self._now = max(self._now, to)
        while self._sleepers and self._sleepers[0][0] <= self._now + CLOCK_SLACK_S:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    async def settle(self) -> None:
        """Let tasks that are ready run; does not wait for threads."""
        for _ in range(20):
            await asyncio.sleep(0)

    def new_id(self) -> str:
        return f"{next(self._ids):032x}"

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def fetch(self, request: Request, *, may_connect: Callable[[str], bool] | None = None) -> Response:  # noqa: ARG002 - it connects nowhere
        if self.on_fetch is None:
            raise OSError("this FakeHost has no internet: set on_fetch")
        return await self.on_fetch(request)

    def lease(
        self, key: Hashable, open_resource: Callable[[], AbstractAsyncContextManager[T]]
    ) -> AbstractAsyncContextManager[T]:
        return self._leases.lease(key, open_resource)

    def client(self, service: str) -> Any:
        return self.clients[service]

    async def aclose(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
