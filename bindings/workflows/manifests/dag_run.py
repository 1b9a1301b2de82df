"""A manifest's `run`: every step of the graph as a step of the engine, each as soon as what it needs is over.

The engine calls this from the top in every pass, as it does a class's `run`, so pauses, retries, rollback and
hibernation are the engine's. Two rules keep a pass like the ones before it:

- Expressions see params and recorded results alone, so they give the same in every pass.
- What earlier passes recorded is called again first, in the order of the graph, before anything new: a step that failed
  must not keep another from being replayed, or that one would not be rolled back.

When a step fails for good, nothing new begins; an attempt that runs is let finish, so that its result is known to its
rollback; what only waits is cut off. The error is that of the first failed step in the order of the graph.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ....runtime.core.workflow_errors import NonRetryableError
from ..errors import WorkflowFatalError
from ..journal.records import Kind, StepState
from .calls import call_uses
from .filters import is_true
from .manifest import NodeKind, evaluate, roots_in
from .problems import echo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..engine.steps import WorkflowStep
    from .children import Children
    from .manifest import Manifest, Step
    from .uses import Callables

_KINDS = {NodeKind.SLEEP: Kind.SLEEP, NodeKind.SLEEP_UNTIL: Kind.SLEEP, NodeKind.WAIT: Kind.WAIT}
"""What the engine records of a node; a task's call otherwise."""
_OVER = frozenset({StepState.DONE, StepState.FAILED})


class DagRun:
    """One pass over a manifest."""

    def __init__(
        self,
        manifest: Manifest,
        event: Mapping[str, Any],
        step: WorkflowStep,
        callables: Callables,
        children: Children,
    ) -> None:
        self._manifest = manifest
        self.event = event
        self.engine = step
        self.callables = callables
        self.children = children
        self.scope: dict[str, Any] = {}
        self._nodes: dict[str, _Node] = {}
        self._over: set[str] = set()
        self._errors: dict[str, Exception] = {}
        self._workers: dict[asyncio.Task[None], _Item] = {}
        self._followers: dict[str, list[Step]] = {name: [] for name in manifest.steps}
        for follower in manifest.steps.values():
            for need in follower.needs:
                self._followers[need].append(follower)

    @property
    def is_failing(self) -> bool:
        return bool(self._errors)

    async def run(self) -> Any:
        """The manifest's output.

        Raises:
            WorkflowFatalError: params that the schema refuses, or an expression that leads nowhere.
            Exception: what the first step that failed raised.
        """
        self.scope = {
            "params": self._params(),
            "steps": {name: {"out": None, "skipped": False} for name in self._manifest.steps},
            "instance": {"id": self.event["instanceId"], "workflow": self.event["workflowName"]},
        }
        await self._replay()
        async with asyncio.TaskGroup() as group:
            if self.is_failing:
                await self._enter_interrupted(group)
            else:
                self._start_ready(group, self._manifest.steps.values())
        for name in self._manifest.steps:
            if name in self._errors:
                raise self._errors[name]
        return evaluate(self._manifest.output, self.scope)

    def _params(self) -> Any:
        params, schema = self.event["payload"], self._manifest.params
        if schema is None:
            return params
        params = schema.with_defaults(params)
        if problems := schema.problems(params):
            raise WorkflowFatalError("\n".join(problems))
        return params

    async def _replay(self) -> None:
        """Call again what is recorded as over. None of it waits."""
        for step in self._manifest.steps.values():
            node = self._opened(step)
            if node is None:
                continue
            for item in tuple(node.waiting):
                if item.state in _OVER:
                    node.waiting.remove(item)
                    await self._work_on(item)
            self._close_when_over(node)

    async def _enter_interrupted(self, group: asyncio.TaskGroup) -> None:
        """Let the engine know of tasks that were at work when another failed: they are rolled back as well."""
        for node in self._nodes.values():
            for item in node.waiting:
                if item.state is not None and node.step.rollback is not None:
                    self._start(group, node, [item])
        await asyncio.sleep(0)
        self.cut_off()

    def _start_ready(self, group: asyncio.TaskGroup, steps: Iterable[Step]) -> None:
        """Begin those of the steps whose needs are over; what follows one that is over at once, as a skipped one."""
        looked_at = deque(steps)
        while looked_at and not self.is_failing:
            step = looked_at.popleft()
            node = self._opened(step)
            if node is None or node.is_started:
                continue
            node.is_started = True
            for _ in range(min(step.max_parallel, len(node.waiting))):
                self._start(group, node, node.waiting)
            if self._close_when_over(node):
                looked_at.extend(self._followers[step.name])

    def _opened(self, step: Step) -> _Node | None:
        """The step's items, once what it needs is over; None before, and after it is over itself."""
        if step.name in self._over or step.name in self._errors:
            return None
        if step.name not in self._nodes:
            if not self._over.issuperset(step.needs):
                return None
            try:
                self._nodes[step.name] = _Node(step, self)
            except WorkflowFatalError as error:
                self._fail(step.name, error)
                return None
        return self._nodes[step.name]

    def _start(self, group: asyncio.TaskGroup, node: _Node, items: deque[_Item] | list[_Item]) -> None:
        """A worker: takes items until none is left."""

        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None, "it is the task of the group"
            while items and not (self.is_failing and items is node.waiting):
                item = items.popleft() if isinstance(items, deque) else items.pop()
                self._workers[task] = item
                try:
                    await self._work_on(item)
                finally:
                    del self._workers[task]
            if self._close_when_over(node):
                self._start_ready(group, self._followers[node.step.name])

        group.create_task(work(), name=f"workflow_node:{node.step.name}")

    async def _work_on(self, item: _Item) -> None:
        try:
            item.node.outs[item.index] = await item.call()
        except Exception as error:  # noqa: BLE001 - the border of one step; run() raises it in the end
            self._fail(item.node.step.name, error)
        else:
            item.node.left_count -= 1

    def _close_when_over(self, node: _Node) -> bool:
        """Whether the step is over with this."""
        if node.left_count > 0 or node.step.name in self._over:
            return False
        self.scope["steps"][node.step.name] = {"out": node.out, "skipped": node.is_skipped}
        self._over.add(node.step.name)
        return True

    def _fail(self, name: str, error: Exception) -> None:
        self._errors.setdefault(name, error)
        self.cut_off()

    def cut_off(self) -> None:
        """End what waits."""
        for task, item in self._workers.items():
            if not item.is_busy and task is not asyncio.current_task():
                task.cancel()


