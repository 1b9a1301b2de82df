"""The `[ingest]` steps of one stream between its log and its SQL: records changed, dropped, filtered and sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....runtime.core.errors import ConfigError
from ..processing.facts import Facts
from ..processing.routing import quoted
from ..sql.engine import compile_insert
from ..sql.statements import SqlError, parse_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ..objects import StreamObject
    from ..processing.processor import DeadRecord, Processor
    from ..sql.engine import BadRow, CompiledInsert
    from .feed import Chunk


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chunk's records after the steps that change records one by one."""

    lines: bytes
    kept: tuple[int, ...] | None = None
    """Index in the chunk of each record that went on; None when every one did."""
    dead: tuple[DeadRecord, ...] = ()
    """With their index in the chunk."""

    is_changed: bool = False
    """The records may not be what the frames say was checked."""

    def index_in_chunk(self, index: int) -> int:
        return index if self.kept is None else self.kept[index]


@dataclass(frozen=True, slots=True)
class Kept:
    batch: pa.RecordBatch
    """The records that filter and sample let through."""
    bad: tuple[BadRow, ...]
    """Records a condition failed on; they go nowhere."""
    unrouted_count: int = 0
    """Of `batch`: records that rules were asked about and none wanted."""


class StreamSteps:
    """Blocks; one thread at a time."""

    def __init__(self, processor: Processor, stream: StreamObject, schema: pa.Schema) -> None:
        """Raises ConfigError for a condition that is no SQL over the stream's columns."""
        self._processor = processor
        routing = processor.routing
        self._keep = _condition(routing.keep, stream, schema)
        self._unrouted = _condition(routing.unrouted, stream, schema)

    def prepare(self, chunk: Chunk) -> Prepared:
        """The chunk's records as the columns are built from them."""
        if not self._processor.changes_before_sql:
            return Prepared(b"".join(chunk.bodies))
        parts: list[bytes] = []
        kept: list[int] = []
        dead: list[DeadRecord] = []
        begin = 0
        frames = zip(chunk.bodies, chunk.counts, chunk.times_us, chunk.extras, strict=True)
        for lines, count, time_us, extra in frames:
            facts = Facts(time_us / 1e6, extra.ip or None, extra.user_agent or None)
            done = self._processor.before_sql(lines, facts)
            parts.append(done.lines)
            kept += range(begin, begin + count) if done.kept is None else (begin + index for index in done.kept)
            dead += (one.moved(begin) for one in done.dead)
            begin += count
        return Prepared(b"".join(parts), None if len(kept) == begin else tuple(kept), tuple(dead), is_changed=True)

    def keep(self, batch: pa.RecordBatch) -> Kept:
        """What filter and sample leave of a batch with its hidden columns."""
        bad: Sequence[BadRow] = ()
        if self._keep is not None:
            outcome = self._keep.run(batch)
            batch, bad = outcome.rows.select(batch.schema.names), outcome.bad
        unrouted_count = self._unrouted.run(batch).rows.num_rows if self._unrouted is not None else 0
        return Kept(batch, tuple(bad), unrouted_count)


def _condition(condition: str | None, stream: StreamObject, schema: pa.Schema) -> CompiledInsert | None:
    if condition is None:
        return None
    sql = f"INSERT INTO kept SELECT * FROM {quoted(stream.name)} WHERE {condition}"  # noqa: S608 - SQL by declaration
    try:
        inserts = parse_pipeline(sql, may_name_hidden=True)
        if len(inserts) != 1:
            raise SqlError("A condition is one expression, without a semicolon.")
        return compile_insert(inserts[0], schema, started_at=stream.created_at)
    except SqlError as error:
        msg = f'The steps of stream "{stream.name}" make no SQL condition: {error} In: {condition}'
        raise ConfigError(msg) from error
