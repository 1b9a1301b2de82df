"""What the records of a stream look like: fields, types, nesting. As a value; checking and columns are beside it.

A schema never changes once its stream exists. A stream without one is unstructured: one column `value`, the JSON text.
Source: Cloudflare docs, Pipelines "Manage streams"; API reference "Pipelines: streams".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FieldType: TypeAlias = Literal[
    "string",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "bool",
    "timestamp",
    "json",
    "binary",
    "bytes",
    "decimal128",
    "list",
    "struct",
]
TimestampUnit: TypeAlias = Literal["second", "millisecond", "microsecond", "nanosecond"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `bytes` is wrangler's word for `binary`; `binary` is what the API returns."""

    type: FieldType
    name: str = ""
    """Empty for the items of a list."""
    required: bool = False
    unit: TimestampUnit | None = None
    """Of a timestamp that comes as a number; RFC 3339 text is always taken."""
    items: Field | None = None
    """Of a list."""
    fields: tuple[Field, ...] = ()
    """Of a struct."""
    precision: int | None = None
    scale: int | None = None
    metadata_key: str | None = None
    sql_name: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a structured stream, in order."""

    fields: tuple[Field, ...]
