"""A step's history is the same whichever of its records were saved: entries are derived from what changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.bindings.workflows.engine import decisions
from edge.bindings.workflows.errors import ErrorRecord
from edge.bindings.workflows.journal.history import INTERRUPTED, TOLD, TYPES, events_of, step_entries
from edge.bindings.workflows.journal.records import Kind, StepKey, StepRecord, StepState

ERROR = ErrorRecord("ValueError", "no")
OUTCOMES = st.sampled_from(["retried", "died", "died unseen"])
LIVES = st.tuples(st.lists(OUTCOMES, max_size=6), st.sampled_from(["completed", "errored"]), st.booleans())
"""How attempts ended before the last one, how that ended, and whether it took long enough to be recorded before."""


@given(kind=st.sampled_from([Kind.DO, Kind.ROLLBACK]), life=LIVES, is_sensitive=st.booleans())
def test_events_are_those_of_the_life_of_a_step(
    kind: Kind, life: tuple[list[str], str, bool], is_sensitive: bool
) -> None:
    saved, expected = lived(kind, *life, is_sensitive=is_sensitive)
    before, found, number = None, [], 0
    for after, now_ms in saved:
        for entry in step_entries(before, after, now_ms):
            number += entry.types.count(" ") + 1
            found += events_of(entry, number)
        before = after._replace(started_ms=None, config=None)  # as it is read again
    assert [(event.at_ms, event.type, event.attempt) for event in found] == expected
    assert [event.number for event in found] == list(range(1, len(found) + 1))
    for event in found:
        assert event.type in TYPES
        assert event.data.keys() <= set(TOLD.get(event.type, ()))
    redacted = [event for event in found if event.data.get("output") == "[REDACTED]"]
    assert bool(redacted) is (is_sensitive and kind is Kind.DO and life[1] == "completed")


def lived(
    kind: Kind, before: list[str], last: str, is_seen: bool, *, is_sensitive: bool
) -> tuple[list[tuple[StepRecord, int]], list[tuple[int, str, int | None]]]:
    """The records that were saved, with the time, and the events that must be told. A second passes at each turn."""
    prefix = "rollback_" if kind is Kind.ROLLBACK else ""
    config = {"sensitive": "output"} if is_sensitive else {}
    record = StepRecord(StepKey(kind, "charge", 1), 0, StepState.RUNNING, config=config)
    saved: list[tuple[StepRecord, int]] = []
    told: list[tuple[int, str, int | None]] = []
    now_ms, attempt, dead = 0, 0, 0
    for outcome in [*before, last]:
        now_ms += 1000
        if outcome == "died unseen":  # too soon for its start to be recorded: its number is given again
            continue
        attempt += 1
        record = decisions.started(record, attempt, now_ms)
        if dead:
            told.append((now_ms, f"{prefix}attempt_errored", dead))
            dead = 0
        if attempt == 1:
            told.append((now_ms, f"{prefix}step_started", None))
        told.append((now_ms, f"{prefix}attempt_started", attempt))
        if outcome == "died" or (outcome == last and is_seen):
            saved.append((record, now_ms))
        if outcome == "died":
            dead = attempt
            continue
        now_ms += 1000
        retry_at_ms = now_ms + 5000 if outcome == "retried" else None
        is_done = outcome == "completed"
        record = (
            decisions.succeeded(record, b"1") if is_done else decisions.failed(record, ERROR, retry_at_ms=retry_at_ms)
        )
        saved.append((record, now_ms))
        told.append((now_ms, f"{prefix}attempt_{'completed' if is_done else 'errored'}", attempt))
        if outcome == last:
            told.append((now_ms, f"{prefix}step_{last}", None))
    return saved, told


def test_errors_are_told_where_cloudflare_tells_them() -> None:
    record = decisions.started(StepRecord(StepKey(Kind.ROLLBACK, "a-1", 1), 0, StepState.RUNNING), 1, 5)
    (entry,) = step_entries(None, decisions.failed(record, ERROR, retry_at_ms=None), 6)
    data = {event.type: event.data for event in events_of(entry, 4)}
    error = {"error": {"name": "ValueError", "message": "no"}}
    assert data["rollback_attempt_errored"] == data["rollback_step_errored"] == error
    running = record._replace(key=StepKey(Kind.DO, "a", 1))
    dead, _ = step_entries(running, decisions.started(running, 2, 9), 9)
    (event,) = events_of(dead, 1)
    assert event.data == {"error": INTERRUPTED._asdict()}
