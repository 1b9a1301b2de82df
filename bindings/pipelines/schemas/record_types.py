"""A schema as the msgspec type that decodes its records: everything of a schema that msgspec can check in C.

Struct attributes are called f0, f1 ... in the order of the schema, because a JSON key may be any text.
What msgspec cannot say (the upper bound of uint64, digits of a decimal, ...) is in value_limits.py.
Source: spec "Pipelines" 1.2 and 5.4; JSON forms as in Cloudflare docs, Pipelines "Data types".
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .schema import Field, TimestampUnit

TimestampFormat: TypeAlias = Literal["rfc3339", "unix_millis"]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
FLOAT32_MAX = 3.4028235677973362e38
"""The largest double that still rounds to a finite float32."""
YEAR_1_S, YEAR_10000_S = -62_135_596_800, 253_402_300_800
"""From when and before when, in Unix seconds, a timestamp has a date, and so a sink can write it."""
UNITS_PER_SECOND = {"second": 1, "millisecond": 10**3, "microsecond": 10**6, "nanosecond": 10**9}

_PLAIN_TYPES: dict[str, Any] = {
    "string": str,
    "bool": bool,
    "int32": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "int64": Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)],
    "uint32": Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)],
    "uint64": Annotated[int, msgspec.Meta(ge=0)],
    "float32": Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)],
    "float64": float,
    "decimal128": Decimal,
    "binary": bytes,
    "bytes": bytes,
}


def record_type(
    fields: Sequence[Field],
    *,
    timestamp_format: TimestampFormat,
    has_parsed_timestamps: bool = True,
    forbid_unknown_fields: bool = False,
) -> Any:
    """The Struct of a record with these fields. Absent optional fields are None, an absent json one the text `null`.

    Args:
        has_parsed_timestamps: a timestamp's text becomes a datetime, else it stays text: a datetime ends at
            microseconds, and making one costs more than Arrow's own parser.
        forbid_unknown_fields: refuse a key that no field has, here and in nested structs.
    """

    def type_of(field: Field) -> Any:
        if field.type == "json":
            return msgspec.Raw  # takes null too; value_limits.py refuses it where the field is required
        if field.type == "struct":
            plain = struct_of(field.fields)
        elif field.type == "list":
            assert field.items is not None, "a list has items"
            plain = list[type_of(field.items)]  # type: ignore[misc]  # a type made at run time
        elif field.type == "timestamp":
            number = _timestamp_number(field.unit, timestamp_format)
            plain = datetime | number if has_parsed_timestamps else str | number
        else:
            plain = _PLAIN_TYPES[field.type]
        return plain if field.required else plain | None

    def struct_of(fields: Sequence[Field]) -> Any:
        members: list[Any] = []
        for index, field in enumerate(fields):
            member = (f"f{index}", type_of(field))
            default = msgspec.Raw(b"null") if field.type == "json" else None
            members.append(member if field.required else (*member, default))
        return msgspec.defstruct(
            "Record",
            members,
            rename={f"f{index}": field.name for index, field in enumerate(fields)},
            forbid_unknown_fields=forbid_unknown_fields,
            kw_only=True,  # lets a required field follow an optional one
            gc=False,  # a record holds no cycles: the collector need not look
        )

    return struct_of(fields)


def number_unit(unit: TimestampUnit | None, timestamp_format: TimestampFormat) -> TimestampUnit:
    """What a number counts: the stream's format wins, then the field's unit."""
    return "millisecond" if timestamp_format == "unix_millis" else unit or "millisecond"


def _timestamp_number(unit: TimestampUnit | None, timestamp_format: TimestampFormat) -> Any:
    """An int that has a date and, counted in the column's unit, still fits 64 bits."""
    counted, kept = (UNITS_PER_SECOND[name] for name in (number_unit(unit, timestamp_format), column_unit(unit)))
    factor = max(1, kept // counted)
    fitting = INT64_MAX // factor
    return Annotated[
        int, msgspec.Meta(ge=max(-fitting, YEAR_1_S * counted), le=min(fitting, YEAR_10000_S * counted - 1))
    ]


def column_unit(unit: TimestampUnit | None) -> TimestampUnit:
    return unit or "millisecond"
