"""A chunk's records as Arrow columns with the hidden ones, and the bad ones by what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..columns import ColumnBuilder
from ..frame_extra import schema_hash
from ..sinks.sink import OFFSET_COLUMN, PARTITION_COLUMN, TIME_COLUMN

if TYPE_CHECKING:
    from ..objects import StreamObject
    from .feed import Chunk

HIDDEN_FIELDS = (
    pa.field(PARTITION_COLUMN, pa.int32()),
    pa.field(OFFSET_COLUMN, pa.int64()),
    pa.field(TIME_COLUMN, pa.timestamp("us", "UTC")),
)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record no INSERT sees."""

    index: int
    """In the chunk, from 0."""
    family: Literal["deserialization", "execution"]
    kind: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ChunkColumns:
    batch: pa.RecordBatch
    """The good records, with the hidden columns at the end."""
    bad: tuple[BadRecord, ...]
    unknown_field_count: int


class StreamColumns:
    """Builds the columns of one stream's chunks. Blocks; may be called from several threads."""

    def __init__(self, stream: StreamObject) -> None:
        self._builder = ColumnBuilder(
            stream.schema, timestamp_format=stream.timestamp_format, extra_fields=stream.extra_fields
        )
        self._checked = schema_hash(stream.schema) if stream.schema else ""
        self._lock = Lock()
        self.schema: pa.Schema = pa.schema([*self._builder.arrow_schema, *HIDDEN_FIELDS])
        """With the hidden columns."""

    def of(self, chunk: Chunk) -> ChunkColumns:
        """The chunk's columns, built on the first call for it."""
        with self._lock:
            if chunk.columns is None:
                chunk.columns = self._built(chunk)
            return chunk.columns

    def _built(self, chunk: Chunk) -> ChunkColumns:
        is_checked = bool(self._checked) and chunk.schema_hashes == {self._checked}
        built = self._builder.build(b"".join(chunk.bodies), is_checked=is_checked)
        hidden = hidden_columns(chunk)
        if built.kept is not None:
            hidden = [column.take(built.kept) for column in hidden]
        batch = pa.RecordBatch.from_arrays([*built.batch.columns, *hidden], schema=self.schema)
        bad = tuple(
            BadRecord(error.index, "deserialization", error.kind, error.path, error.message) for error in built.errors
        )
        return ChunkColumns(batch, bad, built.unknown_field_count)


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
