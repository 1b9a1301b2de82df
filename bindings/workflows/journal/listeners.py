"""Who waits for news of which instances: told at once of what this process writes, and soon of what others do.

One task looks for everybody. While no other connection wrote, a look costs one pragma; else it asks for the newest
event of each instance that somebody listens to, in one read.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from ....runtime.core.host import Host
    from .history_statements import News

LOOK_SECONDS = 0.1
"""Decision 26 allows 250 ms."""


class Listeners:
    """The listeners of one journal in one process."""

    def __init__(self, look: Callable[[Sequence[int], int | None], Awaitable[News]]) -> None:
        """`look(numbers, version)` reads what became of instances since the journal had that version."""
        self._look = look
        self._listening: dict[int, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def listen(self, number: int, host: Host) -> Iterator[asyncio.Event]:
        """An event that is set whenever something may have happened to the instance with this number."""
        changed = asyncio.Event()
        self._listening.setdefault(number, set()).add(changed)
        if self._task is None or self._task.done():
            self._task = host.spawn(self._run(host), name="workflow_listeners")
        try:
            yield changed
        finally:
            self._listening[number].discard(changed)
            if not self._listening[number]:
                del self._listening[number]
            if not self._listening and self._task is not None:
                self._task.cancel()
                self._task = None

    def tell(self, number: int) -> None:
        """This process changed the instance."""
        for changed in self._listening.get(number, ()):
            changed.set()

    async def _run(self, host: Host) -> None:
        version: int | None = None
        seen: dict[int, int | None] = {}
        while True:
            await host.sleep(LOOK_SECONDS)
            try:
                version, newest = await self._look(tuple(self._listening), version)
            except BackendError as error:
                host.log.error("workflow_history_not_read", exc_info=error)
                version = None
                continue
            for number, last in newest.items():
                if seen.get(number, -1) != last:
                    self.tell(number)
            if newest:
                seen = dict(newest)
