"""Workflows of a Worker that has none: they open when the first is made, over the API or by a command."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from .engine.doorbell import Doorbells
from .local import DOORBELLS_NAME, FOLDER_NAME, JOURNAL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ...runtime.core.host import Host
    from ..spec import Opened, Site
    from .answers import WorkflowDetail
    from .service import WorkflowService


class LateWorkflows:
    """Source, and stand-in for the WorkflowService: the first call of a method opens it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Opened] | None = None
        self._is_wanted = asyncio.Event()

    @property
    def host(self) -> Host:
        host: Host = self._site.host
        return host

    async def run(self) -> None:
        """Wait until there is a journal, made here or by another process that rings; then do the background work."""
        host = self._site.host
        doorbells = Doorbells(host.state_dir / FOLDER_NAME / DOORBELLS_NAME)
        name = f"late-{host.process_slot}"
        doorbells.forget(name)  # a killed process left it
        with doorbells.listen(name, self._look):
            self._look()
            await self._is_wanted.wait()
        opened = await self._open()
        running = [host.spawn(source.run(), name=type(source).__name__) for source in opened.sources]
        try:
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def workflows(self, search: str | None = None) -> Sequence[WorkflowDetail]:
        """As the service's; asking for what there is opens nothing while there is nothing."""
        if self._opening is None and not self._has_journal():
            return ()
        return await (await self._service()).workflows(search)

    async def aclose(self) -> None:
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._stack.aclose()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await getattr(await self._service(), name)(*arguments, **named)

        return call

    def _look(self) -> None:
        if self._has_journal():
            self._is_wanted.set()

    def _has_journal(self) -> bool:
        path: Path = self._site.host.state_dir / JOURNAL_FILE
        return path.exists()

    async def _service(self) -> WorkflowService:
        service: WorkflowService = (await self._open()).admin
        self._is_wanted.set()
        return service

    async def _open(self) -> Opened:
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = self._site.host.spawn(self._opened(), name="late_workflows")
        return await asyncio.shield(self._opening)

    async def _opened(self) -> Opened:
        from .open_workflows import open_workflows  # noqa: PLC0415 - what this class is there to delay

        return await self._stack.enter_async_context(open_workflows((), self._site))
