"""Which records of a request fit the stream's schema, and what is wrong with the others.

The schema is compiled once to a type that msgspec decodes into; decoding *is* the check. A whole request is decoded
first, which is what almost always passes; only when it fails, each record is decoded by itself, so that every bad one
is found and named. Records are dropped as soon as they are decoded: nothing is kept.

Keys that no field has are found by a decoder that refuses them, which costs nothing while there are none.
Source: spec "Pipelines" 1.4 (kinds of errors) and 5.4; the kinds are Arroyo's, arroyo-formats/src/de.rs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from .findings import Finding, finding_in, shortened
from .record_types import TimestampFormat, record_type
from .value_limits import limited_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .findings import ErrorKind
    from .schema import Schema

ExtraFields: TypeAlias = Literal["strip", "warn", "reject"]

RECORDS_AT_ONCE_MAX = 20_000
"""Decoded together. More are checked in parts: `{}` takes 8 bytes for each field of the schema meanwhile."""


@dataclass(frozen=True, slots=True)
class RecordError:
    """What is wrong with one record: the first thing found. Message and path hold no values of the record."""

    index: int
    """Position in what was checked, from 0."""
    kind: ErrorKind
    path: str
    """`$` is the record itself: `$.md.tags[2]`."""
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    count: int
    """Records, bad ones included."""
    errors: tuple[RecordError, ...] = ()
    """In order, at most one a record."""
    unknown_field_count: int = 0
    """Good records with a key that no field has. Not counted (0) where `extra_fields` is "strip"."""
    unknown_field_path: str | None = None
    """The first of these keys."""


class MalformedBodyError(ValueError):
    """Raised when a body is no JSON array: nothing of it is a record."""

    def __init__(self, *, is_json: bool) -> None:
        super().__init__("The body is JSON, but no array." if is_json else "The body is not JSON in UTF-8.")
        self.is_json = is_json


class RecordChecker:
    """Checks records against one schema; without one (an unstructured stream) any JSON value is good.

    Args:
        extra_fields: keys that no field has make a record bad ("reject"), are counted ("warn") or not even that.
        timestamp_format: "unix_millis" reads every timestamp that is a number as milliseconds, whatever its unit.
    """

    def __init__(
        self,
        schema: Schema | None,
        *,
        extra_fields: ExtraFields = "warn",
        timestamp_format: TimestampFormat = "rfc3339",
    ) -> None:
        self._is_structured = schema is not None
        self._is_unknown_bad = extra_fields == "reject"
        self._limits = tuple(limited_fields(schema.fields)) if schema else ()
        self._generous = _Decoders(
            record_type(schema.fields, timestamp_format=timestamp_format) if schema else msgspec.Raw
        )
        self._strict = self._generous
        if schema and extra_fields != "strip":
            self._strict = _Decoders(
                record_type(schema.fields, timestamp_format=timestamp_format, forbid_unknown_fields=True)
            )

    def check(self, records: bytes | Sequence[bytes], *, is_lines: bool = True) -> Checked:
        """Check records as newline-delimited JSON, as one JSON array (`is_lines=False`), or each as a text.

        Raises:
            MalformedBodyError: a body given with `is_lines=False` is no JSON array.
        """
        if not isinstance(records, bytes):
            return self._check_each(records)
        if records.count(b"\n" if is_lines else b"{") > RECORDS_AT_ONCE_MAX:
            return self._check_in_parts(_lines(records) if is_lines else _elements(records))
        return self._check_at_once(records, is_lines=is_lines)

    def _check_in_parts(self, records: list[bytes]) -> Checked:
        parts = [
            self._check_at_once(
                b"\n".join((*records[start : start + RECORDS_AT_ONCE_MAX], b"")), is_lines=True, first_index=start
            )
            for start in range(0, len(records), RECORDS_AT_ONCE_MAX)
        ]
        return Checked(
            len(records),
            tuple(chain.from_iterable(part.errors for part in parts)),
            sum(part.unknown_field_count for part in parts),
            next((part.unknown_field_path for part in parts if part.unknown_field_path), None),
        )

    def _check_at_once(self, body: bytes, *, is_lines: bool, first_index: int = 0) -> Checked:
        count = self._count_if_all_good(self._strict, body, is_lines=is_lines)
        if count is not None:
            return Checked(count)
        records = _lines(body) if is_lines else _elements(body)
        if self._strict is not self._generous and not self._is_unknown_bad:
            count = self._count_if_all_good(self._generous, body, is_lines=is_lines)
            if count is not None:
                return self._count_unknown(records)
        return self._check_each(records, first_index)

    def _count_if_all_good(self, decoders: _Decoders, body: bytes, *, is_lines: bool) -> int | None:
        """None: something in it needs a closer look, which may find that nothing is wrong."""
        try:
            if not body.isascii():
                body.decode()  # msgspec does not look into text that it skips
            rows = decoders.record.decode_lines(body) if is_lines else decoders.array.decode(body)
        except (ValueError, RecursionError):
            return None
        if is_lines and not self._is_one_a_line(body, rows):
            return None
        return len(rows) if all(limited.is_kept_by_all(rows) for limited in self._limits) else None

    def _is_one_a_line(self, lines: bytes, rows: list[Any]) -> bool:
        """msgspec takes any white space between records, and newlines inside them: two halves would pass as one."""
        if not self._is_structured:
            return b"\n".join((*rows, b"")) == lines
        if not rows:
            return not lines
        # `}`, white space, `{`: in JSON that is only found between two values, never inside one
        return (
            lines.count(b"}\n{") == len(rows) - 1
            and lines.count(b"\n") == len(rows)
            and lines.startswith(b"{")
            and lines.endswith(b"}\n")
        )

    def _count_unknown(self, records: Sequence[bytes]) -> Checked:
        """Of records that are all good, so that whatever the strict decoder refuses is a key that no field has."""
        count = 0
        first: Finding | None = None
        decode = self._strict.record.decode
        for record in records:
            try:
                decode(record)
            except msgspec.ValidationError as error:
                count += 1
                first = first or finding_in(str(error))
        return Checked(len(records), (), count, first.path if first else None)

    def _check_each(self, records: Sequence[bytes], first_index: int = 0) -> Checked:
        errors: list[RecordError] = []
        unknown: list[Finding] = []
        for index, record in enumerate(records, first_index):
            finding = self._finding_of(record)
            if finding is None:
                continue
            if finding.kind != "unknown_field" or self._is_unknown_bad:
                errors.append(RecordError(index, finding.kind, finding.path, finding.message))
            else:
                unknown.append(finding)
        return Checked(len(records), tuple(errors), len(unknown), unknown[0].path if unknown else None)

    def _finding_of(self, record: bytes) -> Finding | None:
        """What is wrong with a record; an unknown field only when nothing else is."""
        row, finding = _decoded(self._strict.record, record)
        if finding is not None and finding.kind == "unknown_field" and not self._is_unknown_bad:
            unknown = finding
            row, finding = _decoded(self._generous.record, record)
            finding = finding or self._limit_broken_by(row) or unknown
        return finding or self._limit_broken_by(row)

    def _limit_broken_by(self, row: Any) -> Finding | None:
        for limited in self._limits:
            if (path := limited.broken_at(row)) is not None:
                return Finding(limited.limit.kind, shortened(path), limited.limit.message)
        return None


class _Decoders:
    """Of one type: for a record, and for an array of them."""

    def __init__(self, of: Any) -> None:
        self.record: msgspec.json.Decoder[Any] = msgspec.json.Decoder(of)
        self.array: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[of])


def _decoded(decoder: msgspec.json.Decoder[Any], record: bytes) -> tuple[Any, Finding | None]:
    try:
        if not record.isascii():
            record.decode()
        return decoder.decode(record), None
    except msgspec.ValidationError as error:
        return None, finding_in(str(error))
    except UnicodeDecodeError:
        return None, Finding("parse_failure", "$", "The record is not UTF-8.")
    except RecursionError:
        return None, Finding("parse_failure", "$", "The record is nested too deep.")
    except ValueError:
        return None, Finding("parse_failure", "$", "The record is not JSON.")


def _lines(lines: bytes) -> list[bytes]:
    texts = lines.split(b"\n")
    return texts[:-1] if not texts[-1] else texts


_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


def _elements(body: bytes) -> list[bytes]:
    try:
        if not body.isascii():
            body.decode()
        if b"\n" in body:
            body = body.replace(b"\n", b" ")  # in JSON only space between values: each element is one line now
        return list(map(bytes, _ELEMENTS.decode(body)))
    except msgspec.ValidationError:
        raise MalformedBodyError(is_json=True) from None
    except (ValueError, RecursionError):
        raise MalformedBodyError(is_json=False) from None
