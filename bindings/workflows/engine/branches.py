"""The code of one pass as its tasks: which work on a step, which only wait, and which do something else.

`run` is a task, and so is every branch it makes. When all that is left waits for a time or an event, the pass may end.
Nobody says so: it is seen by the event loop going round without a step being called or ending. A task that is in no
step, as `run` itself while it awaits a branch, may be waiting for an answer from elsewhere and call a step then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .timers import Timers

QUIET_TURNS = 8
"""How often the event loop goes round without a step being called before all that is left is held to be waiting."""


class Branches:
    """See the module's docstring. `main` is the task of `run`."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        """`on_wait` is called when there may be nothing left but waits."""
        self.main: asyncio.Task[bytes] | None = None
        self.in_steps: set[asyncio.Task[Any]] = set()
        """Tasks but `main` that are in a step: they are cancelled when the pass ends."""
        self.active_count = 0
        """Steps that are worked on."""
        self.move_count = 0
        """How often a step was called, ended, or stopped waiting."""
        self._on_wait = on_wait
        self._main_count = 0
        self._known: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._waits: dict[asyncio.Future[None], int] = {}
        self._cuttable: set[asyncio.Future[None]] = set()
        """What no attempt waits for."""
        self._held: set[asyncio.Future[None]] = set()
        self._is_cut = False
        self._left: asyncio.Future[None] | None = None
        self._event_types: dict[asyncio.Future[None], str] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether every step that is worked on waits, and there is one."""
        return 0 < len(self._waits) >= self.active_count

    @property
    def is_still(self) -> bool:
        """Whether every one waits, and none has been woken."""
        return self.is_waiting and not any(wait.done() for wait in self._waits)

    @property
    def is_outside(self) -> bool:
        """Whether a task does something else than a step."""
        return not self._main_count or not all(one.done() for one in self._known if one not in self.in_steps)

    @property
    def waits_until_ms(self) -> Sequence[int]:
        """When each of the waits is over."""
        return tuple(self._waits.values())

    @property
    def event_types(self) -> tuple[str, ...]:
        """What is waited for."""
        return tuple(self._event_types.values())

    def active(self) -> ActiveStep:
        """While a step is worked on."""
        return ActiveStep(self)

    def enter(self, task: asyncio.Task[Any]) -> bool:
        """A step is called: whether it is the outermost one of a branch."""
        self.active_count += 1
        self.move_count += 1
        if task is self.main:
            self._main_count += 1
            return False
        if task in self.in_steps:
            return False
        self.in_steps.add(task)
        self._known.add(task)
        return True

    def leave(self, task: asyncio.Task[Any], *, is_outermost: bool) -> None:
        """A step that was called has ended, or is ended."""
        self.active_count -= 1
        self.move_count += 1
        if task is self.main:
            self._main_count -= 1
        elif is_outermost:
            self.in_steps.discard(task)
        if self._left is not None and not self.in_steps and not self._left.done():
            self._left.set_result(None)
        if self._waits:
            self._on_wait()

    async def wait(self, due_ms: int, timers: Timers, event_type: str | None, *, is_nested: bool) -> None:
        """Return at that time, or earlier when an event may have come; `is_nested` inside of an attempt."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = timers.at(due_ms / 1000, lambda: _wake(woken))
        self._waits[woken] = due_ms
        if not is_nested:
            self._cuttable.add(woken)
        if event_type is not None:
            self._event_types[woken] = event_type
        self._on_wait()
        try:
            await woken
        finally:
            timer.cancel()
            del self._waits[woken]
            self._cuttable.discard(woken)
            self._event_types.pop(woken, None)
            self.move_count += 1

    async def hold(self) -> None:
        """Stay before something new, until it is let go, the branch is cut, or the pass ends."""
        if self._is_cut and asyncio.current_task() is not self.main:
            raise asyncio.CancelledError
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cuttable.add(held)
        self._held.add(held)
        try:
            await held
        finally:
            self._cuttable.discard(held)
            self._held.discard(held)

    def let_go(self) -> None:
        """Let who is held ask again."""
        for held in self._held:
            _wake(held)

    async def cut(self) -> None:
        """`run` is over: end every branch that waits, and let the attempts that run finish."""
        self._is_cut = True
        for one in tuple(self._cuttable):
            one.cancel()
        while self.in_steps:
            self._left = asyncio.get_running_loop().create_future()
            await self._left

    def wake_for_events(self) -> None:
        """An event may have come."""
        for waiting in self._event_types:
            _wake(waiting)

    async def quiet(self) -> None:
        """Return when no step was called, and none ended, for some turns of the loop."""
        seen = -1
        while seen != self.move_count:
            seen = self.move_count
            for _ in range(QUIET_TURNS):
                await asyncio.sleep(0)

    def cancel(self) -> None:
        """End `run` and every branch that is in a step."""
        for task in (self.main, *self.in_steps):
            if task is not None:
                task.cancel()


class ActiveStep:
    """A step while it is worked on."""

    __slots__ = ("_branches", "_is_outermost", "_task")

    def __init__(self, branches: Branches) -> None:
        self._branches = branches

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "steps run in tasks"
        self._task = task
        self._is_outermost = self._branches.enter(task)

    def __exit__(self, *_: object) -> None:
        self._branches.leave(self._task, is_outermost=self._is_outermost)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
