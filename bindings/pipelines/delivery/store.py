"""What delivery must not forget, read and written: the lease, each INSERT's place in the log, intents and counts.

Every write carries the fence of the lease it was made under and is refused once another process has taken over.
Source: spec "Pipelines" 5.6, 5.8; decisions 11 and 18.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from ..dead_letters import keep_dead_letters
from .counts import add_minute, add_totals, add_user_errors
from .facts import delivery_facts
from .intent import Intent, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..._shared.sqlite_facts import Connection
    from ..dead_letters import DeadLetter
    from ..sinks.sink import Published


class FencedError(BackendError):
    """Raised when another process has taken the pipelines over: what this one was about to do is not done."""

    def __init__(self, fence: int) -> None:
        super().__init__(
            f"Another process runs the pipelines now: the lease with fence {fence} has passed on. Nothing was changed."
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """Who runs the pipelines."""

    fence: int
    """Counts the leases."""
    holder: str
    """The name of its lock file (lease.py); empty: nobody."""


@dataclass(frozen=True, slots=True)
class InsertKey:
    """One INSERT of a pipeline."""

    id: str
    pipeline_id: str
    position: int
    stream_id: str
    sink_id: str
    account: str = ""
    """What the INSERT shares with every replay of itself; empty: it has no sink."""
    sink_made_at: float = 0.0
    """Unix seconds. A sink that was made anew may have the same id."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of the records of one partition for one INSERT: `committed` - `started` of them."""

    started: int
    committed: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class InsertState:
    """One INSERT as it is kept."""

    key: InsertKey
    epoch: int
    """Of the last committed roll; 0: none."""
    failure: str
    """Why it is not delivering; empty while it is."""
    progress: Mapping[int, Progress] = field(default_factory=dict)
    """By partition."""
    counters: Mapping[str, float] = field(default_factory=dict)


