"""Collects what one INSERT makes of the records since its last commit, and stages it as the next roll.

Blocks; one thread at a time. Nothing here is visible outside and nothing is durable before `close`: what is dropped is
read again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..sinks.sink import Roll, Stager
from .faults import reach
from .intent import Intent, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..dead_letters import DeadLetter
    from ..sinks.sink import Sink
    from ..stream_log.disk import Disk
    from .feed import Chunk
    from .outcome import Transformed
    from .store import DeliveryStore, InsertKey

DEAD_COUNT_MAX = 1_000
"""Dead letters of one roll that wait in memory; more are kept at once."""


@dataclass(slots=True)
class _Filling:
    """What the roll has so far."""

    folder: Path
    stager: Stager | None = None
    until: dict[int, int] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead: list[DeadLetter] = field(default_factory=list)
    record_count: int = 0


class RollStaging:
    """The roll that is being filled."""

    def __init__(
        self, key: InsertKey, sink: Sink | None, *, store: DeliveryStore, root: Path, fence: int, disk: Disk
    ) -> None:
        """Stage into `root`, a folder of this INSERT's own. Without a sink only the account is kept."""
        self._key = key
        self._sink = sink
        self._store = store
        self._root = root
        self._fence = fence
        self._disk = disk
        self._attempt = 0
        self._epoch = 0
        self._committed: dict[int, int] = {}
        self._filling = self._emptied()

    def begin(self, epoch: int, committed: Mapping[int, int]) -> None:
        """Start over behind what is committed: the next roll is `epoch`. What was staged is dropped."""
        self._epoch, self._committed = epoch, dict(committed)
        self.drop()

    def knows(self, partition: int) -> bool:
        return partition in self._committed

    def add_partition(self, partition: int, start: int) -> None:
        self._committed[partition] = start

    def place(self, partition: int) -> int:
        """The next offset to read."""
        return self._filling.until.get(partition, self._committed[partition])

    @property
    def record_count(self) -> int:
        """Records read, whatever became of them."""
        return self._filling.record_count

    @property
    def size_bytes(self) -> int:
        stager = self._filling.stager
        return stager.size_bytes if stager else 0

    @property
    def dead(self) -> list[DeadLetter]:
        """Those of this roll that are not kept yet."""
        return self._filling.dead

    @property
    def takes_lines(self) -> bool:
        """Whether the sink's files are the log's own lines."""
        return self._sink is not None and self._stager().takes_lines

    def add(self, chunk: Chunk, made: Transformed) -> None:
        """Stage what became of a chunk, which follows the last one of its partition.

        Raises:
            OSError, BackendError: it could not be written; start over with `begin`.
        """
        assert chunk.since == self.place(chunk.partition), "chunks of a partition follow each other"
        assert made.tally.count == chunk.until - chunk.since, "every record is accounted for"
        for rows in made.rows:
            self._stager().write(rows)
        filling = self._filling
        filling.until[chunk.partition] = chunk.until
        filling.record_count += chunk.until - chunk.since
        filling.tallies.setdefault(chunk.partition, Tally()).add(made.tally)
        for name, value in made.counters.items():
            filling.counters[name] = filling.counters.get(name, 0) + value
        filling.errors.update((letter.family, letter.kind) for letter in made.dead)
        filling.dead += made.dead
        if len(filling.dead) > DEAD_COUNT_MAX:
            self._store.keep_dead(self._fence, filling.dead)
            filling.dead = []

    def close(self) -> Intent:
        """Finish the files and make them durable, with their folder.

        Raises:
            OSError, BackendError: as `add`.
        """
        reach("stage:before")
        filling = self._filling
        stager, filling.stager = filling.stager, None
        files = tuple(stager.close()) if stager else ()
        if files:
            self._disk.sync_folder(filling.folder)
        reach("stage:after")
        roll = Roll(
            insert_id=self._key.id,
            sink_id=self._key.sink_id,
            stream_id=self._key.stream_id,
            epoch=self._epoch,
            fence=self._fence,
            since={partition: self._committed[partition] for partition in filling.until},
            until=dict(filling.until),
            files=files,
        )
        return Intent(roll, filling.folder.name, filling.tallies, filling.counters, filling.errors)

    def folder_of(self, intent: Intent) -> Path:
        return self._root / intent.folder

    def drop(self) -> None:
        """Let go of what is staged and remove it."""
        if self._filling.stager is not None:
            self._filling.stager.abandon()
        shutil.rmtree(self._filling.folder, ignore_errors=True)
        self._filling = self._emptied()

    def remove_leftovers(self, keep: str | None) -> None:
        """Folders of earlier attempts, but not that of an intent."""
        if self._root.is_dir():
            for folder in self._root.iterdir():
                if folder.name != keep:
                    shutil.rmtree(folder, ignore_errors=True)

    def _emptied(self) -> _Filling:
        """Every attempt has a folder of its own, so one that was taken over is never written to again."""
        self._attempt += 1
        return _Filling(self._root / f"{self._epoch}-{self._fence}-{self._attempt}")

    def _stager(self) -> Stager:
        filling = self._filling
        if filling.stager is None:
            assert self._sink is not None, "rows are for a sink"
            self._disk.make_folder(filling.folder)
            filling.stager = self._sink.open_stager(filling.folder, self._key.id, self._epoch)
        return filling.stager
