"""Events on their way to a wait, and what parents are told of children; functions as in `instance_statements.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import values
from ..errors import ErrorRecord
from .records import Acted, Event, Finish, Status, ended_event_type

if TYPE_CHECKING:
    from ..._shared.sqlite_facts import Connection


def put_event(connection: Connection, number: int, event_type: str, event: Event) -> None:
    """Keep an event for an unfinished instance; one that waits for it is ready."""
    connection.execute(
        "INSERT INTO inbox (instance, type, sent_ms, payload) VALUES (?, ?, ?, ?)",
        (number, event_type, event.sent_ms, event.payload),
    )
    if has_event(connection, number):
        connection.execute(
            "UPDATE instance SET ready_ms = ? WHERE number = ? AND status = 'waiting' AND owner IS NULL",
            (event.sent_ms, number),
        )


def has_event(connection: Connection, number: int) -> bool:
    """Whether an event lies ready for a wait."""
    return (
        connection.execute(
            "SELECT 1 FROM step JOIN inbox ON inbox.instance = step.instance AND inbox.type = step.event_type"
            " WHERE step.instance = ? AND step.kind = 'wait' AND step.state = 'pending' LIMIT 1",
            (number,),
        ).fetchone()
        is not None
    )


def tell_parent(connection: Connection, child: int, finish: Finish, now_ms: int) -> None:
    """Send the parent, when there is one that has not ended, the end of its child."""
    row = connection.execute(
        "SELECT parent.number FROM instance AS child JOIN instance AS parent ON parent.number = child.parent"
        " WHERE child.number = ? AND parent.status NOT IN ('complete', 'errored', 'terminated')",
        (child,),
    ).fetchone()
    if row is not None:
        output = values.decode(finish.output) if finish.output else None
        told = {"status": str(finish.status), "output": output, "error": finish.error and list(finish.error)}
        payload = values.encode(told, bytes_max=2 * values.VALUE_BYTES_MAX)
        put_event(connection, row[0], ended_event_type(child), Event(payload, now_ms))


def tell_again(connection: Connection, parent: int, now_ms: int) -> None:
    """Send a parent that begins again the ends of its children: the step that waited may have taken the first word."""
    rows = connection.execute(
        "SELECT number, status, output, error_name, error_message FROM instance"
        " WHERE parent = ? AND status IN ('complete', 'errored', 'terminated')",
        (parent,),
    ).fetchall()
    for number, status, output, name, message in rows:
        error = None if name is None else ErrorRecord(name, message)
        tell_parent(connection, number, Finish(Status(status), output, error), now_ms)


def cascading_children(connection: Connection, parent: int) -> list[tuple[int, Status]]:
    """Unfinished children that are terminated with their parent."""
    rows = connection.execute(
        "SELECT number, status FROM instance WHERE parent = ? AND is_cascading"
        " AND status NOT IN ('complete', 'errored', 'terminated')",
        (parent,),
    )
    return [(number, Status(status)) for number, status in rows.fetchall()]


def held_parent(connection: Connection, child: int) -> tuple[Acted, ...]:
    """The parent of an instance, when somebody holds it."""
    row = connection.execute(
        "SELECT parent.owner, parent.number FROM instance AS child JOIN instance AS parent"
        " ON parent.number = child.parent WHERE child.number = ? AND parent.owner IS NOT NULL",
        (child,),
    ).fetchone()
    return () if row is None else (Acted(*row),)


def held_descendants(connection: Connection, parent: int) -> tuple[Acted, ...]:
    """Those of its unfinished children that are terminated with it, and of theirs, that somebody holds."""
    rows = connection.execute(
        "WITH RECURSIVE family (number, owner) AS (VALUES (?, NULL) UNION"
        " SELECT child.number, child.owner FROM family JOIN instance AS child ON child.parent = family.number"
        " WHERE child.is_cascading AND child.status NOT IN ('complete', 'errored', 'terminated'))"
        " SELECT number, owner FROM family WHERE owner IS NOT NULL",
        (parent,),
    )
    return tuple(Acted(owner, number) for number, owner in rows.fetchall())
