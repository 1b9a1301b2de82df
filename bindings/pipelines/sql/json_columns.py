"""A column of JSON values, still bytes, into an Arrow array: at once where all are of the kind, else one by one.

At once: the values joined into one JSON list, which msgspec reads by type. It refuses the list if a single value is of
another type; those columns go value by value through `json_values.py`, which gives the same for every value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from .json_values import ARROW_TYPES, converter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .json_kinds import Kind, Want

BAD_JSON = (msgspec.DecodeError, RecursionError, UnicodeError)


def column_maker(want: Want) -> Callable[[Sequence[bytes | None]], pa.Array]:
    """The function from the bytes at a want's path (None: no document, b"": nowhere) to its column."""
    convert = converter(want)
    arrow_type = ARROW_TYPES[want.kind]
    at_once = None if want.query else _AT_ONCE.get(want.kind)

    def make(rows: Sequence[bytes | None]) -> pa.Array:
        if at_once is not None and (column := at_once(rows)) is not None:
            return column
        return pa.array([None if row is None else _one(convert, row) for row in rows], type=arrow_type)

    return make


def _one(convert: Callable[[bytes], Any], row: bytes) -> Any:
    try:
        return convert(row)
    except BAD_JSON:
        return None


def _typed(kind: Kind, json_type: Any, refused: tuple[bytes, ...] = ()) -> Callable[[Sequence[bytes | None]], Any]:
    decode = msgspec.json.Decoder(list[json_type | None]).decode
    arrow_type = ARROW_TYPES[kind]

    def at_once(rows: Sequence[bytes | None]) -> pa.Array | None:
        joined = b",".join([row or b"null" for row in rows])
        if any(each in joined for each in refused):
            return None
        try:
            return pa.array(decode(b"[%b]" % joined), type=arrow_type)
        except (*BAD_JSON, pa.ArrowInvalid, OverflowError):
            return None

    return at_once


def _as_they_are(rows: Sequence[bytes | None]) -> pa.Array:
    return pa.array([None if row in _NO_VALUE else row for row in rows], type=pa.string())


_NO_VALUE = (None, b"", b"null")
_AT_ONCE: dict[Kind, Callable[[Sequence[bytes | None]], Any]] = {
    "value": _as_they_are,
    "text": _typed("text", str),
    "str": _typed("str", str),
    # msgspec takes 1.0 for an integer, the crate does not.
    "int": _typed("int", int, refused=(b".", b"e", b"E")),
    "float": _typed("float", float),
    "bool": _typed("bool", bool),
}