class _Node:
    """A step that may begin: one item, or one for each of `for_each`."""

    def __init__(self, step: Step, run: DagRun) -> None:
        """Raises WorkflowFatalError when an expression leads nowhere."""
        self.step = step
        self.is_started = False
        self.is_skipped = False
        needs_item = not {"item", "index"}.isdisjoint(roots_in(step.condition))
        if not needs_item and not is_true(evaluate(step.condition, run.scope)):
            self.is_skipped = True
            items: list[dict[str, Any]] = []
        elif step.for_each is None:
            items = [{}]
        else:
            found = evaluate(step.for_each, run.scope)
            if not isinstance(found, list):
                raise WorkflowFatalError(f'for_each of step "{step.name}" is a list, got {echo(found)}.')
            items = [{"item": item, "index": index} for index, item in enumerate(found)]
        self.outs: list[Any] = [None] * len(items)
        chosen = [
            _Item(self, run, index, {**run.scope, **names})
            for index, names in enumerate(items)
            if not needs_item or is_true(evaluate(step.condition, {**run.scope, **names}))
        ]
        self.waiting = deque(chosen)
        self.left_count = len(chosen)

    @property
    def out(self) -> Any:
        """What others see: null of a skipped step, a list of one with `for_each`, null in it for a skipped item."""
        if self.is_skipped:
            return None
        return self.outs[0] if self.step.for_each is None else self.outs


class _Item:
    """One call of a step."""

    def __init__(self, node: _Node, run: DagRun, index: int, scope: dict[str, Any]) -> None:
        self.node = node
        self.index = index
        self.is_busy = False
        """Whether its attempt runs, or its result is being recorded."""
        self._run = run
        self._scope = scope
        step = node.step
        self.name = step.name if step.for_each is None else f"{step.name}[{index}]"

    @property
    def state(self) -> StepState | None:
        """As an earlier pass recorded it."""
        if self.node.step.kind is NodeKind.CHILD:  # over when its end has come
            ended = self._run.engine.recorded_state(Kind.WAIT, self.name)
            created = self._run.engine.recorded_state(Kind.DO, self.name)
            return created if created is StepState.FAILED else ended
        return self._run.engine.recorded_state(_KINDS.get(self.node.step.kind, Kind.DO), self.name)

    async def call(self) -> Any:
        step, engine = self.node.step, self._run.engine
        if step.kind is NodeKind.TASK:
            return await self._task(step)
        target = evaluate(step.target, self._scope)
        if step.kind is NodeKind.SLEEP:
            return await engine.sleep(self.name, target)
        if step.kind is NodeKind.SLEEP_UNTIL:
            return await engine.sleep_until(self.name, target)
        timeout = evaluate(step.timeout, self._scope)
        if step.kind is NodeKind.WAIT:
            return await engine.wait_for_event(self.name, target, **({} if timeout is None else {"timeout": timeout}))
        params = evaluate(step.arguments, self._scope)
        options = {"timeout": timeout, "is_cascading": step.is_cascading}
        return await self._run.children.run(self._run, self.name, target, params, **options)

    async def _task(self, step: Step) -> Any:
        undo = step.rollback
        options = {} if undo is None else {"rollback": self._roll_back, "rollback_config": dict(undo.config)}
        return await self._run.engine.do(self.name, self._attempt, config=dict(step.config), **options)

    async def _attempt(self, ctx: Mapping[str, Any]) -> Any:
        run = self._run
        if run.is_failing:
            raise NonRetryableError("Not run again: another step failed.")
        task = asyncio.current_task()
        assert task is not None, "steps run in tasks"
        is_last = ctx["attempt"] > ctx["config"]["retries"]["limit"]
        self.is_busy = is_over = True
        try:
            arguments = evaluate(self.node.step.arguments, self._scope)
            out = await call_uses(self.node.step.target, arguments, self._run.callables, ctx)
            is_over = is_last or not task.cancelling()  # what comes after a timeout is dropped
        except BaseException as error:
            is_over = is_last
            if isinstance(error, Exception) and self._run.is_failing and not task.cancelling():
                is_over = True  # no other attempt is waited for
                raise NonRetryableError(f"{type(error).__name__}: {error}") from error
            raise
        finally:
            if not is_over:
                self._leave_to_retry()
        return out

    def _leave_to_retry(self) -> None:
        """What the attempt ended with, a timeout too, makes the engine wait for the next one."""
        self.is_busy = False
        if self._run.is_failing:  # once the engine is done with the cancellation of a timeout
            asyncio.get_running_loop().call_soon(self._run.cut_off)

    async def _roll_back(self, about: Mapping[str, Any]) -> None:
        undo = self.node.step.rollback
        assert undo is not None, "it is registered with the step"
        error = about["error"]
        told = {"name": getattr(error, "name", type(error).__name__), "message": getattr(error, "message", str(error))}
        arguments = evaluate(undo.arguments, {**self._scope, "error": told, "output": about["output"]})
        await call_uses(undo.uses, arguments, self._run.callables, about["ctx"])
