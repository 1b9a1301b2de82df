"""Records to bytes: what may travel in a `send`, checked without touching each value one by one in Python.

The encoder (msgspec) is fast but generous: it writes NaN as null, a tuple as a list, a UUID as a string. JSON and
Workers RPC would refuse or change those, so the types are checked first, level by level and in C:
`set(map(type, values))` sees a hundred flat records at once. Only a batch that holds something else takes
the exact walk, which either names the first bad value by record and path, or writes what JavaScript would send.

What JavaScript would send: a datetime is a Date, so its ISO 8601 text in UTC with milliseconds (a naive one is UTC, as
a Worker's clock is); an int key is a property name, so its decimal text. Integers of any size keep every digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from ...runtime.core.errors import BindingError
from ...runtime.core.js_dict import JsDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH_BYTES_MAX = 5 * 1024 * 1024
"""Of one `send`, as a JSON array. Source: Cloudflare docs, Pipelines "Limits" (5 MB)."""
DEPTH_MAX = 64
"""Objects and arrays inside each other within one record, the record itself counted."""
PATH_CHARS_MAX = 120

_SCALARS = {str, int, float, bool, type(None)}
_CONTAINERS = {dict, list, JsDict}
_PLAIN = _SCALARS | _CONTAINERS
_NOT_OVER_RPC = (tuple, bytearray)

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Batch:
    """Encoded records, all of one `send`: accepted together or not at all."""

    lines: bytes
    """JSON, one record a line, each line ended."""
    count: int


class RecordTypeError(BindingError, TypeError):
    """Raised for a value of a type that cannot be sent; a TypeError, as Cloudflare's SDK raises for these."""

    def __init__(self, message: str) -> None:
        super().__init__(message, name="TypeError", http_status=400)


def encode_records(records: list[Any]) -> Batch:
    """The records as newline-delimited JSON.

    Raises:
        RecordTypeError: a value of a type JSON does not have, or that RPC refuses; names the record and the path.
        BindingError: NaN or Infinity, a record nested too deep, a batch too large.
    """
    types = _plain_types(records)
    if types is None:
        return Batch(_encode_lines(_exact_copies(records)), len(records))
    lines = _encode_lines(records)
    if float in types and b"null" in lines and not _is_finite(records):  # the encoder writes null for NaN
        _exact_copies(records)  # raises: it says where
    return Batch(lines, len(records))


def _plain_types(records: list[Any]) -> set[type] | None:
    """The types of all values, when every one is of a type that the encoder writes exactly; else None."""
    found: set[type] = set()
    containers: list[Any] = [records]
    types: set[type] = {list}
    item_count_left = BATCH_BYTES_MAX  # each item costs a byte at least; shared parts are counted as often as sent
    for _ in range(DEPTH_MAX + 1):
        item_count_left -= sum(map(len, containers))
        if item_count_left < 0:
            raise _too_large(None)
        objects, arrays = _sorted_out(containers, types)
        # A set of keys takes their hashes from the objects, a third of the time of looking at each key. A str subclass
        # hides there behind the same text as a str; the encoder writes the same for both.
        if not set(map(type, set().union(*objects))) <= {str}:
            return None
        types = set(map(type, _items(objects, arrays)))
        found |= types
        if types <= _SCALARS:
            return found
        if not types <= _PLAIN:
            return None
        containers = _containers(_items(objects, arrays), types)
    return None  # too deep: the exact walk says where


def _is_finite(records: list[Any]) -> bool:
    containers: list[Any] = [records]
    types: set[type] = {list}
    while containers:
        items = list(_items(*_sorted_out(containers, types)))
        if not all(map(math.isfinite, [item for item in items if type(item) is float])):
            return False
        types = set(map(type, items))
        containers = _containers(items, types)
    return True


def _sorted_out(containers: list[Any], types: set[type]) -> tuple[list[Any], list[Any]]:
    """Objects, arrays."""
    if list not in types:
        return containers, []
    if types == {list}:
        return [], containers
    return [one for one in containers if type(one) is not list], [one for one in containers if type(one) is list]


