"""Workflows under test: the clock, a crash, and what looks into instances.

async with workflows.introspect_workflow_instance(env.ORDERS, "123") as instance:
    await instance.modify(lambda m: m.mock_step_result({"name": "charge"}, {"id": 7}))
    await env.ORDERS.create({"id": "123"})
    await workflows.advance("2 hours")
    assert await instance.get_output() == {"charged": 7}
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...bindings.workflows.durations import parse_duration_ms
from ...bindings.workflows.workflow import Workflow
from .workflow_arguments import require_instance_id
from .workflow_engine import ADVANCE_PATIENCE_S
from .workflow_introspectors import WorkflowInstanceIntrospector, WorkflowIntrospector

if TYPE_CHECKING:
    from .workflow_engine import HeldEngine


class WorkflowsUnderTest:
    """The clock and the engine of one project."""

    def __init__(self, engine: HeldEngine) -> None:
        self._engine = engine

    def now(self) -> datetime:
        """The hand-moved clock, in UTC. It starts at the real time, in whole seconds, and stands still."""
        return datetime.fromtimestamp(self._engine.host.now(), UTC)

    async def advance(self, duration: object) -> None:
        """Move the clock by milliseconds, or a text as "2 hours" or "7 days".

        Everything that becomes due on the way (sleeps, retries, timeouts, schedules) happens in the order of its time,
        each with the clock at that time, and all of it is done on return. A step whose function waits for something
        real is given a second of real time before the clock goes on.

        Raises:
            WorkflowFatalError: no duration, or more than 365 days.
            ValueError: a negative one.
        """
        duration_ms = parse_duration_ms(duration, "The duration of advance()")
        if str(duration).strip().startswith("-"):  # parsed it is 0, as a sleep of that length is
            msg = f"The clock moves forward only: advance() takes a duration as '2 hours', not {duration!r:.100}."
            raise ValueError(msg)
        await self._engine.advance(duration_ms / 1000)

    async def settle(self) -> None:
        """Return when everything that can happen without the clock has happened."""
        await self._engine.settle(ADVANCE_PATIENCE_S)

    async def restart(self) -> None:
        """End the engine as a kill does, and start it again on the same state.

        What runs is cut off where it is and none of it is told to the journal; it begins again from what is recorded.
        The Worker's modules stay loaded.
        """
        await self._engine.crash()

    def introspect_workflow_instance(self, workflow: Workflow, instance_id: str) -> WorkflowInstanceIntrospector:
        """Look into one instance, which need not be created yet. Use it in `async with`, or `dispose` of it.

        Raises:
            TypeError: `workflow` is no workflow of `env`.
            ValueError: no instance can have such an id.
        """
        return WorkflowInstanceIntrospector(self._engine, _name_of(workflow), require_instance_id(instance_id))

    def introspect_workflow(self, workflow: Workflow) -> WorkflowIntrospector:
        """Look into all instances of a workflow, whose ids need not be known. Use it in `async with`.

        Raises:
            TypeError: `workflow` is no workflow of `env`.
        """
        return WorkflowIntrospector(self._engine, _name_of(workflow))


def _name_of(workflow: object) -> str:
    if not isinstance(workflow, Workflow):
        msg = f"Give a workflow of env, as env.MY_WORKFLOW, not {workflow!r:.100}."
        raise TypeError(msg)
    return workflow._definition.name
