"""What anybody may do to an instance: each call of the journal as a function of a connection inside a transaction.

Each checks before it changes anything, so one that is refused does not undo its neighbours in the same commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from .history import instance_entry
from .history_statements import append, forget_before_restart
from .inbox import cascading_children, held_descendants, held_parent, put_event, tell_again, tell_parent
from .records import (
    Acted,
    Change,
    Event,
    Finish,
    Instance,
    NewInstance,
    Status,
    StepRecord,
    Terminator,
)
from .rows import INSTANCE, STEP, read_instance, read_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._shared.sqlite_facts import Connection


def create(connection: Connection, workflow: str, instances: Sequence[NewInstance], now_ms: int) -> list[bool]:
    return [_create(connection, workflow, one, now_ms) for one in instances]


def _create(connection: Connection, workflow: str, new: NewInstance, now_ms: int) -> bool:
    made = connection.execute(
        "INSERT OR IGNORE INTO instance (workflow, id, status, created_ms, modified_ms, ready_ms, success_retention_ms,"
        " error_retention_ms, parent, is_cascading, version, created_by, cron, fired_ms, params)"
        " VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            workflow,
            new.id,
            *(now_ms, now_ms, now_ms),
            *(new.success_retention_ms, new.error_retention_ms),
            *(new.parent, new.is_cascading, new.version, new.trigger),
            *(new.fire or (None, None)),
            new.params,
        ),
    )
    if made.rowcount != 1:
        return False
    append(connection, cast("int", made.lastrowid), [instance_entry(None, Status.QUEUED, now_ms)])
    return True


def find(connection: Connection, workflow: str, instance_id: str) -> tuple[int, Instance, str | None] | None:
    row = connection.execute(
        f"SELECT number, owner, {INSTANCE} FROM instance WHERE workflow = ? AND id = ?",  # noqa: S608 - column names
        (workflow, instance_id),
    ).fetchone()
    return None if row is None else (row[0], read_instance(row[2:]), row[1])


def steps_of(connection: Connection, workflow: str, instance_id: str) -> list[StepRecord]:
    found = find(connection, workflow, instance_id)
    return [] if found is None else steps_with(connection, found[0])


def steps_with(connection: Connection, number: int) -> list[StepRecord]:
    rows = connection.execute(
        f"SELECT {STEP} FROM step WHERE instance = ? ORDER BY place",  # noqa: S608 - column names
        (number,),
    )
    return [read_step(row) for row in rows.fetchall()]


def steps_named(
    connection: Connection, workflow: str, instance_id: str, name: str, occurrence: int
) -> list[StepRecord]:
    rows = connection.execute(
        f"SELECT {STEP} FROM step WHERE instance = (SELECT number FROM instance WHERE workflow = ? AND id = ?)"  # noqa: S608 - column names
        " AND kind IN ('do', 'sleep', 'wait') AND name = ? AND count = ? ORDER BY place",
        (workflow, instance_id, name, occurrence),
    )
    return [read_step(row) for row in rows.fetchall()]


def act(
    connection: Connection,
    workflow: str,
    instance_id: str,
    decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
    now_ms: int,
) -> Acted | Exception | None:
    found = find(connection, workflow, instance_id)
    if found is None:
        return None
    number, instance, owner = found
    try:
        change = decide(instance, steps_with(connection, number))
    except Exception as error:  # noqa: BLE001 - a refusal is its caller's, not its neighbours' in this batch
        return error
    also: tuple[Acted, ...] = ()
    if change is not None:
        if change.status is Status.TERMINATED:
            also = (*held_descendants(connection, number), *held_parent(connection, number))
        _apply(connection, number, instance.status, change, now_ms)
    return Acted(owner, number, also)


def _apply(connection: Connection, number: int, before: Status, change: Change, now_ms: int) -> None:
    status = change.status
    connection.execute("UPDATE instance SET status = ?, modified_ms = ? WHERE number = ?", (status, now_ms, number))
    is_again = change.restart_from is not None
    # One that ends while it rolls back was cut short by this.
    before_it = None if is_again else before
    entry = instance_entry(before_it, status, now_ms, is_undone=False, terminator=change.terminator)
    append(connection, number, [entry])
    if change.keeps_owner:
        return
    is_ready = status in {Status.QUEUED, Status.RUNNING, Status.ROLLING_BACK}
    connection.execute(
        "UPDATE instance SET owner = NULL, fence = fence + 1, crash_count = 0, ready_ms = ?, paused_ms = ?,"
        " is_terminating = ?, error_name = NULL, error_message = NULL WHERE number = ?",
        (now_ms if is_ready else None, now_ms if status is Status.PAUSED else None, change.is_terminating, number),
    )
    if change.resumed_after_ms:
        connection.execute(
            "UPDATE step SET due_ms = due_ms + ? WHERE instance = ? AND state = 'pending'",
            (change.resumed_after_ms, number),
        )
    if change.restart_from is not None:
        connection.execute(
            "UPDATE instance SET generation = generation + 1, output = NULL, error_name = NULL, error_message = NULL,"
            " started_ms = NULL, ended_ms = NULL, expires_ms = NULL, undoing_name = NULL, undoing_message = NULL"
            " WHERE number = ?",
            (number,),
        )
        connection.execute("DELETE FROM step WHERE instance = ? AND place >= ?", (number, change.restart_from))
        connection.execute(
            "DELETE FROM chunk WHERE instance = ? AND (kind, name, count) NOT IN"
            " (SELECT kind, name, count FROM step WHERE step.instance = chunk.instance)",
            (number,),
        )
        if change.forgets_events:
            connection.execute("DELETE FROM inbox WHERE instance = ?", (number,))
        tell_again(connection, number, now_ms)
        forget_before_restart(connection, number)
    if status.is_final:
        end(connection, number, Finish(status), now_ms)


def end(connection: Connection, number: int, finish: Finish, now_ms: int) -> None:
    retention = "success_retention_ms" if finish.status is Status.COMPLETE else "error_retention_ms"
    connection.execute(
        f"UPDATE instance SET status = ?, output = ?, error_name = ?, error_message = ?, ended_ms = ?,"  # noqa: S608 - a column name
        f" modified_ms = ?, expires_ms = ? + {retention}, ready_ms = NULL, paused_ms = NULL, owner = NULL,"
        " fence = fence + 1 WHERE number = ?",
        (finish.status, finish.output, *(finish.error or (None, None)), now_ms, now_ms, now_ms, number),
    )
    connection.execute("DELETE FROM inbox WHERE instance = ?", (number,))
    tell_parent(connection, number, finish, now_ms)
    if finish.status is Status.TERMINATED:
        _terminate_children(connection, number, now_ms)


def _terminate_children(connection: Connection, parent: int, now_ms: int) -> None:
    for child, status in cascading_children(connection, parent):
        _apply(connection, child, status, Change(Status.TERMINATED, terminator=Terminator.PARENT), now_ms)


def delete(connection: Connection, workflow: str, instance_id: str, now_ms: int) -> Acted | None:
    found = find(connection, workflow, instance_id)
    return None if found is None else remove(connection, found[0], found[2], now_ms, is_over=found[1].status.is_final)


def remove(connection: Connection, number: int, owner: str | None, now_ms: int, *, is_over: bool) -> Acted:
    """Forget an instance with whoever counts on it told: its parent, when it has not ended, and its children."""
    if not is_over:
        tell_parent(connection, number, Finish(Status.TERMINATED), now_ms)
    also = (*held_descendants(connection, number), *held_parent(connection, number))
    _terminate_children(connection, number, now_ms)
    forget(connection, [number])
    return Acted(owner, number, also)


def forget(connection: Connection, numbers: Sequence[int]) -> None:
    for number in numbers:
        connection.execute("DELETE FROM step WHERE instance = ?", (number,))
        connection.execute("DELETE FROM chunk WHERE instance = ?", (number,))
        connection.execute("DELETE FROM inbox WHERE instance = ?", (number,))
        connection.execute("DELETE FROM history WHERE instance = ?", (number,))
        connection.execute("DELETE FROM instance WHERE number = ?", (number,))


def send_event(connection: Connection, workflow: str, instance_id: str, event_type: str, event: Event) -> Acted | None:
    found = find(connection, workflow, instance_id)
    if found is None:
        return None
    number, instance, owner = found
    if not instance.status.is_final:
        put_event(connection, number, event_type, event)
    return Acted(owner, number)


def purge(connection: Connection, now_ms: int, count_max: int) -> int:
    rows = connection.execute("SELECT number FROM instance WHERE expires_ms <= ? LIMIT ?", (now_ms, count_max))
    numbers = [number for (number,) in rows.fetchall()]
    forget(connection, numbers)
    return len(numbers)
