"""One value of a JSON document, still text, into what an SQL function gives for it.

A value travels as its own bytes (`msgspec.Raw`), so 2^53 + 1, 0.10 and {"a":  1} reach the sink as they were sent.
Kinds follow the Rust crate datafusion-functions-json, which the hosted service uses: a value of another type is NULL,
nothing is converted. JSON null is NULL, but text for `json_get_json`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import pyarrow as pa

from ..schemas.columns_types import JSON_MARK
from .jsonpath import find_all, parse_jsonpath

if TYPE_CHECKING:
    from collections.abc import Callable

    from .json_kinds import Kind, Want

    Convert: TypeAlias = Callable[[bytes], object]

ARROW_TYPES: dict[Kind, pa.DataType] = {
    "value": pa.string(),
    "text": pa.string(),
    "json": pa.string(),
    "str": pa.string(),
    "str_or_empty": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "number": pa.string(),
    "length": pa.uint64(),
    "contains": pa.bool_(),
    "nodes": pa.list_(pa.string()),
    "node_str": pa.string(),
}


def result_field(name: str, kind: Kind) -> pa.Field:
    """A column of that kind. JSON values are marked, so that a sink of JSON writes them as they are, not as strings."""
    mark = JSON_MARK if kind in ("value", "json") else None
    return pa.field(name, ARROW_TYPES[kind], metadata=mark)


INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_INTEGER = re.compile(rb"-?\d+")
_INT64_DIGITS = 20
_NUMBER_BEGINS = frozenset(b"%c" % byte for byte in b"-0123456789")
_BOOLS = {b"true": True, b"false": False}
_decode_string = msgspec.json.Decoder(str).decode


def decode_text(raw: bytes) -> str | None:
    """What `->>` gives: a string without its quotes, NULL for null, else the value's own text."""
    if raw[:1] == b'"':
        return _decode_string(raw)
    return _value(raw)


def _value(raw: bytes) -> str | None:
    return None if raw in (b"", b"null") else raw.decode()


def _json(raw: bytes) -> str | None:
    return raw.decode() if raw else None


def _str(raw: bytes) -> str | None:
    return _decode_string(raw) if raw[:1] == b'"' else None


def _str_or_empty(raw: bytes) -> str | None:
    return _str(raw) if raw else ""


def _int(raw: bytes) -> int | None:
    if len(raw) > _INT64_DIGITS or _INTEGER.fullmatch(raw) is None:
        return None
    value = int(raw)
    return value if INT64_MIN <= value <= INT64_MAX else None


def _float(raw: bytes) -> float | None:
    return float(raw) if raw[:1] in _NUMBER_BEGINS else None


def _bool(raw: bytes) -> bool | None:
    return _BOOLS.get(raw)


def _number(raw: bytes) -> str | None:
    return raw.decode() if raw[:1] in _NUMBER_BEGINS else None


def _length(raw: bytes) -> int | None:
    if raw[:1] == b"{":
        return len(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    return len(msgspec.json.decode(raw, type=list[msgspec.Raw])) if raw[:1] == b"[" else None


def converter(want: Want) -> Convert:
    """The function that makes a want's result of the bytes at its path; b"" is a path that leads nowhere."""
    if want.query:
        segments = parse_jsonpath(want.query)
        select = _nodes if want.kind == "nodes" else _node_str
        return lambda raw: select(find_all(segments, raw, raw) if raw else [])
    return _CONVERTERS[want.kind]


def _nodes(found: list[bytes]) -> list[str]:
    return [each.decode() for each in found]


def _node_str(found: list[bytes]) -> str | None:
    return _str(found[0]) if found else None


_CONVERTERS: dict[Kind, Convert] = {
    "value": _value,
    "text": decode_text,
    "json": _json,
    "str": _str,
    "str_or_empty": _str_or_empty,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "number": _number,
    "length": _length,
    "contains": bool,
}
