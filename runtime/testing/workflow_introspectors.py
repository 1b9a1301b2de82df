"""Instances looked into and changed by a test.

Names are those of Cloudflare's vitest integration, in snake_case. What is awaited here never hangs: time stands still,
so an instance that waits for a time or for an event does so for ever, and that is said at once.
Source: @cloudflare/vitest-pool-workers 0.23.0, types/cloudflare-test.d.ts, "introspectWorkflowInstance".
"""

from __future__ import annotations

from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from ...bindings.workflows import values
from ...bindings.workflows.child_instances import recorded_child, recorded_outcome, wait_of
from ...bindings.workflows.errors import raised
from ...bindings.workflows.journal.records import InstanceFilter, Kind, Status, StepKey, StepState
from ..error_trace import format_error
from .workflow_arguments import require_change, require_status, require_step
from .workflow_modifier import WorkflowInstanceModifier
from .workflow_outlook import called, outlook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from ...bindings.workflows.child_instances import Child
    from ...bindings.workflows.journal.records import Instance, StepRecord
    from .workflow_engine import HeldEngine
    from .workflow_modifier import StepSelector

    Modify = Callable[[WorkflowInstanceModifier], object]

T = TypeVar("T")

StatusName = Literal[
    "queued",
    "running",
    "waiting",
    "paused",
    "waitingForPause",
    "rollingBack",
    "errored",
    "terminated",
    "complete",
]

USER_CODE_PATIENCE_S = (0.0, 0.05, 10.0)
"""How long a step's function may take, in real time, while somebody waits for what comes of it: after each of these,
it is looked whether that is there."""
PAGE_COUNT = 100
_OVER = frozenset({StepState.DONE, StepState.FAILED})


class ErrorShown(TypedDict):
    """An error of an instance, as `status()` has it."""

    name: str
    message: str


class IntrospectionError(AssertionError):
    """Raised when what a test waits for cannot come. The text says what the instance did, or waits for."""


