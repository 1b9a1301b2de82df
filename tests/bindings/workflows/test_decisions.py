"""Every decision as a table, and the promise they make together: a crash at any step gives the same result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.workflows.engine import decisions
from edge.bindings.workflows.engine.retries import StepConfig, retry_wait_ms
from edge.bindings.workflows.errors import ErrorRecord, WorkflowError, raised, recorded
from edge.bindings.workflows.journal.records import Change, Instance, Kind, Status, StepKey, StepRecord, StepState
from edge.runtime.core.errors import BindingError
from edge.runtime.core.workflow_errors import NonRetryableError

NOW = 1_000_000
KEY = StepKey(Kind.DO, "charge", 1)
BAD = ErrorRecord("ValueError", "bad")


def step(state: StepState, **values: Any) -> StepRecord:
    return StepRecord(KEY, 0, state, **values)


@pytest.mark.parametrize(
    ("record", "config", "decision"),
    [
        (None, StepConfig(), decisions.Attempt(1)),
        (step(StepState.DONE, result=b"1"), StepConfig(), decisions.Replay(b"1")),
        (step(StepState.FAILED, error=BAD), StepConfig(), decisions.Raise(BAD)),
        (step(StepState.PENDING, attempt=2, due_ms=NOW + 1), StepConfig(), decisions.WaitUntil(NOW + 1)),
        (step(StepState.PENDING, attempt=2, due_ms=NOW), StepConfig(), decisions.Attempt(3)),
        (step(StepState.RUNNING, attempt=1), StepConfig(limit=0), decisions.Attempt(2)),
    ],
    ids=["new", "done", "failed", "not due", "due", "cut short, even without retries"],
)
def test_a_step_is_decided_by_its_record(record: StepRecord | None, config: StepConfig, decision: object) -> None:
    assert decisions.decide_step(record, config, NOW) == decision


def test_an_at_most_once_attempt_that_was_cut_short_is_a_failure() -> None:
    decision = decisions.decide_step(step(StepState.RUNNING, attempt=3), StepConfig(is_at_most_once=True), NOW)
    assert isinstance(decision, decisions.Interruption)
    assert decision.error.name == "StepInterruptedError"
    assert "Attempt 3" in decision.error.message


@pytest.mark.parametrize(
    ("limit", "attempts"), [(0, 1), (1, 2), (1.5, 2), (5, 6)], ids=["none", "one", "a fraction", "default"]
)
def test_the_limit_counts_retries(limit: float, attempts: int) -> None:
    config = StepConfig(limit=limit)
    tried = next(n for n in range(1, 20) if not decisions.may_retry(step(StepState.RUNNING, attempt=n), config))
    assert tried == attempts


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [("constant", [1000, 1000, 1000]), ("linear", [1000, 2000, 3000]), ("exponential", [1000, 2000, 4000])],
)
def test_a_retry_waits_as_the_backoff_says(backoff: Any, waits: list[int]) -> None:
    assert [retry_wait_ms(backoff, 1000, n) for n in (1, 2, 3)] == waits


def test_a_retry_waits_a_year_at_most() -> None:
    assert retry_wait_ms("exponential", 10_000, 10_000) == 365 * 24 * 60 * 60 * 1000


PAUSED_LATER = Change(Status.WAITING_FOR_PAUSE, keeps_owner=True)
TRANSITIONS: dict[Status, tuple[Change | None, Change | None, Change | type[WorkflowError]]] = {
    Status.QUEUED: (None, None, Change(Status.TERMINATED)),
    Status.RUNNING: (PAUSED_LATER, None, Change(Status.TERMINATED)),
    Status.WAITING: (Change(Status.PAUSED), None, Change(Status.TERMINATED)),
    Status.PAUSED: (None, Change(Status.RUNNING, resumed_after_ms=400), Change(Status.TERMINATED)),
    Status.WAITING_FOR_PAUSE: (None, Change(Status.RUNNING, keeps_owner=True), Change(Status.TERMINATED)),
    Status.ROLLING_BACK: (None, None, Change(Status.TERMINATED)),
    Status.ERRORED: (None, None, WorkflowError),
    Status.TERMINATED: (None, None, WorkflowError),
    Status.COMPLETE: (None, None, WorkflowError),
}
"""Status -> what pause, resume and terminate do."""


@pytest.mark.parametrize("status", list(Status))
def test_each_status_has_its_answer_to_each_action(status: Status) -> None:
    instance = Instance("w", "a", status, 1, b"{}", 0, paused_ms=NOW - 400)
    pause, resume, terminate = TRANSITIONS[status]
    assert decisions.decide_pause(instance) == pause
    assert decisions.decide_resume(instance, NOW) == resume
    if isinstance(terminate, Change):
        assert decisions.decide_terminate(instance) == terminate
    else:
        with pytest.raises(terminate, match="finite state"):
            decisions.decide_terminate(instance)


class TooClever(NonRetryableError):
    """A subclass stays non-retryable."""


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ValueError("bad"), ValueError("bad")),
        (TypeError("no"), TypeError("no")),
        (TooClever("stop"), NonRetryableError("stop")),
        (KeyError("x"), BindingError("'x'", name="KeyError")),
        (BindingError("gone", name="RangeError"), BindingError("gone", name="RangeError")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_raised_again_by_name_and_message(error: Exception, again: Exception) -> None:
    got = raised(recorded(error))
    assert type(got) is type(again)
    assert str(got) == str(again)
    assert recorded(got) == recorded(again)


class Crash(Exception):
    """The process ends here."""


class Simulation:
    """A run of steps over a dict as the journal, with crashes before and after every write and every callback."""

    def __init__(self, failures: list[int], crash_points: set[int]) -> None:
        self.failures = failures
        self.crash_points = crash_points
        self.point = 0
        self.journal: dict[StepKey, StepRecord] = {}
        self.finished_calls: dict[int, int] = {}
        self.now = 0

    def maybe_crash(self) -> None:
        self.point += 1
        if self.point in self.crash_points:
            raise Crash

    def write(self, record: StepRecord) -> None:
        self.maybe_crash()
        self.journal[record.key] = record
        self.maybe_crash()

    def step(self, number: int) -> bytes | str:
        """One step that fails as often as `failures` says, with two retries."""
        config = StepConfig(limit=2)
        key = StepKey(Kind.DO, "work", number)
        while True:
            record = self.journal.get(key)
            match decisions.decide_step(record, config, self.now):
                case decisions.Replay(result):
                    assert result is not None
                    return result
                case decisions.Raise(error):
                    return error.message
                case decisions.WaitUntil(due_ms):
                    self.now = due_ms
                case decisions.Attempt(attempt):
                    started = decisions.started(record or StepRecord(key, number, StepState.RUNNING), attempt, now_ms=0)
                    self.write(started)
                    self.write(self.after(started, number))

    def after(self, started: StepRecord, number: int) -> StepRecord:
        self.maybe_crash()
        if self.failures[number] > 2:
            error = ErrorRecord("ValueError", f"step {number}")
            # What a crash cut short is no failure the callback had: only an attempt that came here counts.
            return decisions.failed(started, error, retry_at_ms=None if started.attempt > 2 else self.now + 1000)
        self.finished_calls[number] = self.finished_calls.get(number, 0) + 1
        return decisions.succeeded(started, str(number).encode())

    def run(self) -> list[bytes | str]:
        while True:
            try:
                return [self.step(number) for number in range(len(self.failures))]
            except Crash:
                continue


@given(
    failures=st.lists(st.sampled_from([0, 3]), min_size=1, max_size=6),
    crash_points=st.sets(st.integers(1, 60), max_size=15),
)
def test_a_crash_at_any_point_gives_the_same_result(failures: list[int], crash_points: set[int]) -> None:
    assert Simulation(failures, crash_points).run() == Simulation(failures, set()).run()


@given(crash_points=st.sets(st.integers(1, 40), max_size=10))
def test_a_finished_step_is_called_again_only_when_its_write_was_cut(crash_points: set[int]) -> None:
    simulation = Simulation([0, 0, 0], crash_points)
    simulation.run()
    repeated = sum(simulation.finished_calls.values()) - 3
    assert 0 <= repeated <= len(crash_points)


class _Mute(Exception):
    def __str__(self) -> str:
        raise LookupError


def test_an_error_whose_text_no_database_takes_is_recorded_all_the_same() -> None:
    assert recorded(OSError("half \ud800")).message == "half ?"
    assert recorded(_Mute()).message == "(its text cannot be read: LookupError)"


CALLED = [
    StepRecord(key, place, StepState.DONE)
    for place, key in enumerate(
        [
            *(StepKey(Kind.DO, "charge", 1), StepKey(Kind.DO, "charge", 2), StepKey(Kind.SLEEP, "nap", 1)),
            *(StepKey(Kind.WAIT, "both", 1), StepKey(Kind.DO, "both", 1)),
            *(StepKey(Kind.WAIT, "odd", 1), StepKey(Kind.SLEEP, "odd", 1), StepKey(Kind.ROLLBACK, "charge-2", 1)),
        ]
    )
]


@pytest.mark.parametrize(
    ("start", "place"),
    [
        (decisions.Start(None, "charge", 2), 1),
        (decisions.Start(None, "nap", 1), 2),
        (decisions.Start(Kind.SLEEP, "nap", 1), 2),
        (decisions.Start(None, "both", 1), 4),
        (decisions.Start(Kind.WAIT, "both", 1), 3),
        (None, 0),
    ],
)
def test_a_restart_finds_its_step_by_name_and_by_kind_where_two_have_it(
    start: decisions.Start | None, place: int
) -> None:
    change = Change(Status.QUEUED, restart_from=place, forgets_events=start is None)
    assert decisions.decide_restart(CALLED, start) == change


@pytest.mark.parametrize(
    ("start", "hint"),
    [
        (decisions.Start(None, "nope", 1), ""),
        (decisions.Start(Kind.DO, "nap", 1), ": what has that name is of type sleep, so give the type."),
        (decisions.Start(None, "odd", 1), ": what has that name is of type waitForEvent or sleep, so give the type."),
        (decisions.Start(None, "charge-2", 1), ': 2 is its counter, so give the name "charge" and the count 2.'),
        (decisions.Start(None, "charge", 3), ": its count goes up to 2."),
    ],
)
def test_a_restart_that_finds_no_step_tells_what_was_meant(start: decisions.Start, hint: str) -> None:
    with pytest.raises(WorkflowError) as refused:
        decisions.decide_restart(CALLED, start)
    assert refused.value.reason == f'Step "{start.name}" not found in execution history{hint}'
