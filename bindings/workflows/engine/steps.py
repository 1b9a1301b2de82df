"""`step`: what `run(event, step)` is given.

    @step.do("charge", config={"retries": {"limit": 3, "delay": "5 seconds"}})
    async def charge(ctx): ...
    receipt = await charge()

    receipt = await step.do("charge", charge_card, rollback=refund)      # Edge only
    await step.sleep("let it settle", "1 hour")
    approval = await step.wait_for_event("wait for approval", "approved", timeout="7 days")

Source: spec "Workflows", 3; the decorators are those of Cloudflare's Python SDK 1.9.5.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ....runtime.core.edge_only import EdgeOnly
from ....runtime.core.errors import UnsupportedError
from ....runtime.core.workflow_errors import NonRetryableError
from .. import values
from ..durations import parse_duration_ms, shown
from ..errors import (
    Interrupted,
    NonRetryableDelayError,
    WorkflowFatalError,
    WorkflowTimeoutError,
    raised,
    recorded,
)
from ..event_types import require_event_type
from ..journal.records import Kind, StepKey, StepRecord, StepState
from . import decisions
from .decorated_steps import DecoratedSteps
from .retries import DELAY_FUNCTION_MS_MAX, StepConfig, read_config, retry_wait_ms
from .user_code import Callback, as_exception, awaited

if TYPE_CHECKING:
    from collections.abc import Callable

    from .instance_pass import InstancePass

NAME_CHARS_MAX = 256
"""In UTF-16 units, as JavaScript counts."""
WAIT_TIMEOUT_DEFAULT = "24 hours"
TIME_MS_END = 253_402_300_800_000
"""The year 10000, which no datetime reaches."""


class Rollback(NamedTuple):
    """How to undo a step, should the run fail after it."""

    record: StepRecord
    handler: Callable[..., Any]
    config: StepConfig
    context: dict[str, Any]


class WorkflowStep:
    """The steps of one pass."""

    def __init__(self, pass_: InstancePass) -> None:
        self._pass = pass_
        self._is_strict = pass_.definition.is_strict
        self._rollbacks: dict[StepKey, Rollback] = {}
        self._decorated = DecoratedSteps(
            self._run_step,
            has_implicit_dependencies=pass_.definition.has_implicit_dependencies,
            is_strict=self._is_strict,
        )

    def do(self, name: str | None = None, *arguments: Any, **options: Any) -> Any:
        """A step: as decorator (`@step.do("name")`, then call the function), or `await step.do("name", function)`.

        The call form takes `config`, `rollback` and `rollback_config`, and is Edge only.
        """
        if len(arguments) == 1 and callable(arguments[0]):
            if self._is_strict:
                EdgeOnly.STEP_AS_CALL.use()
            return self._run_step(name, *arguments, **options)
        if callable(name) or any(map(callable, arguments)):
            raise WorkflowFatalError(
                'step.do("name", function, config=..., rollback=...) takes the function second and its options by name;'
                ' as a decorator it is written @step.do("name"), with its parentheses.'
            )
        return self._decorated.decorator(name, *arguments, **options)

    async def sleep(self, name: str, duration: object) -> None:
        """Wait for milliseconds, or a text as "1 hour"; at most 365 days. It survives everything."""
        duration_ms = parse_duration_ms(duration, f'The duration of sleep "{name}"')
        await self._sleep(name, lambda now_ms: now_ms + duration_ms)

    async def sleep_until(self, name: str, timestamp: object) -> None:
        """Wait until a datetime (naive: UTC), an ISO text, or Unix milliseconds.

        Raises:
            WorkflowFatalError: no time, or one that was past when the step was first called.
        """
        due_ms = _milliseconds(name, timestamp)

        def due(now_ms: int) -> int:
            if due_ms < now_ms:
                raise WorkflowFatalError("You can't sleep until a time in the past, time-traveler")
            return due_ms

        await self._sleep(name, due)

    async def wait_for_event(
        self, name: str, event_type: str, /, timeout: object = WAIT_TIMEOUT_DEFAULT
    ) -> dict[str, Any]:
        """The oldest event of a type that no wait took yet: `{payload, timestamp, type}`.

        Raises:
            WorkflowTimeoutError: none came in time.
        """
        _check_name(name)
        require_event_type(event_type)
        timeout_ms = parse_duration_ms(timeout, f'The timeout of wait "{name}"')
        with self._pass.active():
            key, record = self._pass.enter(Kind.WAIT, name)
            if record is None or record.state is StepState.PENDING:
                await self._pass.boundary()
            if record is None:
                now_ms = self._pass.now_ms()
                due_ms = now_ms + timeout_ms
                record = self._pass.steps.new(
                    key, state=StepState.PENDING, started_ms=now_ms, due_ms=due_ms, event_type=event_type
                )
            timed_out = WorkflowTimeoutError(f"Execution timed out after {timeout_ms}ms")
            failed = decisions.failed(record, recorded(timed_out), retry_at_ms=None)
            test = self._pass.introspection
            if test and record.state is StepState.PENDING and test.misses_event(key):
                await self._pass.steps.save(failed)
                record = failed
            while record.state is StepState.PENDING:
                due_ms = record.due_ms or 0
                is_late = due_ms <= self._pass.now_ms()
                record = await self._pass.steps.take_event(record, otherwise=failed if is_late else record)
                if record.state is StepState.PENDING:
                    await self._pass.wait(due_ms, event_type=event_type)
            event: dict[str, Any] = self._pass.results.outcome(record)
            return event

    @property
    def instance_version(self) -> str:
        """The version that the instance was created for; empty when that was not known (Edge only)."""
        EdgeOnly.STEP_RECORD.use()
        return self._pass.instance.version

    def recorded_state(self, kind: Kind, name: str) -> StepState | None:
        """How the first step with a name stands, whichever pass called it; None: none did (Edge only)."""
        EdgeOnly.STEP_RECORD.use()
        record = self._pass.steps.find(StepKey(kind, name, 1))
        return None if record is None else record.state

    async def roll_back(self, error: Exception) -> None:
        """Undo what was done, the step that was started last first; the first handler that fails ends it."""
        if not await self._pass.end_run() or not self._rollbacks:
            return
        await self._pass.begin_rollback(recorded(error))
        for rollback in sorted(self._rollbacks.values(), key=lambda one: one.record.order, reverse=True):
            record = self._pass.steps.current(rollback.record)
            output = None if record.result is None else self._pass.results.outcome(record)
            name = f"{record.key.name}-{record.key.occurrence}"
            context = {"ctx": rollback.context, "error": error, "output": output, "stepName": name}
            try:
                await self._attempts(Kind.ROLLBACK, name, rollback.config, Callback(rollback.handler, context))
            except Exception as failure:  # noqa: BLE001 - the border of the user's handler; the instance keeps its own error
                self._pass.warn("workflow_rollback_failed", step=name, error=str(failure))
                return

    async def _run_step(
        self,
        name: str | None,
        callback: Callable[..., Any],
        /,
        *,
        config: object = None,
        rollback: Callable[..., Any] | None = None,
        rollback_config: object = None,
    ) -> Any:
        name = _check_name(name)
        if not callable(callback):
            raise WorkflowFatalError(f'Step "{name}" requires a callback function')
        read = read_config(name, config, delay_ms_default=self._pass.definition.delay_ms_default)
        undo = None
        if rollback is not None:
            EdgeOnly.ROLLBACK.use()
            if not callable(rollback):
                raise WorkflowFatalError(f'The rollback of step "{name}" is no function')
            default_ms = self._pass.definition.delay_ms_default
            undo = (rollback, read_config(name, rollback_config, delay_ms_default=default_ms))
        return await self._attempts(Kind.DO, name, read, Callback(callback), undo)

    async def _attempts(
        self,
        kind: Kind,
        name: str,
        config: StepConfig,
        callback: Callback,
        undo: tuple[Callable[..., Any], StepConfig] | None = None,
    ) -> Any:
        """Ask the engine what to do with a step, and do it, until there is an outcome."""
        with self._pass.active():
            key, record = self._pass.enter(kind, name)
            if record is None:
                known = self._pass.steps.new(
                    key, state=StepState.RUNNING, attempt=1, started_ms=self._pass.now_ms(), config=config.shown
                )
            else:
                known = record._replace(config=config.shown)
            rollback = None if undo is None else Rollback(known, *undo, context=self._context(known, config))
            if rollback is not None and record is not None:
                self._rollbacks[key] = rollback
            while True:
                match decisions.decide_step(record, config, self._pass.now_ms()):
                    case decisions.Replay() | decisions.Raise():
                        assert record is not None, "only a recorded step has an outcome"
                        return self._pass.results.outcome(record)
                    case decisions.WaitUntil(due_ms):
                        await self._pass.boundary()
                        await self._pass.wait(due_ms)
                    case decisions.Interruption(error):
                        assert record is not None, "only a recorded attempt was interrupted"
                        record = await self._after_failure(record, config, raised(error))
                    case decisions.Attempt(number):
                        await self._pass.boundary()
                        if record is not None:
                            known = decisions.started(known, number, self._pass.now_ms())
                        elif rollback is not None:
                            self._rollbacks[key] = rollback
                        record = await self._attempt(known, config, callback)

    async def _attempt(self, record: StepRecord, config: StepConfig, callback: Callback) -> StepRecord:
        if not config.is_at_most_once:
            self._pass.steps.save_soon(record)

        def context() -> dict[str, Any]:
            return self._context(record, config)

        try:
            test = self._pass.introspection
            mocked = test and test.outcome(record.key, record.attempt, config.timeout_ms)
            with self._pass.user_code(record, config.timeout_ms) as code:
                if config.is_at_most_once:  # a pause that comes meanwhile lets it begin: it would count as cut short
                    await self._pass.steps.save(record)
                returned = mocked.value if mocked else await callback.call(context, code.waits)
                if record.key.kind is Kind.ROLLBACK:  # nobody gets it: it may be anything
                    returned = None
                if hasattr(returned, "__aiter__"):
                    code.waits()
                    result = await self._pass.results.stored_stream(record, returned)
                else:
                    result = self._pass.results.stored(record, returned)
            done = decisions.succeeded(record, result)
        except values.UnserialisableError:
            message = (
                f'The execution of the Workflow instance was terminated, as the step "{record.key.name}" returned a '
                f"value which is not serialisable"
            )
            self._pass.fail(WorkflowFatalError(message))
        except (Interrupted, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the border of the user's code
            return await self._after_failure(record, config, as_exception(error))
        await self._pass.steps.save(done)
        return done

    async def _after_failure(self, record: StepRecord, config: StepConfig, error: Exception) -> StepRecord:
        wait_ms = retry_at_ms = None
        test = self._pass.introspection
        if test:
            test.failed(record.key, error)
        if decisions.may_retry(record, config) and not isinstance(error, _NOT_RETRIED):
            try:
                wait_ms = await self._retry_wait_ms(record, config, error)
                if test and test.skips_retry_delay(record.key):
                    wait_ms = 0
                retry_at_ms = self._pass.now_ms() + wait_ms
            except NonRetryableDelayError as failure:
                error = failure
        if isinstance(error, values.CyclicValueError):
            error = TypeError(str(error))
        kind, name, occurrence = record.key
        step = f"rollback of {name}" if kind is Kind.ROLLBACK else f"{name}-{occurrence}"
        retry_in = None if wait_ms is None else f"{wait_ms / 1000:g}s"
        self._pass.warn("workflow_attempt_failed", step=step, attempt=record.attempt, retry_in=retry_in, exc_info=error)
        record = decisions.failed(record, recorded(error), retry_at_ms=retry_at_ms)
        await self._pass.steps.save(record)
        return record

    async def _retry_wait_ms(self, record: StepRecord, config: StepConfig, error: Exception) -> int:
        delay: Any = config.delay
        if callable(delay):
            step = f"{record.key.name}-{record.key.occurrence}"
            try:
                with self._pass.user_code(record, DELAY_FUNCTION_MS_MAX) as code:
                    answer = await awaited(delay({"ctx": self._context(record, config), "error": error}), code.waits)
                delay = parse_duration_ms(answer, "The delay")
            except (Exception, SystemExit) as failure:
                message = f'The delay function for step "{step}" threw an error: {failure or type(failure).__name__}'
                raise NonRetryableDelayError(message) from failure
        return retry_wait_ms(config.backoff, delay, record.attempt)

    async def _sleep(self, name: str, due: Callable[[int], int]) -> None:
        _check_name(name)
        with self._pass.active():
            key, record = self._pass.enter(Kind.SLEEP, name)
            if record is None or record.state is StepState.PENDING:
                await self._pass.boundary()
            if record is None:
                now_ms = self._pass.now_ms()
                record = self._pass.steps.new(key, state=StepState.PENDING, started_ms=now_ms, due_ms=due(now_ms))
                if (record.due_ms or 0) > now_ms:
                    await self._pass.steps.save(record)
            test = self._pass.introspection
            if test and test.skips_sleep(key):
                record = record._replace(due_ms=None)
            if record.state is StepState.PENDING:
                while (due_ms := record.due_ms or 0) > self._pass.now_ms():
                    await self._pass.wait(due_ms)
                await self._pass.steps.save(decisions.finished(record))

    def _context(self, record: StepRecord, config: StepConfig) -> dict[str, Any]:
        """What a callback gets as `ctx`; `idempotencyKey` (Edge only) is the same for every attempt."""
        instance, key = self._pass.instance, record.key
        context = {
            "step": {"name": key.name, "count": key.occurrence},
            "attempt": record.attempt,
            "config": {**config.shown, "retries": dict(config.shown["retries"])},
        }
        if not self._is_strict:
            names = (instance.workflow, instance.id, str(instance.generation), key.name, str(key.occurrence))
            digest = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()
            context["idempotencyKey"] = digest[:32]
        return context


_NOT_RETRIED = (
    NonRetryableError,
    WorkflowFatalError,
    NonRetryableDelayError,
    UnsupportedError,
    values.CyclicValueError,
)


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not _is_good_name(name):
        raise WorkflowFatalError(f'Step name "{name}" exceeds max length (256 chars) or invalid characters found')
    return name


def _is_good_name(name: str) -> bool:
    if name.isascii():  # as nearly all are: what does not print is told in C
        return len(name) <= NAME_CHARS_MAX and (name.isprintable() or min(name, default=" ") >= " ")
    try:
        length = len(name.encode("utf-16-le")) // 2
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return length <= NAME_CHARS_MAX and min(name, default=" ") >= " "


def _milliseconds(name: str, timestamp: object) -> int:
    if isinstance(timestamp, str):
        with suppress(ValueError):
            timestamp = datetime.fromisoformat(timestamp)
    if isinstance(timestamp, datetime):
        aware = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
        timestamp = int(aware.timestamp() * 1000)
    if isinstance(timestamp, int | float) and not isinstance(timestamp, bool) and abs(timestamp) < TIME_MS_END:
        return int(timestamp)
    raise WorkflowFatalError(
        f'sleep_until("{name}") got {shown(timestamp)}: '
        f"give a datetime, an ISO 8601 text, or Unix milliseconds, before the year 10000."
    )
