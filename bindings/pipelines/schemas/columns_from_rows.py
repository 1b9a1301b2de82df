"""Columns from decoded records: exact for every type, and for keys that are there twice (the last one counts).

A struct's children are null where the struct is, because a planner may look at the child alone: pyarrow's own way from
Python dicts leaves '' and 0 there. Source: spec "Pipelines" 4 and 5.4.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from itertools import accumulate, chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from .columns_types import arrow_field, timestamp_type
from .record_types import UNITS_PER_SECOND, column_unit, number_unit, record_type
from .schema_json import PRECISION_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .record_types import TimestampFormat
    from .schema import Field, Schema, TimestampUnit


_EXACT = Context(prec=PRECISION_MAX, traps=[Inexact, InvalidOperation])


class RowReader:
    """Reads checked lines of any schema."""

    def __init__(self, schema: Schema, *, timestamp_format: TimestampFormat) -> None:
        self._fields = schema.fields
        self._target = pa.schema([arrow_field(field) for field in schema.fields])
        self._timestamp_format: TimestampFormat = timestamp_format
        row = record_type(schema.fields, timestamp_format=timestamp_format, has_parsed_timestamps=False)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)

    def read(self, lines: bytes) -> pa.RecordBatch:
        """One row a line.

        Raises:
            ValueError: the lines were not checked.
        """
        rows = self._decoder.decode_lines(lines)
        columns = [
            self._column(field, wanted.type, list(map(attrgetter(f"f{position}"), rows)))
            for position, (field, wanted) in enumerate(zip(self._fields, self._target, strict=True))
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._target)

    def _column(self, field: Field, kind: Any, values: list[Any]) -> pa.Array:
        if field.type == "struct":
            return self._struct_column(field, kind, values)
        if field.type == "list":
            return self._list_column(field, kind, values)
        if field.type == "json":
            texts = [None if value is None else bytes(value) for value in values]
            return pa.array([None if text == b"null" else text for text in texts], kind)
        if field.type == "timestamp":
            return _timestamps(values, field.unit, number_unit(field.unit, self._timestamp_format))
        if field.type == "decimal128":
            unit = Decimal((0, (1,), -(field.scale or 0)))
            # pyarrow counts digits as written: 0.00e9 would have too many
            values = [None if value is None else value.quantize(unit, context=_EXACT) for value in values]
        return pa.array(values, kind)

    def _struct_column(self, field: Field, kind: Any, values: list[Any]) -> pa.Array:
        children = [
            self._column(child, kind.field(position).type, _members(values, f"f{position}"))
            for position, child in enumerate(field.fields)
        ]
        is_null = pa.array([value is None for value in values], pa.bool_())
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=is_null)

    def _list_column(self, field: Field, kind: Any, values: list[Any]) -> pa.Array:
        assert field.items is not None, "a list has items"
        present = [value for value in values if value is not None]
        items = self._column(field.items, kind.value_type, list(chain.from_iterable(present)))
        ends = accumulate((0 if value is None else len(value) for value in values), initial=0)
        is_null = pa.array([value is None for value in values], pa.bool_())
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items, type=kind, mask=is_null)


def _members(values: list[Any], name: str) -> list[Any]:
    return [None if value is None else getattr(value, name) for value in values]


def _timestamps(values: list[Any], unit: TimestampUnit | None, counted: TimestampUnit) -> pa.Array:
    kind = timestamp_type(unit)
    types = set(map(type, values))
    if str not in types:
        return pa.array(_counted(values, unit, counted), pa.int64()).view(kind)
    if int not in types:
        try:
            return _parsed(values, unit)
        except pa.ArrowInvalid:
            pass  # text without a zone, more digits than the unit, t or z: each by itself
    texts = [None if type(value) is int else value for value in values]
    numbers = _counted([value if type(value) is int else None for value in values], unit, counted)
    instants = (number if text is None else _instant(text, unit) for text, number in zip(texts, numbers, strict=True))
    return pa.array(instants, pa.int64()).view(kind)


def _counted(numbers: Sequence[int | None], unit: TimestampUnit | None, counted: TimestampUnit) -> list[int | None]:
    """Numbers of `counted` as numbers of `unit`, rounded down."""
    per_second, per_second_counted = UNITS_PER_SECOND[column_unit(unit)], UNITS_PER_SECOND[counted]
    if per_second == per_second_counted:
        return list(numbers)
    return [None if number is None else number * per_second // per_second_counted for number in numbers]


def _parsed(texts: list[str | None], unit: TimestampUnit | None) -> pa.Array:
    """By Arrow's own parser, which takes the usual form of RFC 3339 with a zone."""
    with_zone = pa.array(texts, pa.string()).cast(timestamp_type(unit, "UTC"))
    return with_zone.view(timestamp_type(unit))


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-]\d\d):?(\d\d))?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _instant(text: str, unit: TimestampUnit | None) -> int:
    """RFC 3339 in `unit` since 1970: no zone is UTC, digits beyond the unit are cut off."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("the lines were not checked")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    since = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if match[8]:
        away = int(match[8][1:]) * 3600 + int(match[9]) * 60
        seconds += away if match[8][0] == "-" else -away
    per_second = UNITS_PER_SECOND[column_unit(unit)]
    nanoseconds = int((match[7] or "").ljust(9, "0")[:9])
    return seconds * per_second + nanoseconds * per_second // 10**9
