"""Steps as decorators, with other steps as their dependencies: a directed graph written as functions.

    @step.do("fetch")
    async def fetch(): ...

    @step.do("render", concurrent=True)
    async def render(fetch, ctx): ...        # from compatibility date 2026-02-25: `fetch` is found by its name

    @step.do("render", depends=[fetch])
    async def render(document, ctx): ...     # before: in the order of the parameters

    page = await render()

Calling a decorated function runs what it depends on first, unless this pass did or does so already.
Source: cloudflare/workers-py packages/runtime-sdk 1.9.5, entrypoints.py; spec "Workflows", 3.4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import WorkflowFatalError
from .callables import CONTEXT, parameter_names
from .results import StepStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence


class DecoratedSteps:
    """The decorated functions of one pass."""

    def __init__(
        self, run_step: Callable[..., Awaitable[Any]], *, has_implicit_dependencies: bool, is_strict: bool = False
    ) -> None:
        """`run_step(name, callback, **options)` runs one step; `is_strict`: each call of a function is one, too."""
        self._run_step = run_step
        self.is_strict = is_strict
        self._is_implicit = has_implicit_dependencies
        self._by_name: dict[str, DecoratedStep] = {}

    def decorator(
        self,
        name: str | None = None,
        depends: Sequence[DecoratedStep] | None = None,
        concurrent: bool = False,
        config: object = None,
        **options: Any,
    ) -> Callable[[Callable[..., Any]], DecoratedStep]:
        """`options` are those of `run_step`.

        Raises:
            TypeError: `depends` under a compatibility date that finds dependencies by name, or no name before it.
        """
        if self._is_implicit and depends is not None:
            msg = (
                "step.do() takes no depends from compatibility date 2026-02-25 on: name the parameters after the steps."
            )
            raise TypeError(msg)
        if not self._is_implicit and name is None:
            msg = "step.do() needs a name before compatibility date 2026-02-25."
            raise TypeError(msg)

        def decorate(function: Callable[..., Any]) -> DecoratedStep:
            made = DecoratedStep(self, function, name or function.__name__, concurrent, {"config": config, **options})
            made.depends = depends
            self._by_name[function.__name__] = made
            return made

        return StepDecorator(decorate, name)

    def dependencies(self, step: DecoratedStep) -> dict[str, DecoratedStep]:
        """Parameter -> the step that gives it.

        Raises:
            TypeError: a parameter that no step gives.
        """
        wanted = [name for name in step.parameters if name != CONTEXT]
        if self._is_implicit:
            for name in wanted:
                if name not in self._by_name or self._by_name[name] is step:
                    raise TypeError(f"Received unexpected parameter {name}")
            return {name: self._by_name[name] for name in wanted}
        given = step.depends or ()
        if wanted and step.depends is None:
            raise TypeError(f"Step has {len(wanted)} non-ctx parameter(s) but no 'depends' list provided")
        if len(wanted) != len(given):
            raise TypeError(f"Step declares {len(wanted)} non-ctx parameter(s) but 'depends' has {len(given)} item(s)")
        return dict(zip(wanted, given, strict=True))

    async def run(self, step: DecoratedStep) -> Any:
        """Run a step after what it depends on."""
        if not step.parameters:
            return await self._run_step(step.name, step.function, **step.options)
        self._refuse_circle(step, (), set())
        dependencies = self.dependencies(step)
        if step.is_concurrent:
            found = await asyncio.gather(*(one.result() for one in dependencies.values()))
        else:
            found = [await one.result() for one in dependencies.values()]
        arguments = dict(zip(dependencies, found, strict=True))

        def call() -> Any:
            return step.function(**arguments)

        def call_with_context(context: Mapping[str, Any]) -> Any:
            return step.function(**arguments, **{CONTEXT: context})

        callback = call_with_context if CONTEXT in step.parameters else call
        return await self._run_step(step.name, callback, **step.options)

    def _refuse_circle(
        self, step: DecoratedStep, above: tuple[DecoratedStep, ...], cleared: set[DecoratedStep]
    ) -> None:
        """`cleared`: those that lead into none, so that each is followed once, by however many ways it is reached."""
        if step in above:
            names = " -> ".join(one.name for one in (*above[above.index(step) :], step))
            raise TypeError(f"Steps depend on each other, so none can begin: {names}")
        for one in self.dependencies(step).values():
            if one.parameters and one not in cleared:
                self._refuse_circle(one, (*above, step), cleared)
        cleared.add(step)


class StepDecorator:
    """`@step.do("name")` before it has its function."""

    def __init__(self, decorate: Callable[[Callable[..., Any]], DecoratedStep], name: str | None) -> None:
        self._decorate = decorate
        self._name = name

    def __call__(self, function: Callable[..., Any]) -> DecoratedStep:
        if not callable(function):
            raise self._without_function()
        return self._decorate(function)

    def __await__(self) -> Generator[Any, Any, Any]:
        """`await step.do("name")`: it was called without a function."""
        raise self._without_function()

    def _without_function(self) -> WorkflowFatalError:
        return WorkflowFatalError(f'Step "{self._name}" requires a callback function')


class DecoratedStep:
    """A decorated function: call it without arguments. Its step runs once in a pass, however often it is called.

    On Cloudflare, and with `--compat strict`, only those that depend on it share a result: each call is a step anew.
    """

    depends: Sequence[DecoratedStep] | None = None

    def __init__(
        self,
        steps: DecoratedSteps,
        function: Callable[..., Any],
        name: str,
        is_concurrent: bool,
        options: Mapping[str, Any],
    ) -> None:
        self._steps = steps
        self.function = function
        self.parameters = parameter_names(function)
        self.name = name
        self.is_concurrent = is_concurrent
        self.options = options
        self._outcome: asyncio.Future[Any] | None = None

    def __call__(self) -> Coroutine[Any, Any, Any]:
        return self.result(anew=self._steps.is_strict)

    async def result(self, *, anew: bool = False) -> Any:
        """What it gives to those that depend on it, which share it until it is called `anew`."""
        if anew:
            self._outcome = None
        while (running := self._outcome) is not None:
            await asyncio.wait({running})
            if not running.cancelled():  # else who ran it was cancelled, and nobody else is
                known = running.result()
                return known.again() if isinstance(known, StepStream) else known
        outcome = self._outcome = asyncio.get_running_loop().create_future()
        try:
            result = await self._steps.run(self)
        except Exception as error:
            outcome.set_exception(error)
            outcome.exception()  # nobody else may ask for it
            raise
        except BaseException:
            if self._outcome is outcome:
                self._outcome = None
            outcome.cancel()
            raise
        outcome.set_result(result)
        return result
