"""A chunk's records as Arrow columns with the hidden ones, and the bad ones by what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ..schemas.columns import ColumnBuilder
from ..sinks.sink import OFFSET_COLUMN, PARTITION_COLUMN, TIME_COLUMN
from ..stream_log.frame_extra import schema_hash
from .outcome import BadRecord
from .steps import Prepared, StreamSteps

if TYPE_CHECKING:
    from ..objects import StreamObject
    from ..processing.processor import Processor
    from .feed import Chunk

BAD_ROW_KIND = "runtime_error"
"""Of records that SQL fails on."""
HIDDEN_FIELDS = (
    pa.field(PARTITION_COLUMN, pa.int32()),
    pa.field(OFFSET_COLUMN, pa.int64()),
    pa.field(TIME_COLUMN, pa.timestamp("us", "UTC")),
)


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    batch: pa.RecordBatch
    """The good records, with the hidden columns at the end."""
    bad: tuple[BadRecord, ...]
    unknown_field_count: int
    unrouted_count: int = 0
    """Of `batch`: records that `[ingest]` rules were asked about and none wanted."""


class StreamColumns:
    """Builds the columns of one stream's chunks. Blocks; may be called from several threads."""

    def __init__(self, stream: StreamObject, processor: Processor | None = None) -> None:
        """Raises ConfigError when the processor's conditions are no SQL over the stream's columns."""
        self._builder = ColumnBuilder(
            stream.schema, timestamp_format=stream.timestamp_format, extra_fields=stream.extra_fields
        )
        self._checked = schema_hash(stream.schema) if stream.schema else ""
        self._lock = Lock()
        self.schema: pa.Schema = pa.schema([*self._builder.arrow_schema, *HIDDEN_FIELDS])
        """With the hidden columns."""
        self._steps = StreamSteps(processor, stream, self.schema) if processor else None

    def of(self, chunk: Chunk) -> ChunkColumns:
        """The chunk's columns, built on the first call for it."""
        with self._lock:
            if chunk.columns is None:
                chunk.columns = self._built(chunk)
            return chunk.columns

    def _built(self, chunk: Chunk) -> ChunkColumns:
        prepared = self._steps.prepare(chunk) if self._steps else Prepared(b"".join(chunk.bodies))
        is_checked = bool(self._checked) and all(extra.schema_hash == self._checked for extra in chunk.extras)
        built = self._builder.build(prepared.lines, is_checked=is_checked and not prepared.is_changed)
        hidden = hidden_columns(chunk)
        for kept in (prepared.kept, built.kept):
            if kept is not None:
                hidden = [column.take(pa.array(kept, pa.int64())) for column in hidden]
        batch = pa.RecordBatch.from_arrays([*built.batch.columns, *hidden], schema=self.schema)
        bad = [BadRecord(dead.index, "processing", dead.kind, "", dead.message) for dead in prepared.dead]
        bad += (
            BadRecord(prepared.index_in_chunk(error.index), "deserialization", error.kind, error.path, error.message)
            for error in built.errors
        )
        if self._steps is None:
            return ChunkColumns(batch, tuple(bad), built.unknown_field_count)
        kept_rows = self._steps.keep(batch)
        for row in kept_rows.bad:
            index = chunk.index_of(batch.column(OFFSET_COLUMN)[row.index].as_py())
            bad.append(BadRecord(index, "execution", BAD_ROW_KIND, "", row.message))
        return ChunkColumns(kept_rows.batch, tuple(bad), built.unknown_field_count, kept_rows.unrouted_count)


def hidden_columns(chunk: Chunk) -> list[pa.Array]:
    """Partition, offset and time of every record of the chunk."""
    if not chunk.count:
        return [pa.array([], field.type) for field in HIDDEN_FIELDS]
    if chunk.lost_count:
        runs = [pa.arange(first, first + count) for first, count in zip(chunk.firsts, chunk.counts, strict=True)]
        offsets = pa.concat_arrays(runs)
    else:
        offsets = pa.arange(chunk.since, chunk.until)
    times = pa.array(chunk.times_us, pa.int64()).cast(pa.timestamp("us", "UTC"))
    ends = pc.cumulative_sum(pa.array(chunk.counts, pa.int32()))
    return [
        pa.repeat(pa.scalar(chunk.partition, pa.int32()), chunk.count),
        offsets,
        pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, times)),
    ]
