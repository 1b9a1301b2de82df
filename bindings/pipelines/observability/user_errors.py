"""Dead letters as user errors: the single ones of the last day without their records, and how many there are of each.

Source: Cloudflare docs, Pipelines "Metrics and analytics" (pipelinesUserErrorsAdaptive).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..._shared.sqlite_facts import Facts

SHOWN_S = 24 * 3600.0
"""As hosted."""


@dataclass(frozen=True, slots=True)
class UserError:
    stream_id: str
    insert_id: str
    """Empty for `deserialization`: it failed for every INSERT that reads the stream."""
    at: float
    family: str
    kind: str
    message: str
    """With the path in the record, without its values."""


@dataclass(frozen=True, slots=True)
class DeadCount:
    """How many dead letters of one kind a stream keeps."""

    family: str
    kind: str
    count: int


def recent_user_errors(facts: Facts, since: float, limit: int) -> list[UserError]:
    """The newest first, at most `limit` and a day old at most. They go with their dead letters (replay, caps)."""
    rows = facts.read(
        "SELECT stream_id, insert_id, died_at, family, kind, path, message FROM dead WHERE died_at >= ? "
        "ORDER BY id DESC LIMIT ?",
        (since, limit),
    )
    return [
        UserError(stream_id, insert_id, at, family, kind, f"{path}: {message}" if path else message)
        for stream_id, insert_id, at, family, kind, path, message in rows
    ]


def dead_counts(facts: Facts, stream_id: str) -> list[DeadCount]:
    """By family and kind."""
    rows = facts.read(
        "SELECT family, kind, COUNT(*) FROM dead WHERE stream_id = ? GROUP BY family, kind ORDER BY family, kind",
        (stream_id,),
    )
    return [DeadCount(*row) for row in rows]
