"""What the owner of an instance does to it, and who the owners are; functions as those of `instance_statements.py`.

A write that comes with a lease changes nothing when the lease is lost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from ..engine.decisions import event_result
from .history import instance_entry
from .history_statements import append, append_all
from .inbox import has_event
from .instance_statements import end
from .records import (
    Claimed,
    Claims,
    Finish,
    Kind,
    Lease,
    Pause,
    Progress,
    Status,
    StepRecord,
    StepState,
    TakenOver,
)
from .rows import INSTANCE, read_instance
from .step_statements import put_steps, steps_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._shared.sqlite_facts import Connection
    from ..errors import ErrorRecord
    from .history import Entry


def claim(
    connection: Connection,
    owner: str,
    workflow: str,
    count_max: int,
    now_ms: int,
    *,
    version: str,
    only_scheduled: bool,
) -> Claims:
    claimed: list[Claimed] = []
    chosen = " AND cron IS NOT NULL" if only_scheduled else ""
    for is_queued in (0, 1):  # woken instances go before new ones
        rows = connection.execute(
            "SELECT number, fence, EXISTS (SELECT 1 FROM step WHERE instance = number),"  # noqa: S608 - column names and a condition of ours
            f" {INSTANCE} FROM instance WHERE workflow = ? AND (status = 'queued') = ?"
            f" AND owner IS NULL AND ready_ms IS NOT NULL AND ready_ms <= ?{chosen} ORDER BY ready_ms LIMIT ?",
            (workflow, is_queued, now_ms, count_max - len(claimed)),
        ).fetchall()
        for number, fence, has_steps, *rest in rows:
            steps = steps_with(connection, number) if has_steps else []
            instance = read_instance(rest)
            if not instance.version:
                instance = instance._replace(version=version)
            claimed.append(Claimed(Lease(number, fence + 1), instance, steps))
    connection.executemany(
        "UPDATE instance SET owner = ?, fence = ?, ready_ms = NULL, started_ms = coalesce(started_ms, ?),"
        " modified_ms = ?, version = ?, status = CASE status WHEN 'rollingBack' THEN status ELSE 'running' END"
        " WHERE number = ?",
        [(owner, one.lease.fence, now_ms, now_ms, one.instance.version, one.lease.number) for one in claimed],
    )
    begun = (
        (one.lease.number, instance_entry(one.instance.status, Status.RUNNING, now_ms))
        for one in claimed
        if one.instance.status is not Status.ROLLING_BACK
    )
    append_all(connection, [(number, entry) for number, entry in begun if entry is not None])
    if claimed:  # one that was stalled and taken over is listed again: what it holds must be found when it dies
        connection.execute("INSERT OR IGNORE INTO owner (name, alive_until_ms) VALUES (?, ?)", (owner, now_ms))
    next_ready = [
        connection.execute(
            "SELECT ready_ms FROM instance WHERE workflow = ? AND (status = 'queued') = ? AND owner IS NULL"
            " AND ready_ms IS NOT NULL ORDER BY ready_ms LIMIT 1",
            (workflow, is_queued),
        ).fetchone()
        for is_queued in (0, 1)
    ]
    return Claims(claimed, min((row[0] for row in next_ready if row is not None), default=None))


def park(connection: Connection, workflow: str, reason: ErrorRecord, count_max: int, now_ms: int) -> list[str]:
    rows = connection.execute(
        "SELECT number, id FROM instance WHERE workflow = ? AND owner IS NULL AND ready_ms <= ?"
        " AND status <> 'rollingBack' ORDER BY ready_ms LIMIT ?",
        (workflow, now_ms, count_max),
    ).fetchall()
    connection.executemany(
        "UPDATE instance SET status = 'paused', ready_ms = NULL, paused_ms = ?, modified_ms = ?, error_name = ?,"
        " error_message = ? WHERE number = ?",
        [(now_ms, now_ms, *reason, number) for number, _ in rows],
    )
    for number, _ in rows:
        append(connection, number, [instance_entry(None, Status.PAUSED, now_ms)])
    return [instance_id for _, instance_id in rows]


def owned_count(connection: Connection, workflow: str, scheduled_until_ms: int) -> int:
    query = (
        "SELECT count(*) FROM instance WHERE owner IS NOT NULL AND workflow = ? AND (cron IS NULL OR started_ms <= ?)"
    )
    return cast("int", connection.execute(query, (workflow, scheduled_until_ms)).fetchone()[0])


def status_of(connection: Connection, lease: Lease) -> Status | None:
    """The instance's status, None when the lease is lost."""
    query = "SELECT status FROM instance WHERE number = ? AND fence = ?"
    row = connection.execute(query, lease).fetchone()
    return None if row is None else Status(row[0])


