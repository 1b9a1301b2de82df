"""Records that could not be delivered and never will be as they are: kept with the reason, listed, sent again.

A dead letter is named by where its record is in the log, the INSERT it failed in and the kind of failure, so a roll
that is done again after a crash writes the same ones. They live in the delivery store; caps by size, number and age
hold for each stream, and the oldest go first (the counters still have them).

Families: `deserialization` (the record does not fit the schema: no INSERT sees it), `execution` (the SQL fails on it),
`sink` (the target refuses it for good). Source: Cloudflare docs, Pipelines "Metrics and analytics" (user errors).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .delivery.facts import delivery_facts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from .._shared.sqlite_facts import Connection

COUNT_MAX = 100_000
BYTES_MAX = 64 * 1024 * 1024
AGE_MAX_S = 7 * 24 * 3600.0
"""Of one stream's dead letters."""
PAGE_COUNT = 500
REMOVE_COUNT = 1_000
"""How many of the oldest go at once when a cap is reached."""
REPLAY_BYTES_MAX = 1024 * 1024
"""Of one batch that is sent again, unless a single record is larger."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    stream_id: str
    partition: int
    offset: int
    insert_id: str
    """Empty for `deserialization`: it failed for every INSERT."""
    family: Literal["processing", "deserialization", "execution", "sink"]
    kind: str
    path: str
    """Where in the record; empty when it is about all of it."""
    message: str
    """Without values of the record."""
    record: bytes
    """JSON as it was accepted; of a sink's, the row it refused."""
    ingested_at: float
    """Unix seconds."""
    died_at: float
    id: int = 0
    """Counts up; 0 before it is kept."""


def keep_dead_letters(connection: Connection, letters: Iterable[DeadLetter]) -> None:
    """Add them in a transaction of the delivery store; those that are there stay as they are."""
    rows = [
        (
            *(one.stream_id, one.partition, one.offset, one.insert_id),
            *(one.family, one.kind, one.path, one.message),
            *(one.record, one.ingested_at, one.died_at),
        )
        for one in letters
    ]
    if not rows:
        return
    connection.executemany(
        "INSERT OR IGNORE INTO dead (stream_id, partition, offset, insert_id, family, kind, path, message, record, "
        "ingested_at, died_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    for stream_id in {row[0] for row in rows}:
        _remove_oldest(connection, stream_id, before=rows[-1][-1] - AGE_MAX_S)


class DeadLetters:
    """The dead letters of one state folder, from any process."""

    def __init__(self, state_dir: Path) -> None:
        self._facts = delivery_facts(state_dir)

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        self._facts.close()

    def list(self, stream_id: str, *, after: int = 0, limit: int = PAGE_COUNT) -> list[DeadLetter]:
        """The oldest first, those with an `id` above `after`."""
        rows = self._facts.read(
            "SELECT stream_id, partition, offset, insert_id, family, kind, path, message, record, ingested_at, "
            "died_at, id FROM dead WHERE stream_id = ? AND id > ? ORDER BY id LIMIT ?",
            (stream_id, after, limit),
        )
        return [DeadLetter(*row) for row in rows]

    def count(self, stream_id: str) -> int:
        rows = self._facts.read("SELECT count FROM dead_sizes WHERE stream_id = ?", (stream_id,))
        return int(rows[0][0]) if rows else 0

    async def replay(self, stream_id: str, append: Callable[[Sequence[bytes]], Awaitable[None]]) -> int:
        """Send what is dead now to the stream again, in order, and forget it; returns how many records.

        A record that died in several INSERTs is sent once. Refused rows of a sink are no records of the stream: they
        stay. A crash in between may send a batch twice.

        Args:
            append: keeps a batch of records in the stream; done once they are durable.
        """
        sent_count, after = 0, 0
        newest = self._facts.read("SELECT MAX(id) FROM dead WHERE stream_id = ?", (stream_id,))
        last = newest[0][0] if newest and newest[0][0] else 0
        sent: set[tuple[int, int]] = set()
        while page := [letter for letter in self.list(stream_id, after=after) if letter.id <= last]:
            after = page[-1].id
            for batch in _batches([letter for letter in page if letter.family != "sink"]):
                places = {(letter.partition, letter.offset): letter.record for letter in batch}
                records = [record for place, record in places.items() if place not in sent]
                if records:
                    await append(records)
                sent |= places.keys()
                sent_count += len(records)
                self.forget([letter.id for letter in batch])
        return sent_count

    def forget(self, ids: Sequence[int]) -> None:
        with self._facts.write() as connection:
            connection.executemany("DELETE FROM dead WHERE id = ?", [(one,) for one in ids])

    def forget_stream(self, stream_id: str) -> None:
        """Remove all of a stream's, when it is deleted."""
        with self._facts.write() as connection:
            connection.execute("DELETE FROM dead WHERE stream_id = ?", (stream_id,))


def _remove_oldest(connection: Connection, stream_id: str, *, before: float) -> None:
    connection.execute("DELETE FROM dead WHERE stream_id = ? AND died_at < ?", (stream_id, before))
    size = "SELECT 1 FROM dead_sizes WHERE stream_id = ? AND (count > ? OR size_bytes > ?) AND count > 1"
    while connection.execute(size, (stream_id, COUNT_MAX, BYTES_MAX)).fetchone():
        oldest = "SELECT id FROM dead WHERE stream_id = ? ORDER BY id LIMIT ?"
        connection.execute(f"DELETE FROM dead WHERE id IN ({oldest})", (stream_id, REMOVE_COUNT))  # noqa: S608 - a constant


def _batches(letters: Sequence[DeadLetter]) -> Iterable[Sequence[DeadLetter]]:
    batch: list[DeadLetter] = []
    size_bytes = 0
    for letter in letters:
        size_bytes += len(letter.record)
        if batch and size_bytes > REPLAY_BYTES_MAX:
            yield batch
            batch, size_bytes = [], len(letter.record)
        batch.append(letter)
    if batch:
        yield batch
