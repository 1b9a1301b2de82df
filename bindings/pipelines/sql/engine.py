"""An INSERT compiled against a stream's columns, and run batch by batch on DataFusion.

    compiled = compile_insert(insert, schema, started_at=...)
    outcome = compiled.run(batch)          # the batch has the hidden columns at its end, and so have the rows

Compiling plans once: types are checked, functions found, the plan kept. A run extracts the JSON paths, hands the batch
to the plan and collects. If the query fails on the data, the batch is halved until the failing records stand alone;
they come back as `BadRow`, every other row is there. Nothing in the context reads files, and no other table exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from ..sinks.sink import HIDDEN_COLUMNS, OFFSET_COLUMN, PARTITION_COLUMN, TIME_COLUMN
from .engine_errors import EngineError, is_about_data, planning_error, row_message
from .feed import Feed
from .json_calls import register_json_call
from .json_extract import Extractor
from .json_values import ARROW_TYPES
from .nested_nulls import nulls_pushed_down
from .plain_types import plain_field
from .rewrite import STREAM_TABLE, rewrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datafusion.plan import ExecutionPlan

    from .statements import Insert

HIDDEN_FIELDS = (
    pa.field(PARTITION_COLUMN, pa.int32()),
    pa.field(OFFSET_COLUMN, pa.int64()),
    pa.field(TIME_COLUMN, pa.timestamp("us", "UTC")),
)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record on which the query fails: `index` in the input batch; `message` has no data of it."""

    index: int
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run made: rows with the hidden columns at their end, in the order of the input."""

    rows: pa.RecordBatch
    bad: tuple[BadRow, ...] = ()


def compile_insert(insert: Insert, input_schema: pa.Schema, *, started_at: float) -> CompiledInsert:
    """Plan an INSERT over the columns of its stream. `now()` is `started_at`, Unix seconds.

    Raises:
        SqlError: a column or function does not exist, types do not fit, or two columns have one name.
    """
    visible = [each for each in input_schema if each.name not in HIDDEN_COLUMNS]
    rewritten = rewrite(insert, visible, HIDDEN_COLUMNS, started_at)
    shreds = [(column, list(wants), list(wants.values())) for column, wants in rewritten.shreds.items()]
    extracted = [
        pa.field(name, ARROW_TYPES[want.kind])
        for _, wants, names in shreds
        for want, name in zip(wants, names, strict=True)
    ]
    context = _context()
    for call in rewritten.calls:
        register_json_call(context, call)
    feed = Feed(pa.schema([*visible, *HIDDEN_FIELDS, *extracted]))
    context.register_dataset(STREAM_TABLE, feed)
    try:
        frame = context.sql(rewritten.sql)
        plan = frame.execution_plan()
        schema = frame.schema()
        _probe(context, plan)
    except Exception as exc:  # the engine raises bare Exception and ValueError for a refused query
        raise planning_error(insert, [each.name for each in visible], exc) from exc
    shredders = [(column, Extractor(wants)) for column, wants, _ in shreds]
    return CompiledInsert(context, plan, feed, shredders, schema)


class CompiledInsert:
    """A planned INSERT. One thread at a time."""

    def __init__(
        self,
        context: SessionContext,
        plan: ExecutionPlan,
        feed: Feed,
        shredders: Sequence[tuple[str, Extractor]],
        planned_schema: pa.Schema,
    ) -> None:
        self._context = context
        self._plan = plan
        self._feed = feed
        self._shredders = shredders
        extracted = set(feed.schema.names[feed.schema.get_field_index(TIME_COLUMN) + 1 :])
        outputs = [each for each in planned_schema if each.name not in extracted]
        visible = [each for each in outputs if each.name not in HIDDEN_COLUMNS]
        self._output_names = [*(each.name for each in visible), *HIDDEN_COLUMNS]
        self._rows_schema = pa.schema([*map(plain_field, visible), *HIDDEN_FIELDS])
        self.output_schema = pa.schema([*map(plain_field, visible)])
        """The columns of a row, in order, without the hidden ones."""

    def run(self, batch: pa.RecordBatch) -> Outcome:
        """The rows this INSERT makes of a batch.

        Raises:
            EngineError: the engine itself failed (memory, a defect); it says nothing about the records.
        """
        rows: list[pa.RecordBatch] = []
        bad: list[BadRow] = []
        if batch.num_rows:
            self._run_range(self._inputs(batch), 0, rows, bad)
        if not rows:
            return Outcome(pa.RecordBatch.from_pylist([], schema=self._rows_schema), tuple(bad))
        return Outcome(rows[0] if len(rows) == 1 else pa.concat_batches(rows), tuple(bad))

    def _inputs(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as the plan expects it: with the extracted columns, and no values under null structs."""
        schema = self._feed.schema
        arrays = [nulls_pushed_down(batch.column(name)) for name in schema.names if name in batch.schema.names]
        for column, extractor in self._shredders:
            arrays += extractor.extract(batch.column(column))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _run_range(self, inputs: pa.RecordBatch, start: int, rows: list[pa.RecordBatch], bad: list[BadRow]) -> None:
        """Run a part of the batch; where that fails, run its halves."""
        self._feed.batch = inputs
        try:
            made = [each.to_pyarrow() for each in self._context.execute(self._plan, 0)]
        except Exception as exc:  # the engine raises bare Exception for a failed query
            if not is_about_data(exc):
                raise EngineError(f"The SQL engine failed: {exc}") from exc
            if inputs.num_rows == 1:
                bad.append(BadRow(start, row_message(exc)))
                return
        else:
            rows += [self._output(each) for each in made if each.num_rows]
            return
        middle = inputs.num_rows // 2
        self._run_range(inputs.slice(0, middle), start, rows, bad)
        self._run_range(inputs.slice(middle), start + middle, rows, bad)

    def _output(self, made: pa.RecordBatch) -> pa.RecordBatch:
        columns = (made.column(name) for name in self._output_names)
        arrays = [
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip(columns, self._rows_schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._rows_schema)


def _context() -> SessionContext:
    """A context that knows functions and nothing else: no files, no catalog of tables."""
    context = SessionContext(SessionConfig().with_target_partitions(1).with_information_schema(enabled=False))
    # A filter stays in the engine: pyarrow, which the scan would hand it to, compares NaN and divides by other rules.
    context.remove_optimizer_rule("push_down_filter")
    return context


def _probe(context: SessionContext, plan: ExecutionPlan) -> None:
    """Run without rows: what fails now fails for every record, so it is the query's fault and not theirs."""
    try:
        list(context.execute(plan, 0))
    except Exception as exc:
        if is_about_data(exc):  # array_positions, for one, cannot do nothing: an internal error, harmless with rows
            raise