class DeliveryStore:
    """The store of one state folder. Synchronous: a write waits for the disk, so call it in a thread."""

    def __init__(self, state_dir: Path) -> None:
        self._facts = delivery_facts(state_dir)

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        self._facts.close()

    def lease(self) -> Lease:
        rows = self._facts.read("SELECT fence, holder FROM lease")
        return Lease(*rows[0]) if rows else Lease(0, "")

    def take_lease(self, seen: Lease, holder: str) -> Lease | None:
        """Become the holder after the one seen; None when another was faster."""
        with self._facts.write() as connection:
            taken = connection.execute(
                "UPDATE lease SET fence = fence + 1, holder = ? WHERE fence = ?", (holder, seen.fence)
            )
            return Lease(seen.fence + 1, holder) if taken.rowcount else None

    def release_lease(self, fence: int) -> None:
        """Let another process take over at once."""
        with self._facts.write() as connection:
            connection.execute("UPDATE lease SET holder = '' WHERE fence = ?", (fence,))

    def require_fence(self, fence: int) -> None:
        """Raises FencedError when the lease has passed on."""
        if self.lease().fence != fence:
            raise FencedError(fence)

    def inserts(self) -> list[InsertState]:
        """All that are known, with their progress and counters, by pipeline and position."""
        progress: dict[str, dict[int, Progress]] = {}
        for insert_id, partition, started, committed, *tally in self._facts.read(
            "SELECT insert_id, partition, started, committed, delivered, filtered, dead, lost FROM progress"
        ):
            progress.setdefault(insert_id, {})[partition] = Progress(started, committed, Tally(*tally))
        counters: dict[str, dict[str, float]] = {}
        for insert_id, name, value in self._facts.read("SELECT insert_id, name, value FROM counters"):
            counters.setdefault(insert_id, {})[name] = value
        rows = self._facts.read(
            "SELECT epoch, failure, id, pipeline_id, position, stream_id, sink_id, account, sink_made_at FROM inserts "
            "ORDER BY pipeline_id, position"
        )
        return [
            InsertState(InsertKey(*key), epoch, failure, progress.get(key[0], {}), counters.get(key[0], {}))
            for epoch, failure, *key in rows
        ]

    def insert(self, insert_id: str) -> InsertState | None:
        return next((state for state in self.inserts() if state.key.id == insert_id), None)

    def begin_insert(self, fence: int, key: InsertKey, starts: Mapping[int, int]) -> None:
        """Make an INSERT known, or more partitions of it; what is known stays. Raises FencedError.

        One that was removed counts its epochs on: they name its files.
        """
        with self._facts.write() as connection:
            _require(connection, fence)
            row = (key.id, key.pipeline_id, key.position, key.stream_id, key.sink_id)
            connection.execute(
                "INSERT INTO inserts VALUES (?, ?, ?, ?, ?, "
                "(SELECT coalesce(max(epoch), 0) FROM retired WHERE insert_id = ?), '', ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET pipeline_id = excluded.pipeline_id, position = excluded.position, "
                "account = excluded.account, sink_made_at = excluded.sink_made_at",
                (*row, key.id, key.account, key.sink_made_at),
            )
            rows = [(key.id, partition, start, start) for partition, start in starts.items()]
            connection.executemany("INSERT OR IGNORE INTO progress VALUES (?, ?, ?, ?, 0, 0, 0, 0)", rows)

    def remove_insert(self, fence: int, insert_id: str, *, has_given_up: bool = False) -> None:
        """Forget an INSERT but for where it ended and what it was publishing; that too when it `has_given_up`.

        Raises FencedError.
        """
        with self._facts.write() as connection:
            _require(connection, fence)
            for statement in _REMOVALS:
                connection.execute(statement, (insert_id,))
            if has_given_up:
                connection.execute("DELETE FROM intents WHERE insert_id = ?", (insert_id,))

    def retired_ends(self, insert_id: str) -> dict[int, int]:
        """Partition -> offset up to which an INSERT that was removed has delivered."""
        return dict(self._facts.read("SELECT partition, committed FROM retired WHERE insert_id = ?", (insert_id,)))

    def account_ends(self, account: str) -> dict[int, int]:
        """The same of whichever INSERT of an account has delivered furthest."""
        query = "SELECT partition, max(committed) FROM retired WHERE account = ? GROUP BY partition"
        return dict(self._facts.read(query, (account,)))

    def note_failure(self, fence: int, insert_id: str, reason: str) -> None:
        """Say why an INSERT does not deliver; empty: it does. Raises FencedError."""
        with self._facts.write() as connection:
            _require(connection, fence)
            connection.execute("UPDATE inserts SET failure = ? WHERE id = ?", (reason, insert_id))

    def count(self, fence: int, insert_id: str, counters: Mapping[str, float]) -> None:
        """Add to counters that belong to no roll, as retries. Raises FencedError."""
        with self._facts.write() as connection:
            _require(connection, fence)
            add_totals(connection, insert_id, counters)

    def keep_dead(self, fence: int, letters: Iterable[DeadLetter]) -> None:
        """Keep dead letters ahead of their roll: writing them again is harmless. Raises FencedError."""
        with self._facts.write() as connection:
            _require(connection, fence)
            keep_dead_letters(connection, letters)

    def intent(self, insert_id: str) -> Intent | None:
        """The roll that was staged and not committed."""
        rows = self._facts.read("SELECT value FROM intents WHERE insert_id = ?", (insert_id,))
        return Intent.from_json(rows[0][0]) if rows else None

    def intents(self) -> set[str]:
        """Ids of the INSERTs that have one."""
        return {insert_id for (insert_id,) in self._facts.read("SELECT insert_id FROM intents")}

    def add_intent(self, fence: int, intent: Intent, dead: Iterable[DeadLetter]) -> None:
        """Write down what is about to be published, with the dead letters of the same range. Raises FencedError."""
        with self._facts.write() as connection:
            _require(connection, fence)
            keep_dead_letters(connection, dead)
            connection.execute("INSERT INTO intents VALUES (?, ?)", (intent.roll.insert_id, intent.to_json()))

    def commit(
        self,
        fence: int,
        intent: Intent,
        now: float,
        *,
        published: Published | None = None,
        dead: Iterable[DeadLetter] = (),
    ) -> None:
        """Move the offsets, count, and forget the intent: all of it or nothing. Raises FencedError.

        Args:
            dead: what has not been kept yet: rows the sink refused, or those of a roll that published nothing.
        """
        roll = intent.roll
        refused = Counter(dict.fromkeys((one.partition, one.offset) for one in published.refused) if published else ())
        refused_in = Counter(partition for partition, _ in refused)
        with self._facts.write() as connection:
            _require(connection, fence)
            for partition, tally in intent.tallies.items():
                died = refused_in[partition]
                moved = connection.execute(
                    "UPDATE progress SET committed = ?, delivered = delivered + ?, filtered = filtered + ?, "
                    "dead = dead + ?, lost = lost + ? WHERE insert_id = ? AND partition = ? AND committed = ?",
                    (
                        *(roll.until[partition], tally.delivered - died, tally.filtered, tally.dead + died, tally.lost),
                        *(roll.insert_id, partition, roll.since[partition]),
                    ),
                )
                assert moved.rowcount == 1, "a roll begins where the last one was committed"
            connection.execute("UPDATE inserts SET epoch = ?, failure = '' WHERE id = ?", (roll.epoch, roll.insert_id))
            connection.execute("DELETE FROM intents WHERE insert_id = ?", (roll.insert_id,))
            keep_dead_letters(connection, dead)
            counters = {**intent.counters, **_written(published)} if published else intent.counters
            add_minute(connection, roll.insert_id, counters, int(now // 60))
            errors = Counter(intent.errors)
            errors.update(("sink", one.kind) for one in (published.refused if published else ()))
            add_user_errors(connection, roll.insert_id, errors, int(now // 60))


_REMOVALS = (
    """
    INSERT OR REPLACE INTO retired
    SELECT id, partition, committed, epoch, account FROM inserts JOIN progress ON insert_id = id WHERE id = ?
    """,
    "DELETE FROM inserts WHERE id = ?",
    "DELETE FROM progress WHERE insert_id = ?",
    "DELETE FROM counters WHERE insert_id = ?",
    "DELETE FROM minutes WHERE insert_id = ?",
    "DELETE FROM errors WHERE insert_id = ?",
)


def _require(connection: Connection, fence: int) -> None:
    if connection.execute("SELECT fence FROM lease").fetchone() != (fence,):
        raise FencedError(fence)


def _written(published: Published) -> dict[str, float]:
    return {
        "recordsWritten": published.rows_written,
        "bytesWritten": published.bytes_written,
        "filesWritten": published.files_written,
        "rowGroupsWritten": published.row_groups_written,
        "uncompressedBytesWritten": published.uncompressed_bytes_written,
    }
