"""A query planned once and run many times, over everything at once or record by record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext

from .engine_errors import EngineError, is_about_data, panics_as_errors
from .feed import Feed
from .growing_calls import register_checks
from .json_calls import register_json_call
from .rewrite import STREAM_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .rewrite import JsonCall

EVERY_ROW = 1 << 30
POOL_BYTES_MAX = 512 * 1024 * 1024
"""What the engine's operators may hold; what functions make is bounded by `growing_calls.py`."""


@dataclass(frozen=True, slots=True)
class RowFailure:
    """The query failed on the row at `index` of the batch."""

    index: int
    error: Exception


class Plan:
    """A planned query. One thread at a time.

    With `rows_at_once=1` the engine takes one row, and hands on what it made of it, before it takes the next one; after
    an error it goes on. So the row taken last is the one that failed. Nothing else tells: the engine's errors do not.
    """

    def __init__(self, sql: str, schema: pa.Schema, calls: Sequence[JsonCall], rows_at_once: int = EVERY_ROW) -> None:
        """Raises whatever the engine raises for a query it refuses."""
        self.input_schema = schema
        self._feed = Feed(schema, rows_at_once)
        self._context = _context(rows_at_once)
        register_checks(self._context)
        for call in calls:
            register_json_call(self._context, call)
        self._context.register_dataset(STREAM_TABLE, self._feed)
        with panics_as_errors():
            frame = self._context.sql(sql)
            self._plan = frame.execution_plan()
            self.output_schema: pa.Schema = frame.schema()

    def probe(self) -> None:
        """Run without rows: what fails now fails for every record, so it is the query's fault and not theirs."""
        try:
            self.run(pa.RecordBatch.from_pylist([], schema=self.input_schema))
        except Exception as exc:
            if is_about_data(exc):  # array_positions, for one, cannot do nothing: an internal error, harmless with rows
                raise

    def run(self, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """What the query makes of the batch; raises what the engine raises if it fails on any row."""
        self._feed.exchange(batch)
        with panics_as_errors():
            return [each.to_pyarrow() for each in self._context.execute(self._plan, 0)]

    def run_rows(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch | RowFailure]:
        """What the query makes of each row, in order. Only with `rows_at_once=1`."""
        self._feed.exchange(batch)
        made = self._context.execute(self._plan, 0)
        while True:
            try:
                with panics_as_errors():
                    rows = next(made).to_pyarrow()
                yield rows
            except StopIteration:
                break
            except EngineError:
                raise
            except Exception as exc:  # noqa: BLE001  the engine raises bare Exception for a failed query
                yield RowFailure(self._feed.taken_count - 1, exc)
        assert self._feed.taken_count in (0, batch.num_rows), "the engine goes on after an error"


def _context(rows_at_once: int) -> SessionContext:
    """A context that knows functions and nothing else: no files, no catalog of tables."""
    config = SessionConfig().with_target_partitions(1).with_information_schema(enabled=False)
    if rows_at_once == 1:
        config = config.with_batch_size(1)
    context = SessionContext(config, RuntimeEnvBuilder().with_greedy_memory_pool(POOL_BYTES_MAX))
    # A filter stays in the engine: pyarrow, which the scan would hand it to, compares NaN and divides by other rules.
    context.remove_optimizer_rule("push_down_filter")
    return context
