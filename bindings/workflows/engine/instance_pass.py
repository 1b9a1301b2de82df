"""One pass of an instance: the user's `run` called from the top, over what earlier passes recorded.

A pass ends when `run` returns or raises, or it is ended: by a pause, by somebody who took the instance away, by a wait
that is not worth staying in memory for (hibernation), or by a reload and a shutdown. To end it, the task of `run` is
cancelled, which is a BaseException: `except Exception` in user code does not see it, and code that goes on in spite of
it gets `Interrupted` from every step it calls. Nothing is lost: the next pass replays what is recorded.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from ....runtime.core.context import logged_about
from ....runtime.core.errors import BackendError, BindingError
from .. import values
from ..errors import ErrorRecord, Interrupted, WorkflowError, WorkflowFatalError, raised, recorded
from ..journal.records import Finish, Kind, Pause, Status, StepKey, StepRecord
from .branches import Branches
from .replay import ReplayCheck
from .results import Results, amount
from .step_log import Loss, StepLog
from .steps import WorkflowStep
from .timers import now_ms
from .user_code import UserCode, as_exception, depth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from ....runtime.core.host import Host
    from ..definition import Definition, WorkflowWorker
    from ..journal.journal import Journal
    from ..journal.records import Claimed, Instance
    from .branches import ActiveStep
    from .introspection import Introspection
    from .timers import Timers

T = TypeVar("T")

RESIDENT_WAIT_MS = 1000
"""A pass stays in memory for a wait that ends sooner; else the instance hibernates. A reload or a Ctrl-C waits for the
passes in memory, so this is also the longest that they wait for one that does nothing."""
LINGER_SECONDS = 1.0
LINGER_COUNT_MAX = 30
"""A pass whose code does something else than steps, while steps wait, stays this often for so long: what it does would
be cut short."""
RETRY_SECONDS = 1.0
"""Between attempts to tell a failing disk how a pass ended."""


class PassTools(NamedTuple):
    """What every pass of a runner works with."""

    host: Host
    journal: Journal
    timers: Timers
    worker: WorkflowWorker
    introspect: Callable[[Instance], Introspection | None] | None = None
    """Where a test looks into what runs."""


class InstancePass:
    """See the module's docstring. `run` once, and `look` whenever somebody else changed the instance."""

    def __init__(self, claimed: Claimed, definition: Definition, tools: PassTools) -> None:
        self.definition = definition
        self.instance = claimed.instance
        self.named = {"workflow": claimed.instance.workflow, "instance": claimed.instance.id}
        """As its lines in the log have it."""
        self.lease = claimed.lease
        self._tools = tools
        self.now_ms: Callable[[], int] = partial(now_ms, tools.host)
        self.steps = StepLog(self, claimed.lease, claimed.steps, tools.journal, tools.timers)
        self._replay = ReplayCheck(claimed.steps)
        self._is_over = False
        self._counts: dict[tuple[Kind, str], int] = {}
        self._step_count = 0
        self._limit_error: WorkflowFatalError | None = None
        """Once it called more steps than it may."""
        self.callback_count = 0
        """Functions of steps that run."""
        self._branches = Branches(self._rest_when_quiet)
        self._leaving: Pause | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_rolling_back = False
        self._cut_count = 0
        """How often `run` was told to end, so that its steps can be rolled back."""
        self._cutting: asyncio.Task[None] | None = None
        self._end: Pause | Finish | Loss | None = None
        self._lingered: tuple[int, int] = (-1, 0)
        self._resting: asyncio.Task[None] | None = None
        self._generation = tools.worker.current
        cls = self._generation and self._generation.worker.workflows.get(definition.class_name)
        self._is_strict = definition.strict_replay or bool(getattr(cls, "strict_replay", False))
        types = getattr(cls, "stored_types", ())
        self.results = Results(claimed.steps, definition, types, self.steps.put_chunk, self.steps.chunk)

    @property
    def host(self) -> Host:
        return self._tools.host

    @property
    def timers(self) -> Timers:
        return self._tools.timers

    @property
    def is_ended(self) -> bool:
        """Whether something ended it before `run` did."""
        return self._end is not None

    @property
    def introspection(self) -> Introspection | None:
        """What a test changes of this instance now."""
        introspect = self._tools.introspect
        return None if introspect is None else introspect(self.instance)

    @property
    def is_resting(self) -> bool:
        """Whether all that is left of it, in memory, is waiting for a time or an event."""
        return self.steps.is_shown_waiting and self._branches.is_still

    @property
    def waits_until_ms(self) -> Sequence[int]:
        """When each of its waits in memory is over."""
        return self._branches.waits_until_ms

    async def run(self) -> None:
        """Advance the instance until this pass ends; the journal knows then how it goes on."""
        task = self._branches.main = self._spawn(self._call(), "run")
        await asyncio.wait({task})
        if self._end is None and self._replay.is_behind:
            await self._let_branches_replay()
        if self._end is None:
            self._end = self._outcome(task)
        elif not task.cancelled():
            task.exception()  # seen, so that asyncio does not report it: it is what ended the pass
        if self._resting is not None:
            self._resting.cancel()
        self._branches.cancel()
        await asyncio.gather(*self._branches.in_steps, return_exceptions=True)
        await self.record_end(self._end)

    def stop(self, how: Pause | Finish | Loss) -> None:
        """End this pass; the first reason holds."""
        if self._end is None:
            self._end = how
            self._branches.cancel()

    def abandon(self) -> None:
        """End this pass as a kill does: nothing is told to the journal."""
        self.stop(Loss.LEASE)

    def leave(self) -> None:
        """End this pass and let another one, here or elsewhere, go on at once."""
        self.stop(Pause(Status.RUNNING, self.now_ms()))

    def look(self) -> None:
        """See what became of the instance, before anything new begins: taken away, to be paused, or an event came."""
        self._looking = self._spawn(self._look(), "look")

    # What steps use.

    def enter(self, kind: Kind, name: str) -> tuple[StepKey, StepRecord | None]:
        """A step is called: its key in this pass, and what is recorded of it."""
        self.check_open()
        count = self._counts[kind, name] = self._counts.get((kind, name), 0) + 1
        key = StepKey(kind, name, count)
        if kind is Kind.DO:
            self._step_count += 1
            if self._step_count > self.definition.steps_max and not self.instance.is_undoing:
                self._exceed_limit()
        record = self.steps.find(key)
        if self._replay.is_behind and not depth.get():
            self._replay.visit(key, is_new=record is None)
        return key, record

    def active(self) -> ActiveStep:
        """While a step is worked on. A step in a task of its own is cancelled when the pass ends."""
        return self._branches.active()

    def user_code(self, record: StepRecord, timeout_ms: int) -> UserCode:
        """While a function of a step runs."""
        return UserCode(self, record, timeout_ms)

    async def boundary(self) -> None:
        """Before anything new: where a pause that was asked for, a reload, or a termination ends the run."""
        if self._looking is not None and not self._looking.done():
            await asyncio.wait({self._looking})
        if depth.get():
            return
        if self.instance.is_undoing and not self._is_over and (self._cutting is None or self._cutting.done()):
            self._cutting = self.work_beside(self._cut_run, "cut")
        if self._leaving is None and self._generation is not None and self._generation.is_retiring:
            self._leaving = Pause(Status.RUNNING, self.now_ms())
        while self._leaving is not None or not self._may_begin:
            if self._leaving is not None and self.callback_count == 0:
                self.stop(self._leaving)
            await self._branches.hold()
        is_checked = self._is_strict and not self._is_rolling_back
        if is_checked and not await self._replay.caught_up(self.host, self._tools.timers):
            self.fail(self._replay.error())

    async def wait(self, due_ms: int, *, event_type: str | None = None) -> None:
        """Return at that time, or earlier when an event came. The instance may hibernate meanwhile."""
        is_nested = depth.get() > 0
        while not is_nested and not self._may_begin:
            await self._branches.hold()
        await self._branches.wait(due_ms, self._tools.timers, event_type, is_nested=is_nested)
        self.check_open()

    async def end_run(self) -> bool:
        """`run` failed: nothing new begins, what is recorded is called again. False: it may not be rolled back."""
        self._is_over = True
        if self._replay.is_behind:
            await self._branches.quiet()
        return not (self._is_strict and self._replay.is_behind) or self.instance.is_undoing

    async def begin_rollback(self, error: ErrorRecord) -> None:
        """Steps are to be undone, and the journal knows from now on; what runs of them is over when this returns."""
        self._leaving = None
        if not self.instance.is_undoing:
            self.warn("workflow_rolling_back", error=f"{error.name}: {error.message}")
            await self.steps.show_rolling_back(error)
        await self._branches.cut()
        self._is_rolling_back = True

    def warn(self, event: str, **about: Any) -> None:
        self.host.log.warning(event, **self.named, **about)

    def fail(self, error: Exception) -> NoReturn:
        """End the instance as errored; user code cannot catch it."""
        self.stop(Finish(Status.ERRORED, error=recorded(error)))
        raise Interrupted

    def saved(self, status: Status) -> None:
        """Steps were recorded, and that is the instance's status: here a pause that was asked for ends the run."""
        self._heed(status)
        if self._leaving is not None and self.callback_count == 0:
            self.stop(self._leaving)
            raise Interrupted

    def work_beside(self, work: Callable[[], Awaitable[None]], what: str) -> asyncio.Task[None]:
        """Do something in a task of its own; the pass has been ended when that is interrupted."""

        async def quietly() -> None:
            with suppress(Interrupted):
                await work()

        return self._spawn(quietly(), what)

    def user_code_ended(self) -> None:
        """A function of a step is over, however it ended: what waited for that, as a pause, may come now."""
        self.callback_count -= 1
        if not self.callback_count and self._leaving is not None:
            self._branches.let_go()

    def check_open(self) -> None:
        """Raises Interrupted in code that goes on after its pass was ended."""
        if self._end is not None:
            raise Interrupted

    # The pass itself.

    @property
    def _may_begin(self) -> bool:
        """Whether the code that asks may do what is not recorded: `run` until it is over, then its handlers."""
        if self._is_rolling_back:
            return asyncio.current_task() is self._branches.main
        return not self._is_over and not self.instance.is_undoing

    async def _call(self) -> bytes:
        logged_about.set(self.named)
        step = WorkflowStep(self)
        error = self._undoing_error
        try:
            returned = await self._run(self.results.given(self._event()), step)
            if (error or self._limit_error) is None:
                return self._encoded(returned)
        except SystemExit as failure:  # asyncio would end the loop with it
            message = f"run() called sys.exit({failure.code!r}), which ends this instance only."
            error = error or RuntimeError(message)
        except asyncio.CancelledError:
            if self._end is not None:
                raise
            if not self._was_cut():  # nor by anybody else but its own code
                error = error or BindingError("run() awaited something that was cancelled.", name="CancelledError")
        except Interrupted:
            if self._limit_error is None or self._end is not None:
                raise
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as failure:  # noqa: BLE001 - the border of the user's code
            error = error or as_exception(failure)
        error = self._limit_error or error
        assert error is not None, "only a pass that rolls back is cut"
        await step.roll_back(error)
        raise error

    def _event(self) -> dict[str, Any]:
        event: dict[str, Any] = {
            "payload": values.decode(self.instance.params),
            "timestamp": datetime.fromtimestamp(self.instance.created_ms / 1000, UTC),
            "instanceId": self.instance.id,
            "workflowName": self.instance.workflow,
        }
        if self.instance.fire is not None:
            cron, at_ms = self.instance.fire
            event["schedule"] = {"cron": cron, "scheduledTime": at_ms}
        return event

    @property
    def _undoing_error(self) -> Exception | None:
        """What the handlers are told in a pass that only rolls back, whatever `run` does now."""
        if self.instance.is_terminating:
            return WorkflowError("instance.terminated", "The instance was terminated")
        return None if self.instance.undoing is None else raised(self.instance.undoing)

    def _encoded(self, returned: Any) -> bytes:
        """The output of the instance."""
        try:
            return self.results.returned(returned)
        except values.ValueTooLargeError as error:
            limit = amount(self.definition.result_bytes_max)
            message = f"The output of the instance is too large ({error.size_bytes:,} bytes). The limit is {limit}."
            raise WorkflowFatalError(message) from error
        except values.UnserialisableError as error:
            message = (
                "The execution of the Workflow instance was terminated, "
                "as it returned a value which is not serialisable"
            )
            raise WorkflowFatalError(message) from error

    def _exceed_limit(self) -> NoReturn:
        """Roll back; user code cannot catch it, and what does not wait for this branch is cut."""
        if self._limit_error is None:
            limit = self.definition.steps_max
            message = f"The limit of {limit} steps has been reached. Raise limits.steps of the workflow, or loop less."
            self._limit_error = WorkflowFatalError(message)
            self._cutting = self.work_beside(self._cut_run, "cut")
        raise Interrupted

    async def _cut_run(self) -> None:
        """What is left is a rollback: end `run`, once it called again what is recorded."""
        await self._replay.caught_up(self.host, self._tools.timers)
        await self._branches.quiet()
        if self._end is None and not self._is_over and self._branches.main is not None:
            self._cut_count += 1
            self._branches.main.cancel()

    def _was_cut(self) -> bool:
        """Whether it was this that cancelled `run`, which goes on to roll back."""
        task = self._branches.main
        was_cut = self._cut_count > 0
        while task is not None and self._cut_count:
            self._cut_count -= 1
            task.uncancel()
        return was_cut

    async def _run(self, event: dict[str, Any], step: WorkflowStep) -> Any:
        run = self.definition.run
        if run is None:
            handler = self.definition.handler
            return await self._tools.worker.invoke(
                lambda worker, env, ctx: worker.call(handler, (event, step), env, ctx)
            )
        return await self._tools.worker.invoke(lambda _worker, env, _ctx: run(event, step, env))

    def _outcome(self, task: asyncio.Task[bytes]) -> Pause | Finish:
        if task.cancelled():  # by user code itself: no reason of ours
            cancelled = ErrorRecord("CancelledError", "run() was cancelled by its own code.")
            return Finish(Status.ERRORED, error=cancelled, is_undone=False)
        error = task.exception()
        self._tell_of_divergence()
        is_undone = not self._replay.is_behind
        if self.instance.is_terminating:
            return Finish(Status.TERMINATED, is_undone=is_undone)
        if self._is_strict and self._replay.is_behind and not self.instance.is_undoing:
            return Finish(Status.ERRORED, error=recorded(self._replay.error()))
        if error is not None:
            self.host.log.warning("workflow_errored", **self.named, exc_info=error)
            shown = self.definition.shown_error(recorded(error))
            return Finish(Status.ERRORED, error=shown, is_undone=is_undone)
        if count := self._branches.active_count:
            self.host.log.warning("workflow_steps_not_awaited", **self.named, step_count=count)
        return Finish(Status.COMPLETE, output=task.result())

    async def record_end(self, end: Pause | Finish | Loss) -> None:
        """Tell the journal, however long the disk is full: what `run` returned must not be lost."""
        while end is not Loss.LEASE:
            how = Pause(Status.RUNNING, self.now_ms()) if isinstance(end, Loss) else end
            try:
                if isinstance(how, Pause):
                    await self._tools.journal.release(self.lease, how, self.now_ms())
                else:
                    await self._tools.journal.finish(self.lease, how, self.now_ms())
            except BackendError as error:
                self.host.log.error("workflow_end_not_saved", **self.named, exc_info=error)
                await self.host.sleep(RETRY_SECONDS)
            else:
                return

    def _heed(self, status: Status) -> None:
        """A pause was asked for, or taken back."""
        if status is Status.WAITING_FOR_PAUSE:
            self._leaving = Pause(Status.PAUSED, None)
        elif self._leaving is not None and self._leaving.status is Status.PAUSED:
            self._leaving = None
            self._branches.let_go()

    async def _look(self) -> None:
        found = await self._tools.journal.held_status(self.lease)
        if found is None:
            self.stop(Loss.LEASE)
        else:
            self._heed(found)
        self._branches.wake_for_events()

    def _rest_when_quiet(self) -> None:
        if self._end is None and (self._resting is None or self._resting.done()):
            self._resting = self.work_beside(self._rest, "rest")

    async def _rest(self) -> None:
        """Once everything waits: hibernate, or say `waiting` and stay."""
        await self._branches.quiet()
        if self._end is not None or self._limit_error is not None or not self._branches.is_waiting:
            return
        due_ms = min(self._branches.waits_until_ms)
        is_short = due_ms - self.now_ms() <= RESIDENT_WAIT_MS
        is_staying = is_short and self._may_stay
        if not is_staying and not self._is_lingering():
            if self._replay.requested_step is not None:
                self._tell_of_divergence()
            self.stop(Pause(Status.WAITING, due_ms, self._branches.event_types))
            return
        if await self.steps.show_waiting(due_ms) is Status.WAITING_FOR_PAUSE:
            self.stop(Pause(Status.PAUSED, None))
            return
        if not is_staying:
            self._tools.timers.at(self.host.now() + LINGER_SECONDS, self._rest_when_quiet)

    @property
    def _may_stay(self) -> bool:
        return self.definition.is_resident and self.definition.concurrency_max is None

    def _is_lingering(self) -> bool:
        """Whether to stay a little longer, for code that is not in a step and may call one: it waits for an answer."""
        if self.definition.run is not None:  # a manifest's, which does nothing but steps
            return False
        if not self._branches.is_outside or (self._generation is not None and self._generation.is_retiring):
            return False
        seen, count = self._lingered
        moved = self._branches.move_count
        self._lingered = moved, (count + 1 if seen == moved else 1)
        return self._lingered[1] <= (LINGER_COUNT_MAX if self._may_stay else 1)

    async def _let_branches_replay(self) -> None:
        """`run` is over, and a branch that nobody awaits may be on its way to what is recorded: nothing new begins."""
        self._is_over = True
        await self._branches.quiet()

    def _tell_of_divergence(self) -> None:
        replay = self._replay
        if replay.is_behind:
            step, instead = replay.recorded_step, replay.requested_step
            self.host.log.warning("workflow_replay_diverged", **self.named, recorded_step=step, requested_step=instead)

    def _spawn(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        return self.host.spawn(work, name=f"workflow_{what}:{self.instance.workflow}/{self.instance.id}")
