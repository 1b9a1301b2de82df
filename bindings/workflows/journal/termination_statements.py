"""What was asked to be terminated as a whole: it is kept until it is done, so that no death of a process ends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .instance_statements import act
from .records import Acted, Status, TerminationOrder, Terminator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._shared.sqlite_facts import Connection
    from .records import Change, Instance, StepRecord


def begin_termination(
    connection: Connection, workflow: str, statuses: Sequence[Status], terminator: Terminator
) -> bool:
    """False: one of that workflow is there already."""
    (newest,) = connection.execute("SELECT max(number) FROM instance").fetchone()
    made = connection.execute(
        "INSERT OR IGNORE INTO termination (workflow, statuses, newest, terminator) VALUES (?, ?, ?, ?)",
        (workflow, json.dumps(statuses), newest or 0, terminator),
    )
    return made.rowcount == 1


def terminations(connection: Connection) -> list[TerminationOrder]:
    rows = connection.execute("SELECT number, workflow, statuses, newest, terminator FROM termination ORDER BY number")
    return [
        TerminationOrder(
            number,
            workflow,
            tuple(Status(one) for one in json.loads(statuses)),
            newest,
            None if terminator is None else Terminator(terminator),
        )
        for number, workflow, statuses, newest, terminator in rows.fetchall()
    ]


def terminate_some(
    connection: Connection,
    order: TerminationOrder,
    decide: Callable[[Instance, Sequence[StepRecord]], Change | None],
    count_max: int,
    now_ms: int,
) -> list[Acted]:
    """Nothing is left when it is empty. One that ends with its parent, further up in the list, is told of there."""
    marks = ", ".join("?" * len(order.statuses))
    rows = connection.execute(
        f"SELECT id FROM instance WHERE workflow = ? AND status IN ({marks}) AND number <= ? LIMIT ?",  # noqa: S608 - question marks
        (order.workflow, *order.statuses, order.newest, count_max),
    ).fetchall()
    answers = [act(connection, order.workflow, instance_id, decide, now_ms) for (instance_id,) in rows]
    return [one for one in answers if isinstance(one, Acted)]


def end_termination(connection: Connection, order: TerminationOrder) -> None:
    connection.execute("DELETE FROM termination WHERE number = ?", (order.number,))
