"""What a test changes of a workflow's instances: skipped sleeps, mocked steps, forced timeouts, events.

Names and meaning are those of Cloudflare's vitest integration, in snake_case.
Source: @cloudflare/vitest-pool-workers 0.23.0, types/cloudflare-test.d.ts, "WorkflowInstanceModifier"; the order in
which mocks are looked at, and the texts of errors, are those of miniflare 4.20260426.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from ...bindings.workflows import values
from ...bindings.workflows.engine.introspection import MockedResult
from ...bindings.workflows.errors import WorkflowTimeoutError
from ...bindings.workflows.event_types import require_sent_type
from ...bindings.workflows.journal.records import Kind
from .workflow_arguments import require_error, require_event, require_step, require_steps, require_times

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence

    from ...bindings.workflows.journal.records import StepKey, StepRecord
    from .workflow_arguments import Step


class StepSelector(TypedDict):
    """A step by its name; `index` tells steps of one name apart, in the order they are called, from 1 (default)."""

    name: str
    index: NotRequired[int]


class MockedEvent(TypedDict):
    """What `send_event` takes."""

    type: str
    payload: NotRequired[Any]


_CALLED = {Kind.DO: "step.do", Kind.SLEEP: "step.sleep", Kind.WAIT: "step.wait_for_event"}


class Modifications:
    """What was asked for, as the engine looks it up. Nothing in it is used up: an attempt is known by its number."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []
        """Type and encoded payload, for instances that do not exist yet."""
        self.sleeps: set[Step] | Literal["all"] = set()
        self.retry_delays: set[Step] | Literal["all"] = set()
        self.missed_events: set[Step] = set()
        self.results: dict[Step, MockedResult] = {}
        self._failures: dict[Step, list[Exception | None]] = {}
        self._lasting_failures: dict[Step, Exception | None] = {}

    def skips_sleep(self, key: StepKey) -> bool:
        return self.sleeps == "all" or _step_of(key) in self.sleeps

    def skips_retry_delay(self, key: StepKey) -> bool:
        return self.retry_delays == "all" or _step_of(key) in self.retry_delays

    def misses_event(self, key: StepKey) -> bool:
        return _step_of(key) in self.missed_events

    def outcome(self, key: StepKey, attempt: int, timeout_ms: int) -> MockedResult | None:
        """A counted failure, else a lasting one, else the result."""
        step = _step_of(key)
        counted = self._failures.get(step, [])
        if attempt <= len(counted):
            _fail(counted[attempt - 1], timeout_ms)
        if step in self._lasting_failures:
            _fail(self._lasting_failures[step], timeout_ms)
        return self.results.get(step)

    def add_failure(self, step: Step, error: Exception | None, times: int | None) -> None:
        """`error` None: a timeout. `times` None: every attempt."""
        if times is None:
            self._lasting_failures[step] = error
        else:
            self._failures.setdefault(step, []).extend([error] * times)

    def misplaced(self, steps: Iterable[StepRecord]) -> Iterator[str]:
        """What was asked of steps that turned out to be of another kind, a line for each; `steps`: those called."""
        kinds = {_step_of(one.key): set[Kind]() for one in steps}
        for one in steps:
            kinds[_step_of(one.key)].add(one.key.kind)
        for call, kind, asked in (
            ("mock_step_result", Kind.DO, self.results),
            ("mock_step_error or force_step_timeout", Kind.DO, {**self._failures, **self._lasting_failures}),
            ("disable_sleeps", Kind.SLEEP, () if self.sleeps == "all" else self.sleeps),
            ("disable_retry_delays", Kind.DO, () if self.retry_delays == "all" else self.retry_delays),
            ("force_event_timeout", Kind.WAIT, self.missed_events),
        ):
            for name, index in asked:
                met = kinds.get((name, index), set())
                # A rollback is tried as a step.do is, and may be mocked under its own name.
                if met and not met & {kind, Kind.ROLLBACK}:
                    found = " and ".join(sorted(_CALLED[one] for one in met))
                    yield f'- {call} is for {_CALLED[kind]}, and "{name}" ({index}) is {found}: it changed nothing'


