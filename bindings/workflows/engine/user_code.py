"""A step's function while it runs: how it is called, and what bounds it.

Most functions end without waiting for anything, or a long time after they began to. Only for the second kind is there
a timer, and a row in the journal that says that an attempt began: nothing else can happen while the first kind runs.
"""

from __future__ import annotations

import asyncio
import inspect
from contextvars import ContextVar
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from ....runtime.core.context import logged_about
from ....runtime.core.errors import BindingError
from ..errors import WorkflowTimeoutError
from .callables import CONTEXT, Takes, takes_context

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping
    from contextvars import Token
    from types import TracebackType

    from ..journal.records import StepRecord
    from .instance_pass import InstancePass
    from .timers import Timer

depth: ContextVar[int] = ContextVar("edge_workflow_step_depth", default=0)
"""How many functions of steps the running code is inside of."""


class Callback(NamedTuple):
    """A user's function, sync or async; it gets `ctx` when it takes an argument."""

    function: Callable[..., Any]
    argument: Mapping[str, Any] | None = None
    """In place of `ctx`."""

    async def call(self, context: Callable[[], Mapping[str, Any]], on_wait: Callable[[], None]) -> Any:
        """`context` is made for who takes it: most do not. `on_wait` is called unless it ends at once."""
        match takes_context(self.function):
            case Takes.NAMED:
                returned = self.function(**{CONTEXT: self.argument or context()})
            case Takes.POSITIONAL:
                returned = self.function(self.argument or context())
            case Takes.NOTHING:
                returned = self.function()
        return await awaited(returned, on_wait)


async def awaited(returned: Any, on_wait: Callable[[], None]) -> Any:
    """What a function returned, or what that comes to when it can be awaited."""
    if isinstance(returned, CoroutineType):
        return await _run(returned, on_wait)
    if inspect.isawaitable(returned):
        on_wait()
        return await returned
    return returned


class UserCode:
    """While a function of a step runs; WorkflowTimeoutError when it takes longer, however it ends then.

    What it awaits may be cancelled: that is a failure like any other, and does not cancel the run.
    """

    _about: Token[Mapping[str, Any] | None]
    _depth: Token[int]

    def __init__(self, pass_: InstancePass, record: StepRecord, timeout_ms: int) -> None:
        task = asyncio.current_task()
        assert task is not None, "steps run in tasks"
        self._task = task
        self._pass = pass_
        self._record = record
        self._timeout_ms = timeout_ms
        self._since = pass_.host.now()
        self._asked_before = task.cancelling()
        self._is_late = False
        self._asked_at_expiry = 0
        self._timer: Timer | None = None

    def __enter__(self) -> UserCode:
        self._pass.callback_count += 1
        self._depth = depth.set(depth.get() + 1)
        about = {**self._pass.named, "step": self._step, "attempt": self._record.attempt}
        self._about = logged_about.set(about)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        depth.reset(self._depth)
        logged_about.reset(self._about)
        self._pass.user_code_ended()
        if self._pass.is_ended:
            return
        if not isinstance(error, asyncio.CancelledError):  # a TaskGroup before 3.13 may forget that it asked to cancel
            self._forget_cancels(self._asked_before + self._is_late)
        # However it ended: what comes late is dropped.
        if self._is_late and self._task.uncancel() <= self._asked_at_expiry:
            self._forget_cancels(self._asked_before)
            raise WorkflowTimeoutError(f"Execution timed out after {self._timeout_ms}ms") from None
        if isinstance(error, asyncio.CancelledError) and self._task.cancelling() <= self._asked_before:
            message = f'Attempt {self._record.attempt} of step "{self._step}" awaited something that was cancelled.'
            raise BindingError(message, name="CancelledError") from error

    def waits(self) -> None:
        """It did not end at once."""
        if self._timer is None:
            self._timer = self._pass.timers.at(self._since + self._timeout_ms / 1000, self._expire)
            self._pass.steps.flush_soon()

    @property
    def _step(self) -> str:
        return f"{self._record.key.name}-{self._record.key.occurrence}"

    def _expire(self) -> None:
        self._is_late = True
        self._asked_at_expiry = self._task.cancelling()
        self._task.cancel()

    def _forget_cancels(self, count: int) -> None:
        """Those that were asked for while it ran, and that it handled."""
        while self._task.cancelling() > count:
            self._task.uncancel()


def as_exception(failure: BaseException) -> Exception:
    """What user code raised, as a failure: sys.exit() would end the loop, and no border stops other BaseExceptions."""
    if isinstance(failure, Exception):
        return failure
    if isinstance(failure, SystemExit):
        text = f"sys.exit({failure.code!r}) in a step"
    else:
        text = f"{type(failure).__name__}: {failure}"
    error = RuntimeError(text)
    error.__cause__ = failure
    return error


@coroutine
def _run(user_code: Coroutine[Any, Any, Any], on_wait: Callable[[], None]) -> Generator[Any, Any, Any]:
    """`await user_code`, and a call when it waits first."""
    try:
        waited_for = user_code.send(None)
        on_wait()
        while True:
            try:
                sent = yield waited_for
            except BaseException as error:  # noqa: BLE001 - all of it is its own
                waited_for = user_code.throw(error)
            else:
                waited_for = user_code.send(sent)
    except StopIteration as end:
        return end.value
