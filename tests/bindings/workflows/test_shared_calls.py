"""Calls that are made together in a commit do what they do one by one."""

from __future__ import annotations

import sqlite3
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import ErrorRecord
from edge.bindings.workflows.journal import instance_statements, owner_statements
from edge.bindings.workflows.journal.records import (
    Event,
    Finish,
    Kind,
    Lease,
    NewInstance,
    Progress,
    Status,
    StepKey,
    StepRecord,
    StepState,
)
from edge.bindings.workflows.journal.schema import MIGRATIONS
from edge.bindings.workflows.journal.sqlite_journal import Call, run_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BATCHES = 12
CALLS_MAX = 30
TABLES = ("instance", "step", "history", "inbox", "owner")


@pytest.mark.parametrize("seed", range(25))
def test_a_batch_leaves_what_its_calls_leave_one_by_one(seed: int, database: Callable[[], sqlite3.Connection]) -> None:
    chance = Random(seed)
    together, alone = database(), database()
    for _ in range(BATCHES):
        calls = [some_call(chance) for _ in range(chance.randint(1, CALLS_MAX))]
        assert run_jobs(together, calls) == [answer for call in calls for answer in run_jobs(alone, [call])]
        assert contents(together) == contents(alone)
    assert together.execute("SELECT count(*) FROM history WHERE kind IS NOT NULL").fetchone()[0] > 0


def test_control_a_batch_in_another_order_leaves_something_else(database: Callable[[], sqlite3.Connection]) -> None:
    chance = Random(1)
    one, other = database(), database()
    calls = [some_call(chance) for _ in range(BATCHES * CALLS_MAX)]
    run_jobs(one, calls)
    run_jobs(other, calls[::-1])
    assert contents(one) != contents(other)


def test_the_first_of_two_that_create_an_id_made_it(database: Callable[[], sqlite3.Connection]) -> None:
    connection = database()
    made = [Call(instance_statements.create, ("orders", [new(name), new("c")], 1), is_shared=True) for name in "aab"]
    assert run_jobs(connection, made) == [[True, True], [False, False], [True, False]]


def test_an_instance_that_is_finished_twice_ends_once(database: Callable[[], sqlite3.Connection]) -> None:
    connection = database()
    run_jobs(connection, [Call(instance_statements.create, ("orders", [new("a")], 1), is_shared=True), claim(2)])
    ends = [finish(Finish(Status.COMPLETE, output), 3) for output in (b"1", b"2")]
    assert run_jobs(connection, ends) == [True, False]
    assert connection.execute("SELECT output FROM instance").fetchall() == [(b"1",)]


def some_call(chance: Random) -> Call:
    """Of few instances and few steps, so that calls of a batch meet."""
    now_ms = chance.randint(1, 1000)
    lease = Lease(chance.randint(1, 6), chance.choice((1, 1, 1, -1)))  # what it was given, or one that it lost
    match chance.randrange(12):
        case 0:
            news = [new(f"i{chance.randint(1, 8)}") for _ in range(chance.randint(1, 3))]
            return Call(instance_statements.create, ("orders", news, now_ms), is_shared=True)
        case 1:
            return claim(now_ms)
        case 2:
            status = chance.choice((Status.COMPLETE, Status.ERRORED))
            error = ErrorRecord("Error", "") if status is Status.ERRORED else None
            return finish(Finish(status, b"1", error), now_ms, lease)
        case 3:
            event = Event(b'"paid"', now_ms)
            return Call(instance_statements.send_event, ("orders", f"i{chance.randint(1, 8)}", "paid", event))
        case 4:
            wait = StepRecord(StepKey(Kind.WAIT, "paid", 1), 9, StepState.PENDING, due_ms=5, event_type="paid")
            begun = [some_step(chance) for _ in range(chance.randint(0, 1))]
            return Call(partial(owner_statements.take_event, begun=begun), (lease, wait, wait, now_ms))
        case _:
            becomes = chance.choice((None, None, None, Status.WAITING, Status.RUNNING, Status.ROLLING_BACK))
            progress = Progress([some_step(chance) for _ in range(chance.randint(0, 3))], becomes)
            return Call(owner_statements.save, (lease, progress, now_ms), is_shared=True)


def some_step(chance: Random) -> StepRecord:
    state = chance.choice(list(StepState))
    return StepRecord(
        StepKey(chance.choice((Kind.DO, Kind.SLEEP, Kind.ROLLBACK)), chance.choice("xyz"), 1),
        chance.randint(0, 9),
        state,
        chance.randint(1, 3),
        started_ms=chance.choice((None, 4)),
        due_ms=7 if state is StepState.PENDING else None,
        result=chance.choice((None, b"{}")) if state is StepState.DONE else None,
        error=ErrorRecord("TypeError", "no") if state is StepState.FAILED else None,
        config={"timeout": 1} if chance.random() < 0.9 else None,
        is_nested=chance.random() < 0.1,
    )


def new(instance_id: str) -> NewInstance:
    return NewInstance(instance_id, b"{}", 10, 20)


def claim(now_ms: int) -> Call:
    def all_ready(connection: sqlite3.Connection) -> Any:
        return owner_statements.claim(connection, "me", "orders", 100, now_ms, version="v1", only_scheduled=False)

    return Call(all_ready, ())


def finish(how: Finish, now_ms: int, lease: Lease = Lease(1, 1)) -> Call:  # noqa: B008 - a constant
    return Call(owner_statements.finish, (lease, how, now_ms), is_shared=True)


def contents(connection: sqlite3.Connection) -> dict[str, Sequence[Any]]:
    return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


@pytest.fixture
def database() -> Iterator[Callable[[], sqlite3.Connection]]:
    """Make an empty journal."""
    opened: list[sqlite3.Connection] = []

    def make() -> sqlite3.Connection:
        opened.append(sqlite3.connect(":memory:", isolation_level=None))
        for statement in MIGRATIONS:
            opened[-1].execute(statement)
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()