def save(connection: Connection, asked: Sequence[tuple[Lease, Progress, int]]) -> list[Status | None]:
    """Each: a lease, what to keep, the time. The status of its instance, None when the lease is lost."""
    held = _held(connection, [lease.number for lease, _, _ in asked])
    answers: list[Status | None] = []
    steps: list[tuple[int, StepRecord, int]] = []
    for lease, progress, now_ms in asked:
        fence, status, crash_count = held.get(lease.number, (None, Status.ERRORED, 0))
        if fence != lease.fence:
            answers.append(None)
            continue
        is_open = status in {Status.RUNNING, Status.WAITING}
        # A run that failed has nothing left to pause.
        if progress.status is not None and (is_open or progress.status is Status.ROLLING_BACK):
            put_steps(connection, steps)  # in its turn: it may be of the same instance
            steps = []
            _change_status(connection, lease.number, status, progress, now_ms)
            status = progress.status
        is_further = crash_count > 0 and any(step.state is StepState.DONE for step in progress.steps)
        if is_further:  # it is not what kills processes
            connection.execute("UPDATE instance SET crash_count = 0 WHERE number = ?", (lease.number,))
        held[lease.number] = fence, status, 0 if is_further else crash_count
        steps += [(lease.number, step, now_ms) for step in progress.steps]
        answers.append(status)
    put_steps(connection, steps)
    return answers


def _held(connection: Connection, numbers: Sequence[int]) -> dict[int, tuple[int, Status, int]]:
    """Number -> fence, status, crash count."""
    rows = connection.execute(
        "SELECT number, fence, status, crash_count FROM instance WHERE number IN (SELECT value FROM json_each(?))",
        (json.dumps(numbers),),
    )
    return {number: (fence, _STATUSES[status], crash_count) for number, fence, status, crash_count in rows.fetchall()}


_STATUSES = {str(status): status for status in Status}


def _change_status(connection: Connection, number: int, before: Status, progress: Progress, now_ms: int) -> None:
    assert progress.status is not None, "there is a change"
    connection.execute(
        "UPDATE instance SET status = ?, ready_ms = ?, modified_ms = ?, undoing_name = ?, undoing_message = ?"
        " WHERE number = ?",
        (progress.status, progress.ready_ms, now_ms, *(progress.error or (None, None)), number),
    )
    # It ran again before its attempts did.
    begun_ms = [step.started_ms for step in progress.steps if step.started_ms and step.key.kind in _ATTEMPTED]
    append(connection, number, [instance_entry(before, progress.status, min(begun_ms, default=now_ms))])


_ATTEMPTED = frozenset({Kind.DO, Kind.ROLLBACK})


def take_event(
    connection: Connection,
    lease: Lease,
    step: StepRecord,
    otherwise: StepRecord,
    now_ms: int,
    *,
    begun: Sequence[StepRecord],
) -> StepRecord | None:
    status = status_of(connection, lease)
    if status is None:
        return None
    row = _first_event(connection, lease.number, step.event_type)
    taken = otherwise
    if row is not None:
        number, payload, sent_ms = row
        connection.execute("DELETE FROM inbox WHERE number = ?", (number,))
        result = event_result(step.event_type or "", payload, sent_ms)
        taken = step._replace(state=StepState.DONE, due_ms=None, result=result)
    if status is Status.WAITING and (begun or taken.state is not StepState.PENDING):
        connection.execute(
            "UPDATE instance SET status = 'running', ready_ms = NULL, modified_ms = ? WHERE number = ?",
            (now_ms, lease.number),
        )
        began_ms = min((one.started_ms for one in begun if one.started_ms), default=now_ms)
        append(connection, lease.number, [instance_entry(status, Status.RUNNING, began_ms)])
    put_steps(connection, [(lease.number, one, now_ms) for one in (*begun, taken)])
    return taken


def _first_event(connection: Connection, number: int, event_type: str | None) -> Sequence[Any] | None:
    query = "SELECT number, payload, sent_ms FROM inbox WHERE instance = ? AND type = ? ORDER BY number LIMIT 1"
    return cast("Sequence[Any] | None", connection.execute(query, (number, event_type)).fetchone())


