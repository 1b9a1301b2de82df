"""Workflows of a Worker that has none: they open when the first is made, over the API or by a command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._shared.late import LateOpening
from .engine.doorbell import Doorbells
from .local import DOORBELLS_NAME, FOLDER_NAME, JOURNAL_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ...runtime.core.host import Host
    from ..spec import Opened, Site
    from .answers import WorkflowDetail
    from .service import WorkflowService


class LateWorkflows:
    """Source, and stand-in for the WorkflowService: the first call of a method opens it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._late = LateOpening(site.host, lambda: _opening(site), name="late_workflows")
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
        await self._late.run_sources()

    async def workflows(self, search: str | None = None) -> Sequence[WorkflowDetail]:
        """As the service's; asking for what there is opens nothing while there is nothing."""
        if not (self._late.has_begun or self._has_journal()):
            return ()
        return await (await self._service()).workflows(search)

    async def aclose(self) -> None:
        await self._late.aclose()

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
        service: WorkflowService = (await self._late.opened()).admin
        self._is_wanted.set()
        return service


def _opening(site: Site) -> AbstractAsyncContextManager[Opened]:
    from .open_workflows import open_workflows  # noqa: PLC0415 - what this class is there to delay

    return open_workflows((), site)
