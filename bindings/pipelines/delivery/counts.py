"""What the metrics are made of: each INSERT's totals, the same by the minute for a day, and user errors by the minute.

Rows are added inside the transaction of the commit they belong to, so figures and offsets never disagree.
Source: Cloudflare docs, Pipelines "Metrics and analytics"; spec "Pipelines" 1.5 and 5.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..._shared.sqlite_facts import Connection, Facts

MINUTES_KEPT = 24 * 60
"""User errors are shown for a day, and so is everything else by time."""
_OLDER = 0
"""The minute under which older user errors go on counting, so that their totals never fall."""


@dataclass(frozen=True, slots=True)
class MinuteCount:
    """What one INSERT added to a counter in one minute: the minute of the commit, not of the records."""

    insert_id: str
    at: float
    """When the minute began, Unix seconds."""
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class UserErrors:
    """User errors of one minute, grouped as the hosted metrics are; without a minute, all there ever were."""

    insert_id: str
    at: float
    family: str
    kind: str
    count: int


def add_totals(connection: Connection, insert_id: str, counters: Mapping[str, float]) -> None:
    connection.executemany(
        "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        [(insert_id, name, value) for name, value in counters.items() if value],
    )


def add_minute(connection: Connection, insert_id: str, counters: Mapping[str, float], minute: int) -> None:
    """Add to the totals and to the minute's."""
    add_totals(connection, insert_id, counters)
    connection.executemany(
        "INSERT INTO minutes VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        [(insert_id, minute, name, value) for name, value in counters.items() if value],
    )
    connection.execute("DELETE FROM minutes WHERE insert_id = ? AND minute < ?", (insert_id, minute - MINUTES_KEPT))


def add_user_errors(connection: Connection, insert_id: str, errors: Mapping[tuple[str, str], int], minute: int) -> None:
    """Add user errors by (family, kind)."""
    add = "ON CONFLICT DO UPDATE SET count = count + excluded.count"
    connection.executemany(
        f"INSERT INTO errors VALUES (?, ?, ?, ?, ?) {add}",  # noqa: S608 - a constant
        [(insert_id, minute, family, kind, count) for (family, kind), count in errors.items()],
    )
    old = "insert_id = ? AND minute > ? AND minute < ?"
    parameters = (insert_id, _OLDER, minute - MINUTES_KEPT)
    connection.execute(
        f"INSERT INTO errors SELECT insert_id, {_OLDER}, family, kind, SUM(count) FROM errors "  # noqa: S608 - constants
        f"WHERE {old} GROUP BY family, kind {add}",
        parameters,
    )
    connection.execute(f"DELETE FROM errors WHERE {old}", parameters)  # noqa: S608 - a constant


def minute_counts(facts: Facts, since: float) -> list[MinuteCount]:
    """Every counter of every INSERT, by the minute, the oldest first; a day at most."""
    rows = facts.read(
        "SELECT insert_id, minute * 60.0, name, value FROM minutes WHERE minute >= ? ORDER BY minute",
        (int(since // 60),),
    )
    return [MinuteCount(*row) for row in rows]


def user_errors(facts: Facts, since: float) -> list[UserErrors]:
    """By the minute, the oldest first; a day at most."""
    rows = facts.read(
        "SELECT insert_id, minute * 60.0, family, kind, count FROM errors WHERE minute >= ? ORDER BY minute",
        (max(_OLDER + 1, int(since // 60)),),
    )
    return [UserErrors(*row) for row in rows]


def user_error_totals(facts: Facts) -> list[UserErrors]:
    """All there ever were; `at` is 0."""
    rows = facts.read(
        "SELECT insert_id, 0.0, family, kind, SUM(count) FROM errors GROUP BY insert_id, family, kind "
        "ORDER BY insert_id, family, kind"
    )
    return [UserErrors(*row) for row in rows]