def release(connection: Connection, lease: Lease, pause: Pause, now_ms: int) -> bool:
    found = status_of(connection, lease)
    if found is None:
        return False
    status, ready_ms, event_types = pause
    if found is Status.WAITING_FOR_PAUSE:  # asked for since the owner looked
        status, ready_ms = Status.PAUSED, None
    elif status is Status.PAUSED:  # resumed since
        status, ready_ms = Status.RUNNING, now_ms
    elif any(_first_event(connection, lease.number, event_type) for event_type in event_types):
        ready_ms = now_ms
    if found is Status.ROLLING_BACK:
        status = found
    connection.execute(
        "UPDATE instance SET status = ?, ready_ms = ?, paused_ms = ?, owner = NULL, fence = fence + 1, crash_count = 0,"
        " modified_ms = ? WHERE number = ?",
        (status, ready_ms, now_ms if status is Status.PAUSED else None, now_ms, lease.number),
    )
    append(connection, lease.number, [instance_entry(found, status, now_ms)])
    return True


def finish(connection: Connection, asked: Sequence[tuple[Lease, Finish, int]]) -> list[bool]:
    """Each: a lease, how its instance ends, the time. False: the lease is lost."""
    held = _held(connection, [lease.number for lease, _, _ in asked])
    answers: list[bool] = []
    ends: list[tuple[int, Finish, int]] = []
    entries: list[tuple[int, Entry]] = []
    for lease, finish, now_ms in asked:
        fence, status, _ = held.get(lease.number, (None, Status.ERRORED, 0))
        answers.append(fence == lease.fence)
        if fence == lease.fence:
            del held[lease.number]  # it ends once
            is_undone = finish.is_undone and not (
                status is Status.ROLLING_BACK and _has_open_rollback(connection, lease.number)
            )
            entry = instance_entry(status, finish.status, now_ms, error=finish.error, is_undone=is_undone)
            entries += [] if entry is None else [(lease.number, entry)]
            ends.append((lease.number, finish, now_ms))
    append_all(connection, entries)
    end(connection, ends)
    return answers


def _has_open_rollback(connection: Connection, number: int) -> bool:
    """Whether one failed, or was begun and is not called any more."""
    query = "SELECT 1 FROM step WHERE instance = ? AND kind = 'rollback' AND state <> 'done' LIMIT 1"
    return connection.execute(query, (number,)).fetchone() is not None


def renew(connection: Connection, owner: str, until_ms: int) -> None:
    connection.execute("REPLACE INTO owner (name, alive_until_ms) VALUES (?, ?)", (owner, until_ms))


def renew_listed(connection: Connection, owner: str, until_ms: int) -> None:
    connection.execute("UPDATE owner SET alive_until_ms = ? WHERE name = ?", (until_ms, owner))


def owners(connection: Connection) -> list[tuple[str, int]]:
    return connection.execute("SELECT name, alive_until_ms FROM owner").fetchall()


def take_over(connection: Connection, owner: str, crash_count_max: int, now_ms: int) -> list[TakenOver]:
    rows = connection.execute(
        "SELECT number, workflow, id, status, ready_ms, crash_count FROM instance WHERE owner = ?", (owner,)
    ).fetchall()
    taken = []
    for number, workflow, instance_id, found, ready_ms, crash_count in rows:
        status = Status(found)
        is_idle = status is Status.WAITING
        crashes = crash_count if is_idle else crash_count + 1
        is_parked = crashes >= crash_count_max
        if is_parked or status is Status.WAITING_FOR_PAUSE:
            changes: tuple[Status, int | None, int | None] = (Status.PAUSED, None, now_ms)
        else:
            changes = (status, ready_ms if is_idle and not has_event(connection, number) else now_ms, None)
        connection.execute(
            "UPDATE instance SET owner = NULL, fence = fence + 1, crash_count = ?, status = ?, ready_ms = ?,"
            " paused_ms = ?, modified_ms = ? WHERE number = ?",
            (crashes, *changes, now_ms, number),
        )
        append(connection, number, [instance_entry(status, changes[0], now_ms)])
        taken.append(TakenOver(workflow, instance_id, crashes, is_parked))
    connection.execute("DELETE FROM owner WHERE name = ?", (owner,))
    return taken
