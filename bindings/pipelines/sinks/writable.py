"""Rows with a date or time that no format can write.

Arrow counts from 1970 in 64 bits, which reaches further than any calendar: SQL can make the year 200,000 of a number.
JSON text would read "value out of range", Parquet's milliseconds overflow and Iceberg's statistics raise, for the whole
roll. So such rows are found before they are staged.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ..schemas.record_types import YEAR_1_S, YEAR_10000_S

UNWRITABLE = "The SQL makes a date outside the years 1 to 9999, or a time outside a day."

_DAY_S = 86_400
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def unwritable_rows(batch: pa.RecordBatch) -> pa.Array:
    """Positions of the rows that hold such a value, nested ones too; a row may be named twice."""
    found = [_found_in(column) for column in batch.columns]
    return pa.concat_arrays([each for each in found if each is not None] or [pa.array([], pa.int64())])


def _found_in(column: pa.Array) -> pa.Array | None:
    """Positions of the values that cannot be written; None: there are none."""
    kind = column.type
    if pa.types.is_map(kind):
        entries = pa.StructArray.from_arrays([column.keys, column.items], ["key", "value"])
        return _found_in(pa.ListArray.from_arrays(column.offsets, entries))
    if pa.types.is_struct(kind):
        found = [each for each in map(_found_in, column.flatten()) if each is not None]
        return pa.concat_arrays(found) if found else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _found_in(column.flatten())
        return None if inner is None else pc.list_parent_indices(column).take(inner).cast(pa.int64())
    bounds = _bounds_of(kind)
    return None if bounds is None else _outside(column, *bounds)


def _outside(column: pa.Array, low: int, high: int) -> pa.Array | None:
    numbers = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64())
    ends = pc.min_max(numbers)
    if not ends["min"].is_valid or (ends["min"].as_py() >= low and ends["max"].as_py() < high):
        return None
    numbers = numbers.cast(pa.int64())
    is_outside = pc.or_(pc.less(numbers, low), pc.greater_equal(numbers, high))
    return pc.indices_nonzero(pc.fill_null(is_outside, False)).cast(pa.int64())


def _bounds_of(kind: pa.DataType) -> tuple[int, int] | None:
    """From which number on and below which one a value has a date, or is a time of day."""
    if pa.types.is_timestamp(kind):
        per_second = _PER_SECOND[kind.unit]
        if kind.unit == "ns":
            return None  # 64 bits end in 2262
        return YEAR_1_S * per_second, YEAR_10000_S * per_second
    if pa.types.is_date32(kind):
        return YEAR_1_S // _DAY_S, YEAR_10000_S // _DAY_S
    if pa.types.is_date64(kind):
        return YEAR_1_S * 1000, YEAR_10000_S * 1000
    if pa.types.is_time(kind):
        return 0, _DAY_S * _PER_SECOND[kind.unit]
    return None
