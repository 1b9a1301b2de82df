"""What became of a chunk of records, as values. Loads nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..dead_letters import DeadLetter
from .intent import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..sinks.sink import Rows
    from .feed import Chunk


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record no INSERT sees."""

    index: int
    """In the chunk, from 0."""
    family: Literal["processing", "deserialization", "execution"]
    kind: str
    path: str
    message: str


@dataclass(slots=True)
class Transformed:
    rows: list[Rows] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    dead: list[DeadLetter] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)


def dead_letters_of(stream_id: str, chunk: Chunk, bad: Sequence[BadRecord], now: float) -> list[DeadLetter]:
    """The chunk's records that no INSERT sees, as dead letters of the stream."""
    if not bad:
        return []
    records = chunk.records()
    letters: list[DeadLetter] = []
    for one in bad:
        offset = chunk.offset_of(one.index)
        letters.append(
            DeadLetter(
                stream_id=stream_id,
                partition=chunk.partition,
                offset=offset,
                insert_id="",
                family=one.family,
                kind=one.kind,
                path=one.path,
                message=one.message,
                record=records[one.index],
                ingested_at=chunk.time_of(offset),
                died_at=now,
            )
        )
    return letters


def what_was_read(chunk: Chunk) -> dict[str, float]:
    return {"recordsIn": chunk.count, "bytesIn": chunk.size_bytes}