def _items(objects: list[Any], arrays: list[Any]) -> Iterator[Any]:
    """The values in them."""
    values, items = chain.from_iterable(map(dict.values, objects)), chain.from_iterable(arrays)
    return chain(values, items) if objects and arrays else values if objects else items


def _containers(items: Iterable[Any], types: set[type]) -> list[Any]:
    return list(items) if types <= _CONTAINERS else [item for item in items if type(item) in _CONTAINERS]


def _encode_lines(records: list[Any]) -> bytes:
    try:
        lines = _encoder.encode_lines(records)
    except UnicodeEncodeError as error:
        msg = "A record holds text with half a surrogate pair, which is no Unicode character. Encode it some other way."
        raise BindingError(msg, name="TypeError", http_status=400) from error
    except ValueError as error:  # Python's own limit on the digits of an int, sys.set_int_max_str_digits
        msg = f"A record holds an integer with too many digits: {error}. Send it as a string."
        raise BindingError(msg, name="RangeError", http_status=400) from error
    size_bytes = len(lines) + 1  # as an array: one comma or bracket a record, and the last bracket
    if size_bytes > BATCH_BYTES_MAX:
        raise _too_large(size_bytes)
    return lines


def _too_large(size_bytes: int | None) -> BindingError:
    found = f"{size_bytes:,} bytes" if size_bytes else f"more than {BATCH_BYTES_MAX:,} bytes"
    msg = f"The records are {found} as JSON; one send takes at most {BATCH_BYTES_MAX:,} (5 MB). Send them in parts."
    return BindingError(msg, name="RangeError", http_status=413)


def _exact_copies(records: list[Any]) -> list[Any]:
    walk = _ExactWalk()
    return [walk.copy(record, index, ()) for index, record in enumerate(records)]


class _ExactWalk:
    """Copies records value by value as JavaScript would send them, or says which value cannot be sent."""

    def __init__(self) -> None:
        self._item_count_left = BATCH_BYTES_MAX

    def copy(self, value: Any, index: int, path: tuple[str | int, ...]) -> Any:
        self._item_count_left -= 1
        if self._item_count_left < 0:
            raise _too_large(None)
        kind = type(value)
        if kind is float:
            if not math.isfinite(value):
                msg = f"{_place(index, path)} is {value}, which JSON does not have. Send None, or leave it out."
                raise BindingError(msg, name="TypeError", http_status=400)
            return value
        if kind in _SCALARS:
            return value
        if isinstance(value, (dict, list)) and len(path) >= DEPTH_MAX:
            msg = f"{_place(index, path)} is nested more than {DEPTH_MAX} levels deep. Send a flatter record."
            raise BindingError(msg, name="RangeError", http_status=400)
        if isinstance(value, dict):
            return {_key(key, index, path): self.copy(item, index, (*path, key)) for key, item in value.items()}
        if kind is list:
            return [self.copy(item, index, (*path, at)) for at, item in enumerate(value)]
        if kind is datetime:
            moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if kind in _NOT_OVER_RPC:
            msg = f"{kind} cannot be sent over RPC. {_place(index, path)} is one; send a list."
            raise RecordTypeError(msg)
        msg = (
            f"{_place(index, path)} is of type {kind.__name__}, which is not JSON. "
            f"Send dict, list, str, int, float, bool, None, or a datetime."
        )
        raise RecordTypeError(msg)


def _key(key: Any, index: int, path: tuple[str | int, ...]) -> str:
    if type(key) is str:
        return key
    if type(key) is int:
        return str(key)
    msg = (
        f"{_place(index, path)} has the key {key!r:.40} of type {type(key).__name__}. Keys are str, or int as its text."
    )
    raise RecordTypeError(msg)


def _place(index: int, path: tuple[str | int, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    text = "$" + "".join(steps)
    if len(text) > PATH_CHARS_MAX:
        text = text[:PATH_CHARS_MAX] + "..."
    return f"Record {index} at {text}"
