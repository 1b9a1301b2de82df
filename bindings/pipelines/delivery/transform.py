"""What one INSERT makes of one chunk: rows for the sink, dead letters, and an account of every record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pyarrow.compute as pc

from ....runtime.core.errors import BackendError
from ..dead_letters import DeadLetter
from ..sinks.sink import OFFSET_COLUMN, Rows
from ..sql.engine import compile_insert
from .columns import BAD_ROW_KIND
from .intent import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..sql.engine import CompiledInsert
    from ..sql.statements import Insert
    from .columns import StreamColumns
    from .feed import Chunk


class BadRowError(BackendError):
    """Raised when a record fails in a pipeline with `on_error = "fail"`: it stops until the SQL is mended."""


@dataclass(slots=True)
class Transformed:
    rows: list[Rows] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    dead: list[DeadLetter] = field(default_factory=list)
    counters: dict[str, float] = field(default_factory=dict)


class PassThrough:
    """`SELECT *` of an unstructured stream as JSON lines: the log's bytes are the result."""

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id

    def __call__(self, chunk: Chunk) -> Transformed:
        made = Transformed(tally=Tally(delivered=chunk.count, lost=chunk.lost_count), counters=_read(chunk))
        begin = 0
        for end in range(1, len(chunk.bodies) + 1):
            if end == len(chunk.bodies) or chunk.times_us[end] // 1_000_000 != chunk.times_us[begin] // 1_000_000:
                lines, count = b"".join(chunk.bodies[begin:end]), sum(chunk.counts[begin:end])
                made.rows.append(Rows(self._stream_id, lines=lines, ingested_at_us=chunk.times_us[begin], count=count))
                begin = end
        return made


class Query:
    """Any other INSERT: columns, then SQL."""

    def __init__(
        self,
        columns: StreamColumns,
        compiled: CompiledInsert,
        *,
        stream_id: str,
        insert_id: str,
        on_error: Literal["dead_letter", "fail"],
        now: Callable[[], float],
    ) -> None:
        self._columns = columns
        self._compiled = compiled
        self._stream_id = stream_id
        self._insert_id = insert_id
        self._on_error = on_error
        self._now = now

    def __call__(self, chunk: Chunk) -> Transformed:
        columns = self._columns.of(chunk)
        outcome = self._compiled.run(columns.batch)
        if outcome.bad and self._on_error == "fail":
            offset = columns.batch.column(OFFSET_COLUMN)[outcome.bad[0].index].as_py()
            raise BadRowError(
                f"The SQL fails on the record at partition {chunk.partition}, offset {offset}: "
                f'{outcome.bad[0].message} The pipeline is stopped there, as on_error = "fail" says.'
            )
        dead = dead_records(self._stream_id, chunk, self._columns, self._now())
        dead += self._failed(chunk, ((row.index, row.message) for row in outcome.bad))
        delivered = pc.count_distinct(outcome.rows.column(OFFSET_COLUMN)).as_py()
        tally = Tally(delivered, chunk.count - delivered - len(dead), len(dead), chunk.lost_count)
        rows = [Rows(self._stream_id, outcome.rows, count=outcome.rows.num_rows)] if outcome.rows.num_rows else []
        counters = {**_read(chunk), "decodeErrors": len(columns.bad), "unknownFields": columns.unknown_field_count}
        if columns.unrouted_count:
            counters["recordsUnrouted"] = columns.unrouted_count
        return Transformed(rows, tally, dead, counters)

    def _failed(self, chunk: Chunk, bad: Iterable[tuple[int, str]]) -> list[DeadLetter]:
        offsets, records = self._columns.of(chunk).batch.column(OFFSET_COLUMN), None
        letters: list[DeadLetter] = []
        for index, message in bad:
            records = records or chunk.records()
            offset = offsets[index].as_py()
            letters.append(
                DeadLetter(
                    stream_id=self._stream_id,
                    partition=chunk.partition,
                    offset=offset,
                    insert_id=self._insert_id,
                    family="execution",
                    kind=BAD_ROW_KIND,
                    path="",
                    message=message,
                    record=records[chunk.index_of(offset)],
                    ingested_at=chunk.time_of(offset),
                    died_at=self._now(),
                )
            )
        return letters


class Check:
    """No INSERT reads the stream: its bad records still become dead letters, once."""

    def __init__(self, columns: StreamColumns, stream_id: str, now: Callable[[], float]) -> None:
        self._columns = columns
        self._stream_id = stream_id
        self._now = now

    def __call__(self, chunk: Chunk) -> Transformed:
        dead = dead_records(self._stream_id, chunk, self._columns, self._now())
        tally = Tally(filtered=chunk.count - len(dead), dead=len(dead), lost=chunk.lost_count)
        return Transformed([], tally, dead, {**_read(chunk), "decodeErrors": len(dead)})


def compiled_query(
    insert: Insert,
    columns: StreamColumns,
    *,
    stream_id: str,
    insert_id: str,
    started_at: float,
    on_error: Literal["dead_letter", "fail"],
    now: Callable[[], float],
) -> Query:
    """Plan an INSERT. Raises SqlError."""
    compiled = compile_insert(insert, columns.schema, started_at=started_at)
    return Query(columns, compiled, stream_id=stream_id, insert_id=insert_id, on_error=on_error, now=now)


def dead_records(stream_id: str, chunk: Chunk, columns: StreamColumns, now: float) -> list[DeadLetter]:
    """The chunk's records that fit no INSERT, for the stream as a whole."""
    bad = columns.of(chunk).bad
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


def _read(chunk: Chunk) -> dict[str, float]:
    return {"recordsIn": chunk.count, "bytesIn": chunk.size_bytes}
