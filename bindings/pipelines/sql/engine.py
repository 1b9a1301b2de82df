"""An INSERT compiled against a stream's columns, and run batch by batch on DataFusion.

    compiled = compile_insert(insert, schema, started_at=...)
    outcome = compiled.run(batch)          # the batch has the hidden columns at its end, and so have the rows

Compiling plans once: types are checked, functions found, the plan kept. A run extracts the JSON paths, hands the batch
to the plan and collects. If the query fails on the data, the batch is halved until few records are left, which a second
plan takes one by one: those that fail come back as `BadRow`, the rows of every other record are there. What a function
makes is bounded for a part that is run together (growing_calls.py), so many parts could add up: TOGETHER_BYTES_MAX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from ..sinks.sink import HIDDEN_COLUMNS, OFFSET_COLUMN, PARTITION_COLUMN, TIME_COLUMN
from .engine_errors import EngineError, column_error, is_about_data, planning_error, row_message
from .json_extract import Extractor
from .json_values import result_field
from .nested_nulls import nulls_pushed_down
from .plain_types import plain_field, unwritable_type
from .plan import Plan, RowFailure
from .rewrite import rewrite
from .sql_error import TooMuchMadeError

if TYPE_CHECKING:
    from .rewrite import Rewritten
    from .statements import Insert

HIDDEN_FIELDS = (
    pa.field(PARTITION_COLUMN, pa.int32()),
    pa.field(OFFSET_COLUMN, pa.int64()),
    pa.field(TIME_COLUMN, pa.timestamp("us", "UTC")),
)
TOGETHER_BYTES_MAX = 64 * 1024 * 1024
"""What the parts of a batch may make together."""
SINGLE_ROWS_MAX = 64
"""A failing part of this size is run record by record: then one bad record of 10,000 costs 3 ms, and 10,000 of them
0.5 s, where halving all the way takes 5 s."""


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
        SqlError: a column or function does not exist, types do not fit, two columns have one name, or no sink can
            write a column's type.
    """
    visible = [each for each in input_schema if each.name not in HIDDEN_COLUMNS]
    rewritten = rewrite(insert, visible, HIDDEN_COLUMNS, started_at)
    extracted = [result_field(name, want.kind) for wants in rewritten.shreds.values() for want, name in wants.items()]
    try:
        plan = Plan(rewritten.sql, pa.schema([*visible, *HIDDEN_FIELDS, *extracted]), rewritten.calls)
        plan.probe()
    except MemoryError:
        raise
    except Exception as exc:  # the engine raises any kind for a query it refuses
        raise planning_error(insert, [each.name for each in visible], exc) from exc
    compiled = CompiledInsert(rewritten, plan)
    for each in compiled.output_schema:
        if (bad := unwritable_type(each.type)) is not None:
            message = f"Column {each.name} has the type {bad}, which no sink can write. Cast it to another one."
            raise column_error(insert, each.name, message)
    return compiled


class CompiledInsert:
    """A planned INSERT. One thread at a time."""

    def __init__(self, rewritten: Rewritten, plan: Plan) -> None:
        self._rewritten = rewritten
        self._plan = plan
        self._row_plan: Plan | None = None
        self._shredders = [(column, Extractor(list(wants))) for column, wants in rewritten.shreds.items()]
        unseen = {*HIDDEN_COLUMNS, *(name for wants in rewritten.shreds.values() for name in wants.values())}
        self.output_schema = pa.schema([plain_field(each) for each in plan.output_schema if each.name not in unseen])
        """The columns of a row, in order, without the hidden ones."""
        self._rows_schema = pa.schema([*self.output_schema, *HIDDEN_FIELDS])
        self._made_bytes = 0

    def run(self, batch: pa.RecordBatch) -> Outcome:
        """The rows this INSERT makes of a batch.

        Raises:
            EngineError: the engine itself failed (memory, a defect); it says nothing about the records.
            TooMuchMadeError: rows would take more than TOGETHER_BYTES_MAX; those of records before its offset do not.
        """
        self._made_bytes = 0
        rows: list[pa.RecordBatch] = []
        bad: list[BadRow] = []
        if batch.num_rows:
            self._run_range(self._inputs(batch), 0, rows, bad)
        if not rows:
            return Outcome(pa.RecordBatch.from_pylist([], schema=self._rows_schema), tuple(bad))
        return Outcome(rows[0] if len(rows) == 1 else pa.concat_batches(rows), tuple(bad))

    def _inputs(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as the plan expects it: with the extracted columns, and no values under null structs."""
        schema = self._plan.input_schema
        arrays = [nulls_pushed_down(batch.column(name)) for name in schema.names if name in batch.schema.names]
        for column, extractor in self._shredders:
            arrays += extractor.extract(batch.column(column))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _run_range(self, inputs: pa.RecordBatch, start: int, rows: list[pa.RecordBatch], bad: list[BadRow]) -> None:
        """Run a part of the batch; where that fails, run its halves, and a small part record by record."""
        try:
            made = self._plan.run(inputs)
        except EngineError:
            raise
        except Exception as exc:  # noqa: BLE001  the engine raises bare Exception for a failed query
            _raise_unless_about_data(exc)
        else:
            self._keep(made, rows)
            return
        if inputs.num_rows <= SINGLE_ROWS_MAX:
            self._run_rows(inputs, start, rows, bad)
            return
        middle = inputs.num_rows // 2
        self._run_range(inputs.slice(0, middle), start, rows, bad)
        self._run_range(inputs.slice(middle), start + middle, rows, bad)

    def _run_rows(self, inputs: pa.RecordBatch, start: int, rows: list[pa.RecordBatch], bad: list[BadRow]) -> None:
        if self._row_plan is None:
            self._row_plan = Plan(self._rewritten.sql, self._plan.input_schema, self._rewritten.calls, rows_at_once=1)
        for made in self._row_plan.run_rows(inputs):
            if isinstance(made, RowFailure):
                _raise_unless_about_data(made.error)
                bad.append(BadRow(start + made.index, row_message(made.error)))
            else:
                self._keep([made], rows)

    def _keep(self, made: list[pa.RecordBatch], rows: list[pa.RecordBatch]) -> None:
        """Add what was made of a part. The first one is kept however large it is: a smaller batch makes it again."""
        outputs = [self._output(each) for each in made if each.num_rows]
        self._made_bytes += sum(each.nbytes for each in outputs)
        if rows and outputs and self._made_bytes > TOGETHER_BYTES_MAX:
            raise TooMuchMadeError(outputs[0].column(OFFSET_COLUMN)[0].as_py())
        rows += outputs

    def _output(self, made: pa.RecordBatch) -> pa.RecordBatch:
        columns = (made.column(name) for name in self._rows_schema.names)
        arrays = [
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip(columns, self._rows_schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._rows_schema)


def _raise_unless_about_data(exc: Exception) -> None:
    if not is_about_data(exc):
        raise EngineError(f"The SQL engine failed: {exc}") from exc