class WorkflowInstanceModifier:
    """What `modify` and `modify_all` hand to their function. Each call holds from the next step on.

    Calls may be chained, and may be awaited or not: an event is sent when `modify` returns at the latest.
    """

    def __init__(self, into: Modifications, send_events: Callable[[], Awaitable[None]]) -> None:
        self._into = into
        self._send_events = send_events

    def disable_sleeps(self, steps: Iterable[StepSelector] | None = None) -> WorkflowInstanceModifier:
        """Let `step.sleep` and `step.sleep_until` return at once: those of `steps`, or all.

        Raises:
            TypeError: no list of steps.
            ValueError: an index is below 1.
        """
        self._into.sleeps = _added(self._into.sleeps, steps)
        return self

    def disable_retry_delays(self, steps: Iterable[StepSelector] | None = None) -> WorkflowInstanceModifier:
        """Let failing steps be tried again without a wait between: those of `steps`, or all.

        Raises:
            TypeError: no list of steps.
            ValueError: an index is below 1.
        """
        self._into.retry_delays = _added(self._into.retry_delays, steps)
        return self

    def mock_step_result(self, step: StepSelector, step_result: object) -> WorkflowInstanceModifier:
        """Give a value for a step without calling its function; failures mocked for it before come first.

        Raises:
            TypeError: no step.
            ValueError: the step has one already, or its index is below 1.
        """
        wanted = require_step(step)
        if wanted in self._into.results:
            msg = f"[WorkflowIntrospector] Trying to mock step '{wanted[0]}' multiple times!"
            raise ValueError(msg)
        self._into.results[wanted] = MockedResult(step_result)
        return self

    def mock_step_error(
        self, step: StepSelector, error: Exception, times: int | None = None
    ) -> WorkflowInstanceModifier:
        """Let attempts of a step fail with an error, without calling its function.

        Args:
            error: retried like any other; a NonRetryableError is not.
            times: how many attempts, after those that earlier calls took. None: all.

        Raises:
            TypeError: no step, or no exception.
            ValueError: the step's result is mocked already, or `times` or the step's index is below 1.
        """
        return self._fail(step, require_error(error), times, "mock error")

    def force_step_timeout(self, step: StepSelector, times: int | None = None) -> WorkflowInstanceModifier:
        """Let attempts of a step time out at once, without calling its function; `times` as in mock_step_error.

        Raises:
            TypeError: no step.
            ValueError: as mock_step_error.
        """
        return self._fail(step, None, times, "force timeout")

    def mock_event(self, event: MockedEvent) -> WorkflowInstanceModifier:
        """Send an event: `{type, payload?}`. An instance that does not exist yet gets it when it begins.

        Raises:
            WorkflowFatalError: no type of 1 to 100 characters, or a reserved one.
            TypeError: no event.
            ValueError, TypeError: a payload that cannot be stored.
        """
        given = require_event(event)
        self._into.events.append((require_sent_type(given["type"]), values.encode(given.get("payload"))))
        return self

    def force_event_timeout(self, step: StepSelector) -> WorkflowInstanceModifier:
        """Let a `step.wait_for_event` time out at once, whatever was sent.

        Raises:
            TypeError: no step.
            ValueError: its index is below 1.
        """
        self._into.missed_events.add(require_step(step))
        return self

    def __await__(self) -> Generator[Any, None, None]:
        return self._send_events().__await__()

    def _fail(
        self, step: StepSelector, error: Exception | None, times: int | None, what: str
    ) -> WorkflowInstanceModifier:
        wanted, count = require_step(step), require_times(times)
        if wanted in self._into.results:
            msg = f"[WorkflowIntrospector] Trying to {what} on step '{wanted[0]}' after mocking its result!"
            raise ValueError(msg)
        self._into.add_failure(wanted, error, count)
        return self


class ModifiedInstance:
    """The engine's Introspection of one instance: what was changed of it, then what was changed of all."""

    def __init__(self, of_all: Modifications) -> None:
        self.own = Modifications()
        self._of_all = of_all
        self.generation = 0
        """The last one whose events were sent."""
        self.failures: dict[StepKey, Exception] = {}
        """What each step failed with last."""

    @property
    def layers(self) -> Sequence[Modifications]:
        return (self.own, self._of_all)

    def skips_sleep(self, key: StepKey) -> bool:
        return any(one.skips_sleep(key) for one in self.layers)

    def skips_retry_delay(self, key: StepKey) -> bool:
        return any(one.skips_retry_delay(key) for one in self.layers)

    def outcome(self, key: StepKey, attempt: int, timeout_ms: int) -> MockedResult | None:
        found = (one.outcome(key, attempt, timeout_ms) for one in self.layers)
        return next((mocked for mocked in found if mocked is not None), None)

    def misplaced(self, steps: Sequence[StepRecord]) -> list[str]:
        """As of Modifications."""
        return [line for one in self.layers for line in one.misplaced(steps)]

    def misses_event(self, key: StepKey) -> bool:
        return any(one.misses_event(key) for one in self.layers)

    def failed(self, key: StepKey, error: Exception) -> None:
        self.failures[key] = error


def _step_of(key: StepKey) -> Step:
    return (key.name, key.occurrence)


def _added(known: set[Step] | Literal["all"], steps: Iterable[StepSelector] | None) -> set[Step] | Literal["all"]:
    wanted = set() if steps is None else require_steps(steps)
    return "all" if steps is None or known == "all" else known | wanted


def _fail(error: Exception | None, timeout_ms: int) -> None:
    if error is None:
        raise WorkflowTimeoutError(f"Execution timed out after {timeout_ms}ms")
    raise error.with_traceback(None)  # raised before, it would carry every earlier raise along
