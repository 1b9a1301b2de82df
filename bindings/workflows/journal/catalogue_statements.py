"""Lists and counts of instances, workflows with their versions, and schedules: each call as statements of SQLite."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from .instance_statements import create, forget, remove
from .records import Acted, InstancePage, Status, Version, WorkflowRow
from .rows import INSTANCE_FACTS, read_instance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._shared.sqlite_facts import Connection
    from .records import Fire, InstanceFilter, NewInstance

FIRES_KEPT = 1_000
"""Times per schedule that are remembered as taken, newest first taken: 16 hours of every minute."""

_WORKFLOW = (
    "name, class_name, script_name, version, steps_max, concurrency_max, success_retention_ms, error_retention_ms,"
    " schedules, manifest, created_ms, modified_ms"
)
_VERSION = "id, workflow, class_name, language, code_hash, manifest, graph, created_ms"


def list_instances(
    connection: Connection, workflow: str, wanted: InstanceFilter, after: tuple[int, int] | None, part: tuple[int, int]
) -> InstancePage:
    """`part`: how many to leave out, and how many to answer at most."""
    offset, count_max = part
    where, values = _where(workflow, wanted)
    (total_count,) = connection.execute(f"SELECT count(*) FROM instance WHERE {where}", values).fetchone()  # noqa: S608 - conditions of ours
    comparison, direction = (">", "ASC") if wanted.is_ascending else ("<", "DESC")
    if after is not None:
        where += f" AND (created_ms, number) {comparison} (?, ?)"
        values += after
    rows = connection.execute(
        f"SELECT number, {INSTANCE_FACTS} FROM instance WHERE {where}"  # noqa: S608 - column names and conditions of ours
        f" ORDER BY created_ms {direction}, number {direction} LIMIT ? OFFSET ?",
        (*values, count_max + 1, offset),
    ).fetchall()
    numbers = [row[0] for row in rows[:count_max]]
    items = [read_instance(row[1:]) for row in rows[:count_max]]
    has_more = len(rows) > count_max and bool(items)
    return InstancePage(items, total_count, (items[-1].created_ms, numbers[-1]) if has_more else None)


def _where(workflow: str, wanted: InstanceFilter) -> tuple[str, tuple[Any, ...]]:
    conditions = {
        "workflow = ?": workflow,
        "status = ?": wanted.status,
        "created_ms >= ?": wanted.created_from_ms,
        "created_ms <= ?": wanted.created_to_ms,
    }
    given = {condition: value for condition, value in conditions.items() if value is not None}
    return " AND ".join(given), tuple(given.values())


def counts(connection: Connection, workflow: str) -> dict[Status, int]:
    rows = connection.execute("SELECT status, count(*) FROM instance WHERE workflow = ? GROUP BY status", (workflow,))
    return {Status(status): count for status, count in rows.fetchall()}


def purge_ended(
    connection: Connection, workflow: str, before_ms: int, statuses: Sequence[Status], count_max: int
) -> int:
    marks = ", ".join("?" * len(statuses))
    rows = connection.execute(
        f"SELECT number FROM instance WHERE workflow = ? AND status IN ({marks}) AND ended_ms < ? LIMIT ?",  # noqa: S608 - question marks
        (workflow, *statuses, before_ms, count_max),
    )
    numbers = [number for (number,) in rows.fetchall()]
    forget(connection, numbers)
    return len(numbers)


def last_created_ms(connection: Connection, workflow: str) -> int | None:
    query = "SELECT max(created_ms) FROM instance WHERE workflow = ?"
    return cast("int | None", connection.execute(query, (workflow,)).fetchone()[0])


def fire(connection: Connection, workflow: str, fire: Fire, new: NewInstance, now_ms: int) -> bool:
    """Each time is kept and not the latest alone: a clock that was wrong by a year and is put right fires again."""
    is_taken = connection.execute(
        "INSERT OR IGNORE INTO fired (workflow, cron, at_ms) VALUES (?, ?, ?)", (workflow, *fire)
    ).rowcount
    connection.execute(
        "DELETE FROM fired WHERE number IN (SELECT number FROM fired WHERE workflow = ? AND cron = ?"
        " ORDER BY number DESC LIMIT -1 OFFSET ?)",
        (workflow, fire.cron, FIRES_KEPT),
    )
    return is_taken == 1 and create(connection, [(workflow, [new], now_ms)]) == [[True]]


def last_fire_ms(connection: Connection, workflow: str, cron: str) -> int | None:
    query = "SELECT max(at_ms) FROM fired WHERE workflow = ? AND cron = ?"
    return cast("int | None", connection.execute(query, (workflow, cron)).fetchone()[0])


def put_workflow(connection: Connection, row: WorkflowRow) -> None:
    head = (row.name, row.class_name, row.script_name, row.version, row.steps_max, row.concurrency_max)
    retentions = (row.success_retention_ms, row.error_retention_ms)
    connection.execute(
        f"INSERT INTO workflow ({_WORKFLOW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - column names
        " ON CONFLICT (name) DO UPDATE SET class_name = excluded.class_name, script_name = excluded.script_name,"
        " version = excluded.version, steps_max = excluded.steps_max, concurrency_max = excluded.concurrency_max,"
        " success_retention_ms = excluded.success_retention_ms, error_retention_ms = excluded.error_retention_ms,"
        " schedules = excluded.schedules, manifest = excluded.manifest, modified_ms = excluded.modified_ms",
        (*head, *retentions, json.dumps(row.schedules), row.manifest, row.created_ms, row.modified_ms),
    )


def workflows(connection: Connection) -> list[WorkflowRow]:
    found = []
    for row in connection.execute(f"SELECT {_WORKFLOW} FROM workflow ORDER BY name").fetchall():  # noqa: S608 - column names
        values = dict(zip(_WORKFLOW.split(", "), row, strict=True))
        found.append(WorkflowRow(**{**values, "schedules": tuple(json.loads(values["schedules"]))}))
    return found


def forget_some(connection: Connection, workflow: str, count_max: int, now_ms: int) -> list[Acted] | None:
    """Forget that many instances of a workflow: those that concern somebody, as `Acted` tells. None: there was no
    more, and the workflow itself is forgotten."""
    query = "SELECT number, owner, status FROM instance WHERE workflow = ? LIMIT ?"
    rows = connection.execute(query, (workflow, count_max)).fetchall()
    if rows:
        removed = [
            remove(connection, number, owner, now_ms, is_over=Status(status).is_final) for number, owner, status in rows
        ]
        return [acted for acted in removed if acted.owner is not None or acted.also]
    connection.execute("DELETE FROM version WHERE workflow = ?", (workflow,))
    connection.execute("DELETE FROM fired WHERE workflow = ?", (workflow,))
    connection.execute("DELETE FROM termination WHERE workflow = ?", (workflow,))
    connection.execute("DELETE FROM workflow WHERE name = ?", (workflow,))
    return None


def put_version(connection: Connection, version: Version) -> None:
    connection.execute(
        f"INSERT OR IGNORE INTO version ({_VERSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - column names
        tuple(getattr(version, column) for column in _VERSION.split(", ")),
    )


def versions(connection: Connection, workflow: str) -> Sequence[Version]:
    rows = connection.execute(
        f"SELECT {_VERSION} FROM version WHERE workflow = ? ORDER BY number DESC",  # noqa: S608 - column names
        (workflow,),
    )
    return [Version(*row) for row in rows.fetchall()]
