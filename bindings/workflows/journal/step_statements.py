"""Steps as rows: read, and written with what their histories tell of them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from .history import step_entries
from .history_statements import append_all
from .records import StepState
from .rows import STEP, plain, read_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..._shared.sqlite_facts import Connection
    from .history import Entry
    from .records import StepKey, StepRecord
    from .rows import Parameters


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


def put_steps(connection: Connection, steps: Sequence[tuple[int, StepRecord, int]]) -> None:
    """Keep steps with their histories; each: its instance's number, the step, the time."""
    newest: dict[tuple[int, StepKey], StepRecord] = {}
    before: list[StepRecord | None] = []
    for number, step, _ in steps:
        before.append(newest.get((number, step.key)))
        newest[number, step.key] = step
    recorded = _insert_or_replace(connection, newest)
    entries: list[tuple[int, Entry]] = []
    for (number, step, now_ms), earlier in zip(steps, before, strict=True):
        known = earlier or recorded.get((number, step.key))
        entries += [(number, entry) for entry in step_entries(known, step, now_ms)]
    append_all(connection, entries)


def _insert_or_replace(
    connection: Connection, steps: Mapping[tuple[int, StepKey], StepRecord]
) -> dict[tuple[int, StepKey], StepRecord]:
    """Put steps of instances; those that were recorded before, as they were."""
    (last,) = connection.execute("SELECT ifnull(max(rowid), 0) FROM step").fetchone()
    put_count = 0
    for statement, some in groupby(steps.items(), key=lambda one: _PUT_DONE if _is_plainly_done(one[1]) else _PUT_STEP):
        rows = [_step_row(number, step) for (number, _), step in some]
        put_count += connection.executemany(f"INSERT OR IGNORE {statement}", rows).rowcount
    if put_count == len(steps):
        return {}
    recorded = {}
    for (number, key), step in steps.items():
        row = connection.execute(
            f"SELECT {STEP} FROM step WHERE instance = ? AND kind = ? AND name = ? AND count = ? AND rowid <= ?",  # noqa: S608 - column names
            (number, *key, last),
        ).fetchone()
        if row is not None:
            recorded[number, key] = read_step(row)
            connection.execute(f"REPLACE {_PUT_STEP}", _step_row(number, step, is_whole=True))
    return recorded


_PUT_STEP = f"INTO step (instance, {STEP}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_DONE = (
    "INTO step (instance, kind, name, count, place, state, attempt, is_nested, result)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _is_plainly_done(step: StepRecord) -> bool:
    """As nearly all are. What they do not have is not named: sqlite3 takes a microsecond for each None."""
    return step.state is StepState.DONE and step.due_ms is None and step.event_type is None and step.error is None


def _step_row(number: int, step: StepRecord, *, is_whole: bool = False) -> Parameters:
    kind, name, count = step.key
    head = (number, plain(kind), name, count, step.order, plain(step.state), step.attempt, int(step.is_nested))
    if _is_plainly_done(step) and not is_whole:
        return *head, step.result
    return *head, step.due_ms, step.event_type, *(step.error or (None, None)), step.result