class WorkflowInstanceIntrospector:
    """One instance: `modify` it before or while it runs, wait for what becomes of it."""

    def __init__(self, engine: HeldEngine, workflow: str, instance_id: str) -> None:
        self._engine = engine
        self._workflow = workflow
        self.id = instance_id

    async def modify(self, change: Modify) -> Self:
        """Call a function, sync or async, with a WorkflowInstanceModifier. What it asks for holds from now on.

        Raises:
            TypeError: no function.
        """
        require_change(change)
        own = self._engine.of_one(self._workflow, self.id).own
        modifier = WorkflowInstanceModifier(own, self._send_events)
        returned = change(modifier)
        if isawaitable(returned):
            await returned
        await modifier
        return self

    async def wait_for_step_result(self, step: StepSelector) -> Any:
        """What a step returned, or the event that a wait got, once it did; at once when it did already.

        Of a child instance it is what that gave.

        Raises:
            IntrospectionError: it has no result and gets none by itself.
            Exception: what the step failed with for good, as `run` got it.
            TypeError: no step.
            ValueError: its index is below 1.
        """
        __tracebackhide__ = True
        name, index = require_step(step)

        def find(_: Instance, steps: Sequence[StepRecord]) -> tuple[StepRecord, Child | None] | None:
            wanted = (one for one in steps if one.key.kind in {Kind.DO, Kind.WAIT} and one.key[1:] == (name, index))
            found = next((one for one in wanted if one.state in _OVER), None)
            child = None if found is None else recorded_child(found)
            if found is not None and child is not None:
                found = wait_of(found.key, steps)
            return None if found is None or found.state not in _OVER else (found, child)

        shown = f'Step "{name}"' if index == 1 else f'Step "{name}" ({index})'
        found, child = await self._reach(find, f"{shown} has no result")
        output, error = None, found.error
        if child is not None:
            output, error = recorded_outcome(child, found)
        elif found.result is not None:
            output = values.decode(found.result)
        if error is not None:
            raise raised(error) from self._failure(found.key)
        return output

    async def wait_for_status(self, status: StatusName) -> None:
        """Return once the instance has a status; at once when it has.

        "queued" and "running" are passed through, so they count as reached by an instance that is beyond them.

        Raises:
            IntrospectionError: it has another one and does not leave it by itself.
            ValueError: no status.
        """
        __tracebackhide__ = True
        wanted = require_status(status)

        def is_reached(instance: Instance, _: Sequence[StepRecord]) -> bool:
            is_passed = wanted is Status.RUNNING and instance.status is not Status.QUEUED
            return is_passed or wanted in {Status.QUEUED, instance.status}

        await self._reach(is_reached, f'It does not become "{status}"')

    async def get_output(self) -> Any:
        """What `run` returned.

        Raises:
            IntrospectionError: the instance is not complete.
        """
        __tracebackhide__ = True
        instance = await self._ended(Status.COMPLETE, "output", "an output")
        return None if instance.output is None else values.decode(instance.output)

    async def get_error(self) -> ErrorShown:
        """What `run` raised, as name and message.

        Raises:
            IntrospectionError: the instance is not errored.
        """
        __tracebackhide__ = True
        instance = await self._ended(Status.ERRORED, "error", "error information")
        assert instance.error is not None, "an errored instance has its error"
        return {"name": instance.error.name, "message": instance.error.message}

    async def dispose(self) -> None:
        """Take back what `modify` asked for. The instance goes on as it is."""
        self._engine.forget(self._workflow, self.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dispose()

    async def _send_events(self) -> None:
        await self._engine.send_events(self._workflow, self.id)

    async def _ended(self, status: Status, what: str, told: str) -> Instance:
        __tracebackhide__ = True
        for patience_s in USER_CODE_PATIENCE_S:
            await self._engine.settle(patience_s)
            instance, steps = await self._look()
            if instance.status is status:
                return instance
        text = (
            f'Cannot retrieve {what}: Workflow instance is in status "{instance.status}" but must be "{status}" to '
            f"have {told} available"
        )
        raise self._unreached(text, instance, steps)

    async def _reach(self, find: Callable[[Instance, Sequence[StepRecord]], T | None], what: str) -> T:
        """What `find` finds, once it finds something."""
        __tracebackhide__ = True
        for patience_s in USER_CODE_PATIENCE_S:
            await self._engine.settle(patience_s)
            instance, steps = await self._look()
            if found := find(instance, steps):
                return found
        raise self._unreached(what, instance, steps)

    async def _look(self) -> tuple[Instance, Sequence[StepRecord]]:
        __tracebackhide__ = True
        found = await self._engine.journal.find(self._workflow, self.id)
        if found is None:
            msg = f'Workflow "{self._workflow}" has no instance "{self.id}": it was never created, or it is deleted.'
            raise IntrospectionError(msg)
        steps = await self._engine.journal.steps(self._workflow, self.id)
        if found.status.is_final and (misplaced := self._misplaced(steps)):
            text = f'Instance "{self.id}" of workflow "{self._workflow}" is changed where it cannot be:'
            raise IntrospectionError("\n".join([text, *misplaced]))
        return found, steps

    def _unreached(self, what: str, instance: Instance, steps: Sequence[StepRecord]) -> IntrospectionError:
        named = f'Instance "{self.id}" of workflow "{self._workflow}"'
        if instance.status.is_final:
            text = f'{what}. {named} is "{instance.status}"; the steps it called: {called(steps)}.'
            return IntrospectionError("\n".join([text, *self._reasons(instance, steps)]))
        running = self._engine.running_steps(self._workflow, self.id)
        waits = "\n".join([outlook(instance, steps, running, self._engine.now_ms()), *self._misplaced(steps)])
        remedy = "Nothing else happens by itself: move the clock (advance), send what it waits for, or end the wait."
        return IntrospectionError(f'{what}. {named} is "{instance.status}":\n{waits}\n{remedy}')

    def _reasons(self, instance: Instance, steps: Sequence[StepRecord]) -> Iterator[str]:
        """Why it is errored, with the lines of the user's code that are still known."""
        if instance.error is None:
            return
        yield f"{instance.error.name}: {instance.error.message}"
        for step in steps:
            failure = self._failure(step.key)
            if step.state is StepState.FAILED and failure is not None:
                yield f'\nStep "{step.key.name}" ({step.key.occurrence}), attempt {step.attempt}:'
                yield format_error(failure)
        error = self._engine.run_error(self._workflow, self.id)
        if error is not None:
            yield f"\nIn run():\n{format_error(error)}"

    def _misplaced(self, steps: Sequence[StepRecord]) -> list[str]:
        return self._engine.of_one(self._workflow, self.id).misplaced(steps)

    def _failure(self, key: StepKey) -> Exception | None:
        return self._engine.of_one(self._workflow, self.id).failures.get(key)


class WorkflowIntrospector:
    """All instances of a workflow."""

    def __init__(self, engine: HeldEngine, workflow: str) -> None:
        self._engine = engine
        self._workflow = workflow

    async def modify_all(self, change: Modify) -> None:
        """Call a function, sync or async, with a WorkflowInstanceModifier; what it asks for holds for every instance.

        An event goes to each instance as it begins, and again when it is restarted.

        Raises:
            TypeError: no function.
        """
        require_change(change)
        modifier = WorkflowInstanceModifier(self._engine.of_all(self._workflow), _nothing)
        returned = change(modifier)
        if isawaitable(returned):
            await returned

    async def get(self) -> list[WorkflowInstanceIntrospector]:
        """One for each instance, in the order they were created."""
        found: list[WorkflowInstanceIntrospector] = []
        after: tuple[int, int] | None = None
        wanted = InstanceFilter(is_ascending=True)
        while True:
            page = await self._engine.journal.list(self._workflow, wanted, after=after, offset=0, count_max=PAGE_COUNT)
            found += [WorkflowInstanceIntrospector(self._engine, self._workflow, one.id) for one in page.items]
            if (after := page.next) is None:
                return found

    async def dispose(self) -> None:
        """Take back what `modify_all` asked for, and `modify` of any of its instances."""
        self._engine.forget(self._workflow)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.dispose()


async def _nothing() -> None:
    pass
