"""What a parent's subscribers are told of a child: one step, which waits and is over when the child is.

recorded                            told
step_completed with a child         wait_started {child}
wait_started for the child's end    nothing
wait_completed, wait_timed_out      step_completed {child, output}, or step_errored {child, error}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .child_instances import child_in, recorded_child, recorded_outcome, wait_of
from .journal.records import ENDED_PREFIX, Kind, StepState

if TYPE_CHECKING:
    from .child_instances import Child
    from .journal.history import HistoryEvent
    from .journal.journal import Journal
    from .journal.records import StepKey


class ChildEvents:
    """The children of one instance, at `address` (workflow, id), as far as they are waited for."""

    def __init__(self, journal: Journal, address: tuple[str, str]) -> None:
        self._journal = journal
        self._address = address
        self._waited_for: dict[StepKey, Child] = {}
        """By the step that made it. A handful at once: each is forgotten when it was told to be over."""

    async def recall(self) -> None:
        """Look up those that were made before the first event that is told."""
        for step in await self._journal.steps(*self._address):
            if (child := recorded_child(step)) is not None:
                self._waited_for[step.key] = child

    async def told(self, event: HistoryEvent) -> HistoryEvent | None:
        """What is told in place of an event; None: nothing is."""
        if event.step is None:
            return event
        if event.type == "step_completed" and (child := child_in(event.data.get("output"))) is not None:
            self._waited_for[event.step] = child
            return event._replace(type="wait_started", data={"child": str(child)})
        if event.step.kind is not Kind.WAIT:
            return event
        if event.type == "wait_started":
            return None if str(event.data.get("eventType")).startswith(ENDED_PREFIX) else event
        maker = event.step._replace(kind=Kind.DO)
        child = self._waited_for.pop(maker, None)
        return event if child is None else await self._ended(event, maker, child)

    async def _ended(self, event: HistoryEvent, maker: StepKey, child: Child) -> HistoryEvent | None:
        named = await self._journal.steps_named(*self._address, maker.name, maker.occurrence)
        wait = wait_of(maker, named)
        if wait is None or wait.state is StepState.PENDING:  # the instance was restarted or deleted meanwhile
            return None
        output, error = recorded_outcome(child, wait)
        data: dict[str, Any] = {"child": str(child)}
        if error is not None:
            return event._replace(type="step_errored", data={**data, "error": error._asdict()})
        return event._replace(type="step_completed", data=data if output is None else {**data, "output": output})
