"""The history of an instance as statements of SQLite."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import values
from .history import Entry, HistoryPage, events_of
from .records import Kind, Status, StepKey
from .rows import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..._shared.sqlite_facts import Connection
    from .history import HistoryEvent
    from .rows import Parameters

PAGE_BYTES_MAX = 256 * 1024
"""Of a page of events, as they are kept; one event may be larger. Each subscriber that is slow holds a page."""
_ENTRY = "number, types, at_ms, started_ms, kind, name, count, attempt, told"
_OF_STEP = (
    "INSERT INTO history (instance, number, types, at_ms, started_ms, kind, name, count, attempt, told)"
    " VALUES (?, ? + ifnull((SELECT max(number) FROM history WHERE instance = ?), 0), ?, ?, ?, ?, ?, ?, ?, ?)"
)
_OF_INSTANCE = (
    "INSERT INTO history (instance, number, types, at_ms, told)"
    " VALUES (?, ? + ifnull((SELECT max(number) FROM history WHERE instance = ?), 0), ?, ?, ?)"
)


class News(NamedTuple):
    """What somebody may have written: the journal's version then, and the newest events; none when it is the same."""

    version: int
    newest: Mapping[int, int | None]


def append(connection: Connection, number: int, entries: Iterable[Entry | None]) -> None:
    """Add to the history of the instance with this number."""
    append_all(connection, [(number, entry) for entry in entries if entry is not None])


def append_all(connection: Connection, entries: Iterable[tuple[int, Entry]]) -> None:
    """Add to the histories of instances, by their numbers."""
    for is_of_step, some in groupby(entries, key=lambda numbered: numbered[1].step is not None):
        if is_of_step:
            connection.executemany(_OF_STEP, [_step_row(number, entry) for number, entry in some])
        else:
            connection.executemany(_OF_INSTANCE, [_instance_row(number, entry) for number, entry in some])


def _step_row(number: int, entry: Entry) -> Parameters:
    types, at_ms, started_ms, step, attempt, told = entry
    assert step is not None, "entries of steps only"
    kind, name, count = step
    return number, types.count(" ") + 1, number, types, at_ms, started_ms, plain(kind), name, count, attempt, told


def _instance_row(number: int, entry: Entry) -> Parameters:
    return number, entry.types.count(" ") + 1, number, entry.types, entry.at_ms, entry.told


def history(
    connection: Connection, workflow: str, instance_id: str, after: int, count_max: int, *, with_values: bool
) -> list[HistoryEvent] | None:
    found = connection.execute(
        "SELECT number FROM instance WHERE workflow = ? AND id = ?", (workflow, instance_id)
    ).fetchone()
    if found is None:
        return None
    return [event for event, _ in _history_of(connection, found[0], after, count_max, with_values=with_values)]


def history_named(
    connection: Connection, workflow: str, instance_id: str, name: str, occurrence: int
) -> list[HistoryEvent]:
    rows = connection.execute(
        f"SELECT {_ENTRY} FROM history WHERE instance = (SELECT number FROM instance WHERE workflow = ? AND id = ?)"  # noqa: S608 - column names
        " AND (kind IS NULL OR (kind <> 'rollback' AND name = ? AND count = ?)) ORDER BY number",
        (workflow, instance_id, name, occurrence),
    )
    return [event for row in rows.fetchall() for event in events_of(_read_entry(row), row[0])]


def history_page(connection: Connection, number: int, after: int, count_max: int) -> HistoryPage | None:
    """The status is read first: when it is final, the last event is among those that are read then."""
    row = connection.execute("SELECT status FROM instance WHERE number = ?", (number,)).fetchone()
    if row is None:
        return None
    events: list[HistoryEvent] = []
    page_bytes = 0
    for event, size_bytes in _history_of(connection, number, after, count_max):
        events.append(event)
        page_bytes += size_bytes
        if page_bytes >= PAGE_BYTES_MAX:
            break
    is_full = len(events) == count_max or page_bytes >= PAGE_BYTES_MAX
    return HistoryPage(events, is_full, Status(row[0]).is_final)


def _history_of(
    connection: Connection, number: int, after: int, count_max: int, *, with_values: bool = True
) -> Iterator[tuple[HistoryEvent, int]]:
    """Each event with how many bytes it takes."""
    rows = connection.execute(
        f"SELECT {_ENTRY} FROM history WHERE instance = ? AND number > ? ORDER BY number LIMIT ?",  # noqa: S608 - column names
        (number, after, count_max),
    )
    for row in rows.fetchall():
        entry = _read_entry(row)
        for event in events_of(entry, row[0]):
            if event.number > after and count_max > 0:
                count_max -= 1
                added_bytes = _add_content(connection, number, event) if with_values else 0
                yield event, len(entry.told or "") + added_bytes


def _read_entry(row: Sequence[Any]) -> Entry:
    """Of the columns _ENTRY."""
    _, types, at_ms, started_ms, kind, name, count, attempt, told = row
    step = None if kind is None else StepKey(Kind(kind), name, count)
    return Entry(types, at_ms, started_ms, step, attempt, told)


def _add_content(connection: Connection, number: int, event: HistoryEvent) -> int:
    """Params and results are in their own rows alone. How many bytes were added."""
    if event.type == "workflow_started":
        return _add(connection, event, "params", "SELECT params FROM instance WHERE number = ?", (number,))
    if event.type == "workflow_completed":
        return _add(connection, event, "output", "SELECT output FROM instance WHERE number = ?", (number,))
    if event.type == "step_completed" and "output" not in event.data and event.step is not None:
        query = "SELECT result FROM step WHERE instance = ? AND kind = ? AND name = ? AND count = ?"
        return _add(connection, event, "output", query, (number, *event.step))
    return 0


def _add(connection: Connection, event: HistoryEvent, name: str, query: str, found_by: tuple[Any, ...]) -> int:
    row = connection.execute(query, found_by).fetchone()
    if row is None or row[0] is None or values.stream_of(row[0]) is not None:
        return 0
    event.data[name] = values.decode(row[0])
    return len(row[0])


def forget_before_restart(connection: Connection, number: int) -> None:
    """Forget all but the newest row and what is told of steps that are still there: a restart undid the rest."""
    connection.execute(
        "DELETE FROM history WHERE instance = ? AND number < (SELECT max(number) FROM history WHERE instance = ?)"
        " AND NOT EXISTS (SELECT 1 FROM step WHERE step.instance = history.instance AND step.kind = history.kind"
        " AND step.name = history.name AND step.count = history.count)",
        (number, number),
    )


def news(connection: Connection, numbers: Sequence[int], version: int | None) -> News:
    """The number of the newest event of each instance (None: it is gone), unless nobody wrote since `version`."""
    (found,) = connection.execute("PRAGMA data_version").fetchone()
    if found == version:
        return News(found, {})
    query = "SELECT max(number) FROM history WHERE instance = ?"
    return News(found, {number: connection.execute(query, (number,)).fetchone()[0] for number in numbers})
