"""Child workflows: created once, waited for, their failure passed on.

A child's id is made of its parent's id, generation and step, so whichever pass creates it finds the one that is there.
The journal tells the parent of the end in the commit that ends the child: an event of a type that is that child's
alone. So a parent waits as for any event, hibernated, however long that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ....runtime.core.errors import BindingError
from ..child_instances import ChildFailedError, child_in, made_result, outcome
from ..durations import DURATION_MS_MAX
from ..errors import WorkflowError, WorkflowFatalError
from ..workflow import ID_CHARS_MAX, Workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..definition import Definition
    from ..workflow import WorkflowTools
    from .dag_run import DagRun


class Children(NamedTuple):
    """Creates and waits for children among the workflows of this Worker."""

    definitions: Mapping[str, Definition]
    tools: WorkflowTools

    async def run(
        self, parent: DagRun, name: str, workflow: str, params: Any, *, timeout: object, is_cascading: bool
    ) -> Any:
        """The child's output.

        Raises:
            ChildFailedError: it ended other than complete.
            WorkflowTimeoutError: it did not end in time; it runs on.
            WorkflowFatalError: there is no such workflow.
        """
        parent_workflow, parent_id = parent.event["workflowName"], parent.event["instanceId"]

        async def create(ctx: Mapping[str, Any]) -> dict[str, Any]:
            definition = self.definitions.get(workflow)
            if definition is None:
                raise WorkflowFatalError(f'There is no workflow "{workflow}".')
            child_id = _child_id(parent_id, ctx["idempotencyKey"])
            parent_number = await self.tools.journal.number_of(parent_workflow, parent_id)
            try:
                await Workflow(definition, self.tools).create_child(
                    child_id, params, parent_number, is_cascading=is_cascading
                )
            except WorkflowError as error:
                if error.key != "instance.already_exists":  # that is an earlier attempt's
                    raise
            except BindingError as error:  # its params are refused, as they will be
                raise WorkflowFatalError(error.message) from error
            number = await self.tools.journal.number_of(workflow, child_id)
            if number is None:
                raise WorkflowFatalError(f'Workflow "{workflow}", instance "{child_id}", was deleted.')
            return made_result(workflow, child_id, number)

        made = await parent.engine.do(name, create)
        child = child_in(made)
        if child is None:  # a test gave it in place of what a child gives
            return made
        limit = DURATION_MS_MAX if timeout is None else timeout
        output, error = outcome(child, await parent.engine.wait_for_event(name, child.ended, timeout=limit))
        if error is not None:
            raise ChildFailedError(error.message)
        return output


def _child_id(parent_id: str, key: str) -> str:
    """Begins as the parent's, where that is short enough for a person to see it."""
    return f"{parent_id[: ID_CHARS_MAX - len(key) - 1]}-{key}"
