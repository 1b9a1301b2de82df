"""Results of steps that are streams: rows of bytes, written while an attempt runs, before its step's own row.

Only the row of a finished step makes its chunks count: it names the attempt that wrote them, and how many there are. So
a stream becomes a result in one commit, as any other result does; what an attempt wrote that did not get there is
removed by the first chunk of the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .owner_statements import status_of

if TYPE_CHECKING:
    from ..._shared.sqlite_facts import Connection
    from .records import ChunkKey, Lease, Status


def put_chunk(connection: Connection, lease: Lease, key: ChunkKey, content: bytes) -> Status | None:
    status = status_of(connection, lease)
    if status is None:
        return None
    if key.place == 0:
        connection.execute(
            "DELETE FROM chunk WHERE instance = ? AND kind = ? AND name = ? AND count = ?", (lease.number, *key.step)
        )
    connection.execute(
        "REPLACE INTO chunk (instance, kind, name, count, attempt, place, content) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (lease.number, *key.step, key.attempt, key.place, content),
    )
    return status


def chunk(connection: Connection, number: int, key: ChunkKey) -> bytes | None:
    row = connection.execute(
        "SELECT content FROM chunk WHERE instance = ? AND kind = ? AND name = ? AND count = ? AND attempt = ?"
        " AND place = ?",
        (number, *key.step, key.attempt, key.place),
    ).fetchone()
    return None if row is None else bytes(row[0])
