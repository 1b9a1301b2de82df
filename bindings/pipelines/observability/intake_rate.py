"""How fast each stream takes records: every process notes now and then what its partitions accepted meanwhile.

The log cannot tell afterwards (what is delivered is trimmed), and no process knows what the others accept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from ..delivery.facts import delivery_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....runtime.core.host import LocalHost
    from ..._shared.sqlite_facts import Facts
    from ..open_streams import OpenStreams

NOTE_S = 10.0
WINDOW_S = 60
KEPT_S = 3600
_LATE_S = 5


@dataclass(frozen=True, slots=True)
class IntakeRate:
    """What a stream took in WINDOW_S, as running servers noted it."""

    records_per_second: float
    bytes_per_second: float
    """Of the log's frames."""
    until: float
    """When the window ends, Unix seconds: at the last note, or now when nobody noted anything lately."""


class IntakeMeter:
    """Source: notes what this process accepted, every NOTE_S. What came after the last note is lost in a crash."""

    def __init__(self, host: LocalHost, streams: OpenStreams) -> None:
        self._host = host
        self._streams = streams
        self._facts = delivery_facts(host.state_dir)

    async def run(self) -> None:
        try:
            while True:
                await self._host.sleep(NOTE_S)
                await self.note()
        finally:
            self._facts.close()

    async def note(self) -> None:
        """Note what came since the last time, if anything did."""
        rows: list[tuple[str, int, int, int, int]] = []
        at, slot = int(self._host.now()), self._host.process_slot
        for stream in self._streams.opened():
            log, figures = stream.log, stream.log.figures
            offset, size_bytes = log.durable_offset, log.durable_bytes
            if offset > figures.noted_offset:
                count, new_bytes = offset - figures.noted_offset, size_bytes - figures.noted_bytes
                rows.append((stream.object.id, slot, at, count, new_bytes))
                figures.noted_offset, figures.noted_bytes = offset, size_bytes
        if rows:
            try:
                await asyncio.to_thread(_keep, self._facts, rows, at - KEPT_S)
            except BackendError as error:  # a full disk: a rate is not worth a word where records are refused
                self._host.log.debug("intake_not_noted", error=str(error))


def intake_rate(facts: Facts, stream_id: str, now: float) -> IntakeRate:
    """How fast a stream took records lately, all processes together."""
    rows = facts.read(
        "SELECT at, record_count, size_bytes FROM intake WHERE stream_id = ? AND at > ?",
        (stream_id, int(now) - WINDOW_S - int(NOTE_S) - _LATE_S),
    )
    newest = max((at for at, _, _ in rows), default=0)
    until = newest if newest > now - NOTE_S - _LATE_S else now
    inside = [(count, size_bytes) for at, count, size_bytes in rows if until - WINDOW_S < at <= until]
    return IntakeRate(
        sum(count for count, _ in inside) / WINDOW_S, sum(size_bytes for _, size_bytes in inside) / WINDOW_S, until
    )


def _keep(facts: Facts, rows: Sequence[tuple[str, int, int, int, int]], before: int) -> None:
    with facts.write() as connection:
        connection.execute("DELETE FROM intake WHERE at < ?", (before,))
        connection.executemany(
            "INSERT INTO intake VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "record_count = record_count + excluded.record_count, size_bytes = size_bytes + excluded.size_bytes",
            rows,
        )
