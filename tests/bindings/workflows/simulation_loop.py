"""An event loop without chance: time is a number that jumps, and processes can be stopped and killed.

All simulated processes share one loop. What a process does is a row of callbacks, each marked by its context: a stopped
process has its callbacks kept for later, and a killed one is a process that is stopped for good, so a kill may fall
between any two turns of any task, and runs no `finally`.

Tasks and futures hash by a counter and not by address, so that the order of a set of tasks is the same in every run.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_process: ContextVar[SimulatedProcess | None] = ContextVar("simulated_process", default=None)


class StuckError(AssertionError):
    """Raised when nothing will ever happen again, and something is still waited for."""


class SimulatedProcess:
    """A process: its callbacks, and whether they may run."""

    def __init__(self, name: str, loop: SimulatedLoop) -> None:
        self.name = name
        self.is_stopped = False
        self.is_dead = False
        self._turns_left = 0
        self._strike: Callable[[], None] | None = None
        self.context = copy_context()
        self.context.run(_process.set, self)
        self._loop = loop
        self._kept: list[tuple[Context, Callable[..., object], tuple[Any, ...]]] = []

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in this process."""
        return self._loop.create_task(work, context=self.context.copy())

    def turn(self, context: Context, callback: Callable[..., object], *arguments: Any) -> None:
        """Called by the loop in place of a callback of this process."""
        self._turns_left -= 1
        if self._turns_left == 0 and self._strike is not None:
            self._strike()
        if self.is_stopped:
            self._kept.append((context, callback, arguments))
        else:
            callback(*arguments)

    def strike_after(self, turn_count: int, strike: Callable[[], None]) -> None:
        """Call something before that turn of the process."""
        self._turns_left, self._strike = turn_count, strike

    def kill(self) -> None:
        self.is_dead = self.is_stopped = True

    def stop(self) -> None:
        """As SIGSTOP does."""
        self.is_stopped = True

    def go_on(self) -> None:
        """As SIGCONT does: what happened meanwhile reaches it now."""
        self.is_stopped = False
        self._strike = None
        kept, self._kept = self._kept, []
        for context, callback, arguments in kept:
            self._loop.call_soon(callback, *arguments, context=context)


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the module's docstring. `run(main)` is all that a simulation calls."""

    def __init__(self) -> None:
        super().__init__()
        self._moment = 0.0
        self._selector = self
        self._clock_resolution = 1e-9
        self._numbers = count()
        self._living: dict[asyncio.Task[Any], None] = {}
        self.set_task_factory(self._new_task)

    def run(self, main: Coroutine[Any, Any, None], at_end: Callable[[], None]) -> None:
        """Run to the end of `main`; then `at_end` lets every process go on, and all tasks are cancelled."""
        try:
            self.run_until_complete(main)
        finally:
            self.set_exception_handler(lambda *_: None)  # what is cut off now is nobody's error
            at_end()
            while living := [task for task in self._living if not task.done()]:
                for task in living:
                    task.cancel()
                self.run_until_complete(asyncio.wait(living, timeout=60))
            self.close()

    # What asyncio calls.

    def time(self) -> float:
        return self._moment

    def call_soon(self, callback: Any, *arguments: Any, context: Context | None = None) -> asyncio.Handle:
        context = copy_context() if context is None else context
        process = context.get(_process)
        if process is not None:
            return super().call_soon(process.turn, context, callback, *arguments, context=context)
        return super().call_soon(callback, *arguments, context=context)

    def call_at(self, when: float, callback: Any, *arguments: Any, context: Context | None = None) -> Any:
        context = copy_context() if context is None else context
        process = context.get(_process)
        if process is not None:
            return super().call_at(when, process.turn, context, callback, *arguments, context=context)
        return super().call_at(when, callback, *arguments, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(next(self._numbers), self)

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise StuckError("Nothing will ever happen again.")
        self._moment += max(timeout, 0)
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """There are no files to watch."""

    def _write_to_self(self) -> None:
        """There are no threads that wake this loop."""

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = _Task(next(self._numbers), work, loop=loop, **options)
        self._living[task] = None
        task.add_done_callback(self._forget, context=Context())
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        del self._living[task]


class _Future(asyncio.Future[Any]):
    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._number = number

    def __hash__(self) -> int:
        return self._number


class _Task(asyncio.Task[Any]):
    def __init__(self, number: int, work: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(work, **options)

    def __hash__(self) -> int:
        return self._number
