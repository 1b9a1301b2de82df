"""Records of a stream as Arrow columns: newline-delimited JSON in, one RecordBatch out.

Bad records never fail a batch: they come back as errors, and the rows are the others'. Checked records are read by
Arrow's JSON reader where that is exact (columns_from_json.py), else from decoded records (columns_from_rows.py). Both
are about as fast; the first one leaves the interpreter to the event loop meanwhile. Nothing is kept beyond a batch.

This file and those beside it load pyarrow: import them only once there is a pipeline to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack
from typing import TYPE_CHECKING

from ..extras import needing

with needing("Pipelines need"):
    import pyarrow as pa
    import pyarrow.compute as pc

from .columns_from_json import ArrowReader, can_read
from .columns_from_rows import RowReader
from .columns_types import arrow_schema_of
from .validation import RecordChecker

if TYPE_CHECKING:
    from .record_types import TimestampFormat
    from .schema import Schema
    from .validation import ExtraFields, RecordError

LINES_BYTES_MAX = 2**31 - 2
"""Of one batch: Arrow's offsets into text have 32 bits."""
BATCHES_UNTIL_RETRY = 64
"""After Arrow's reader refused a batch: what it refuses (numbers as timestamps) a sender tends to send again."""


@dataclass(frozen=True, slots=True)
class Built:
    batch: pa.RecordBatch
    """The good records, in order."""
    kept: pa.Int64Array | None = None
    """Which records those are, counted from 0; None: all of them."""
    errors: tuple[RecordError, ...] = ()
    """What is wrong with the others, in order."""
    unknown_field_count: int = 0
    """Good records with a key that no field has; 0 where they were checked before, or are not counted."""


class ColumnBuilder:
    """Builds the columns of one stream.

    Args:
        extra_fields: what becomes of records with keys that no field has, see `RecordChecker`.
    """

    def __init__(
        self,
        schema: Schema | None,
        *,
        timestamp_format: TimestampFormat = "rfc3339",
        extra_fields: ExtraFields = "strip",
    ) -> None:
        self.arrow_schema: pa.Schema = arrow_schema_of(schema)
        """Without the hidden columns."""
        self._checker = RecordChecker(schema, extra_fields=extra_fields, timestamp_format=timestamp_format)
        self._rows = RowReader(schema, timestamp_format=timestamp_format) if schema else None
        self._arrow = ArrowReader(schema) if schema and can_read(schema) else None
        self._batches_until_retry = 0

    def build(self, lines: bytes, *, is_checked: bool = False) -> Built:
        """The columns of `lines`: one record a line, each line ended, no empty ones.

        Args:
            is_checked: a `RecordChecker` of the same schema found nothing wrong with any of them.
        """
        assert len(lines) <= LINES_BYTES_MAX, "the reader gives out smaller chunks"
        if is_checked:
            try:
                return Built(self._columns(lines))
            except (ValueError, ArithmeticError, RecursionError):
                pass  # the claim is wrong: say which records are bad, as for any other lines
        checked = self._checker.check(lines)
        if not checked.errors:
            return Built(self._columns(lines), unknown_field_count=checked.unknown_field_count)
        bad = {error.index for error in checked.errors}
        texts = lines.split(b"\n")
        kept = [index for index in range(checked.count) if index not in bad]
        good_lines = b"".join(texts[index] + b"\n" for index in kept)
        return Built(self._columns(good_lines), pa.array(kept, pa.int64()), checked.errors, checked.unknown_field_count)

    def _columns(self, lines: bytes) -> pa.RecordBatch:
        if not lines:
            return pa.RecordBatch.from_pylist([], schema=self.arrow_schema)
        if self._rows is None:
            return pa.RecordBatch.from_arrays([_texts(lines)], schema=self.arrow_schema)
        if self._arrow is not None and self._batches_until_retry == 0:
            try:
                return self._arrow.read(lines)
            except pa.ArrowInvalid:
                self._batches_until_retry = BATCHES_UNTIL_RETRY
        self._batches_until_retry = max(0, self._batches_until_retry - 1)
        return self._rows.read(lines)


def _texts(lines: bytes) -> pa.StringArray:
    """Each line as a string, without a Python object for any of them."""
    whole = pa.StringArray.from_buffers(1, pa.py_buffer(pack("=ii", 0, len(lines) - 1)), pa.py_buffer(lines))
    return pc.split_pattern(whole, "\n").values
