"""Terminating all instances of a workflow, in the background: one order per workflow at a time.

The journal keeps an order until nothing is left of it. Whoever dies before leaves it to a server, which looks for such
orders when it starts and from time to time; two processes that work on one do no harm.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from ...runtime.core.errors import BackendError
from .answers import Termination
from .engine.decisions import decide_terminate
from .journal.records import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .journal.records import Change, Instance, StepRecord, TerminationOrder, Terminator
    from .workflow import WorkflowTools

PAGE_COUNT = 64
"""Instances that end in one commit: others write between them."""
LOOK_SECONDS = 30.0
UNFINISHED = tuple(status for status in Status if not status.is_final)


class Terminations:
    """What this process does of the journal's orders. Source: a server's looks for those that others left."""

    def __init__(self, tools: WorkflowTools, terminator: Terminator) -> None:
        """`terminator` is who orders by this."""
        self._tools = tools
        self._terminator = terminator
        self._jobs: dict[int, asyncio.Task[None]] = {}

    async def is_running(self, workflow: str) -> bool:
        """Whether one is ordered and not done, in whichever process."""
        return any(order.workflow == workflow for order in await self._tools.journal.terminations())

    async def begin(self, workflow: str, statuses: Sequence[Status] = UNFINISHED) -> Termination:
        """Terminate what has one of these statuses now; what is created meanwhile is let be."""
        is_new = await self._tools.journal.begin_termination(workflow, statuses, self._terminator)
        await self._resume(workflow)
        return Termination.STARTED if is_new else Termination.ALREADY_RUNNING

    async def resume(self) -> None:
        """Go on with what is ordered, whoever began it."""
        await self._resume(None)

    async def _resume(self, workflow: str | None) -> None:
        for order in await self._tools.journal.terminations():
            if order.number not in self._jobs and workflow in {None, order.workflow}:
                job = self._tools.host.spawn(self._run(order), name=f"workflow_terminate_all:{order.workflow}")
                self._jobs[order.number] = job
                job.add_done_callback(partial(self._forget, order.number))

    async def run(self) -> None:
        while True:
            await self._tools.host.sleep(LOOK_SECONDS)
            await self.resume()

    async def wait(self) -> None:
        """Return once every job is done."""
        await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    async def aclose(self) -> None:
        for job in self._jobs.values():
            job.cancel()
        await self.wait()

    def _forget(self, number: int, _job: asyncio.Task[None]) -> None:
        del self._jobs[number]

    async def _run(self, order: TerminationOrder) -> None:
        tools, count = self._tools, 0

        def decide(instance: Instance, steps: Sequence[StepRecord]) -> Change:
            return decide_terminate(instance, steps)._replace(terminator=order.terminator)

        try:
            # Again and again from the top: one that waited may run by now.
            while some := await tools.journal.terminate_some(order, decide, PAGE_COUNT, tools.now_ms()):
                count += len(some)
                for acted in some:
                    tools.tell(acted)
                tools.tell(None)  # who held one may take another
            await tools.journal.end_termination(order)
        except asyncio.CancelledError:
            remedy = "it goes on when the server starts, or once somebody asks again"
            tools.host.log.warning("workflows_not_terminated", workflow=order.workflow, remedy=remedy)
            raise
        except BackendError as error:
            remedy = "ask again, or start the server again, once the storage works"
            tools.host.log.error(
                "workflows_not_terminated", workflow=order.workflow, count=count, remedy=remedy, exc_info=error
            )
        else:
            tools.host.log.info("workflows_terminated", workflow=order.workflow, count=count)
