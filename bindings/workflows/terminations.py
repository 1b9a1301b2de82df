"""Terminating all instances of a workflow, in the background: one job per workflow at a time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from ...runtime.core.errors import BackendError, BindingError
from .answers import Termination
from .journal.records import InstanceFilter, Status
from .workflow import WorkflowInstance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .workflow import WorkflowTools

PAGE_COUNT = 256
UNFINISHED = tuple(status for status in Status if not status.is_final)


class Terminations:
    """The jobs of this process."""

    def __init__(self, tools: WorkflowTools) -> None:
        self._tools = tools
        self._jobs: dict[str, asyncio.Task[None]] = {}

    def is_running(self, workflow: str) -> bool:
        return workflow in self._jobs

    def begin(self, workflow: str, statuses: Sequence[Status] = UNFINISHED) -> Termination:
        """Terminate what has one of these statuses now; what is created meanwhile is let be."""
        if self.is_running(workflow):
            return Termination.ALREADY_RUNNING
        job = self._tools.host.spawn(self._run(workflow, statuses), name=f"workflow_terminate_all:{workflow}")
        self._jobs[workflow] = job
        job.add_done_callback(lambda _: self._jobs.pop(workflow, None))
        return Termination.STARTED

    async def wait(self) -> None:
        """Return once every job is done."""
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    async def aclose(self) -> None:
        for job in self._jobs.values():
            job.cancel()
        await self.wait()

    async def _run(self, workflow: str, statuses: Sequence[Status]) -> None:
        until_ms = self._tools.now_ms()
        count = 0
        try:
            for status in statuses:
                count += await self._terminate(workflow, InstanceFilter(status, created_to_ms=until_ms))
        except asyncio.CancelledError:
            remedy = "ask again: the server stopped, or read its config again"
            self._tools.host.log.warning("workflows_not_terminated", workflow=workflow, count=count, remedy=remedy)
            raise
        except BackendError as error:
            self._tools.host.log.error("workflows_not_terminated", workflow=workflow, count=count, exc_info=error)
        else:
            self._tools.host.log.info("workflows_terminated", workflow=workflow, count=count)

    async def _terminate(self, workflow: str, wanted: InstanceFilter) -> int:
        """Page by page, from the newest on; how many."""
        count = 0
        after: tuple[int, int] | None = None
        while True:
            page = await self._tools.journal.list(workflow, wanted, after=after, offset=0, count_max=PAGE_COUNT)
            for instance in page.items:
                with suppress(BindingError):  # it ended, or was deleted, since
                    await WorkflowInstance(workflow, instance.id, self._tools).terminate()
                    count += 1
            if page.next is None:
                return count
            after = page.next
