"""What a schema demands of a value that its msgspec type cannot say: five limits, looked at after decoding.

uint64: at most 2**64-1 (msgspec's bounds end at int64). decimal128: its digits fit without rounding. timestamp as text:
in UTC still within the years 1 to 9999, in nanoseconds within 1677 to 2262. json, required: not null. A schema without
these fields costs nothing here; with them a whole frame is looked at column by column, and only a frame that may hold a
bad value is looked at by record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from decimal import Decimal

    from .findings import ErrorKind
    from .schema import Field

_NANOSECONDS_SINCE = datetime(1677, 9, 21, 0, 12, 44, tzinfo=UTC)
_NANOSECONDS_UNTIL = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)
"""Whole seconds inside what 64 bits of nanoseconds reach."""


class Limit(Protocol):
    @property
    def kind(self) -> ErrorKind: ...

    @property
    def message(self) -> str: ...

    def is_kept(self, value: Any) -> bool: ...

    def are_kept(self, values: Sequence[Any]) -> bool:
        """Quickly whether all are; may answer False when they are, never True when they are not."""


class _UInt64:
    kind: ErrorKind = "type_mismatch"
    message = "Expected whole number <= 18446744073709551615."

    def is_kept(self, value: int) -> bool:
        return value < 2**64

    def are_kept(self, values: Sequence[int]) -> bool:
        return max(values, default=0) < 2**64


class _Years:
    kind: ErrorKind = "parse_failure"
    message = "The timestamp is outside the years 1 to 9999 in UTC."

    def is_kept(self, value: datetime | int) -> bool:
        if isinstance(value, int) or value.tzinfo is None:
            return True
        try:
            value.astimezone(UTC)
        except OverflowError:
            return False
        return True

    def are_kept(self, values: Sequence[datetime | int]) -> bool:
        years = {value.year for value in values if type(value) is datetime}
        return not years or (min(years) > 1 and max(years) < 9999)


class _Nanoseconds:
    kind: ErrorKind = "parse_failure"
    message = "The timestamp is outside what nanoseconds can count: 1677-09-21 to 2262-04-11."

    def is_kept(self, value: datetime | int) -> bool:
        if isinstance(value, int):
            return True
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return _NANOSECONDS_SINCE <= moment <= _NANOSECONDS_UNTIL

    def are_kept(self, values: Sequence[datetime | int]) -> bool:
        years = {value.year for value in values if type(value) is datetime}
        return not years or (min(years) > 1677 and max(years) < 2262)


class _NotNull:
    kind: ErrorKind = "null_value"
    message = "Expected any JSON value but null, got null."

    def is_kept(self, value: Any) -> bool:
        return bytes(value) != b"null"

    def are_kept(self, values: Sequence[Any]) -> bool:
        return b"null" not in map(bytes, values)


@dataclass(frozen=True, slots=True)
class _Decimal:
    precision: int
    scale: int
    kind: ErrorKind = "type_mismatch"

    @property
    def message(self) -> str:
        return f"Expected a decimal with at most {self.precision} digits, {self.scale} of them after the point."

    def is_kept(self, value: Decimal) -> bool:
        if not value.is_finite():
            return False
        if not value:
            return True
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int), "finite"
        if value.adjusted() + 1 + self.scale > self.precision:
            return False
        surplus = -exponent - self.scale
        return surplus <= 0 or (surplus < len(digits) and not any(digits[-surplus:]))

    def are_kept(self, values: Sequence[Decimal]) -> bool:
        return all(map(self.is_kept, values))


_ITEMS = -1
"""A step into a list; other steps are the position of a struct's field."""


@dataclass(frozen=True, slots=True)
class LimitedField:
    """A field with a limit and the way to it from a record."""

    limit: Limit
    steps: tuple[tuple[int, str], ...]

    def is_kept_by_all(self, records: list[Any]) -> bool:
        """Quickly, see `Limit.are_kept`."""
        values = records
        for position, _ in self.steps:
            if position == _ITEMS:
                values = list(chain.from_iterable(values))
            else:
                values = list(map(attrgetter(f"f{position}"), values))
            values = [value for value in values if value is not None]
        return self.limit.are_kept(values)

    def broken_at(self, record: Any) -> str | None:
        """The path of the first value in `record` that breaks the limit."""
        values: Iterable[tuple[str, Any]] = [("$", record)]
        for position, name in self.steps:
            values = _entered(values, position, name)
        return next((path for path, value in values if not self.limit.is_kept(value)), None)


def _entered(values: Iterable[tuple[str, Any]], position: int, name: str) -> Iterator[tuple[str, Any]]:
    for path, value in values:
        if position == _ITEMS:
            inner = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        else:
            inner = [(f"{path}.{name}", getattr(value, f"f{position}"))]
        yield from ((where, item) for where, item in inner if item is not None)


def limited_fields(fields: Sequence[Field], above: tuple[tuple[int, str], ...] = ()) -> Iterator[LimitedField]:
    """Every field of a schema, nested ones too, that has a limit."""
    for position, field in enumerate(fields):
        yield from _limits_within(field, (*above, (position, field.name)))


def _limits_within(field: Field, steps: tuple[tuple[int, str], ...]) -> Iterator[LimitedField]:
    if field.type == "struct":
        yield from limited_fields(field.fields, steps)
    elif field.items is not None:
        yield from _limits_within(field.items, (*steps, (_ITEMS, "")))
    elif (limit := _limit_of(field)) is not None:
        yield LimitedField(limit, steps)


def _limit_of(field: Field) -> Limit | None:
    if field.type == "uint64":
        return _UInt64()
    if field.type == "timestamp":
        return _Nanoseconds() if field.unit == "nanosecond" else _Years()
    if field.type == "json" and field.required:
        return _NotNull()
    if field.type == "decimal128":
        assert field.precision is not None, "a decimal128 has a precision"
        return _Decimal(field.precision, field.scale or 0)
    return None
