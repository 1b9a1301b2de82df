"""What one INSERT makes of one chunk: rows for the sink, dead letters, and an account of every record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pyarrow.compute as pc

from ....runtime.core.errors import BackendError
from ..dead_letters import DeadLetter
from ..sinks.sink import OFFSET_COLUMN, Rows
from ..sinks.writable import UNWRITABLE, unwritable_rows
from ..sql.engine import compile_insert
from .columns import BAD_ROW_KIND
from .intent import Tally
from .outcome import Transformed, dead_letters_of, what_was_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ..sql.engine import CompiledInsert
    from ..sql.statements import Insert
    from .columns import StreamColumns
    from .feed import Chunk


class BadRowError(BackendError):
    """Raised when a record fails in a pipeline with `on_error = "fail"`: it stops until the SQL is mended."""


class PassThrough:
    """`SELECT *` of an unstructured stream as JSON lines: the log's bytes are the result."""

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id

    def __call__(self, chunk: Chunk) -> Transformed:
        made = Transformed(tally=Tally(delivered=chunk.count, lost=chunk.lost_count), counters=what_was_read(chunk))
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
        rows, bad = self._run(columns.batch)
        if bad and self._on_error == "fail":
            offset, message = bad[0]
            raise BadRowError(
                f"The SQL fails on the record at partition {chunk.partition}, offset {offset}: "
                f'{message} The pipeline is stopped there, as on_error = "fail" says.'
            )
        dead = dead_letters_of(self._stream_id, chunk, columns.bad, self._now()) + self._failed(chunk, bad)
        delivered = pc.count_distinct(rows.column(OFFSET_COLUMN)).as_py()
        tally = Tally(delivered, chunk.count - delivered - len(dead), len(dead), chunk.lost_count)
        made = [Rows(self._stream_id, rows, count=rows.num_rows)] if rows.num_rows else []
        counters = {
            **what_was_read(chunk),
            "decodeErrors": len(columns.bad),
            "unknownFields": columns.unknown_field_count,
        }
        if columns.unrouted_count:
            counters["recordsUnrouted"] = columns.unrouted_count
        return Transformed(made, tally, dead, counters)

    def _run(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[tuple[int, str]]]:
        """The rows a sink can write, and the offset and reason of every record of which there is one it cannot."""
        outcome = self._compiled.run(batch)
        offsets = batch.column(OFFSET_COLUMN)
        bad = [(offsets[row.index].as_py(), row.message) for row in outcome.bad]
        unwritable = unwritable_rows(outcome.rows)
        if not len(unwritable):
            return outcome.rows, bad
        made = outcome.rows.column(OFFSET_COLUMN)
        failed = made.take(unwritable).unique()
        bad = sorted([*bad, *((offset, UNWRITABLE) for offset in failed.to_pylist())])
        return outcome.rows.filter(pc.invert(pc.is_in(made, failed))), bad

    def _failed(self, chunk: Chunk, bad: Sequence[tuple[int, str]]) -> list[DeadLetter]:
        """Dead letters of the records at these offsets."""
        letters: list[DeadLetter] = []
        records = chunk.records() if bad else []
        for offset, message in bad:
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
