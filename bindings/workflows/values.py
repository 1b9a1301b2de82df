"""Values of a workflow as the journal keeps them: JSON, with tags for what JSON has no word for.

A tagged value is an object with the single key "$": `{"$": ["bytes", "aGk="]}`. What user code gets is always decoded
from the stored form, so the first pass and a replay cannot differ; a tuple comes back as a list.

Dataclasses and pydantic models are stored where the workflow's class names them in `stored_types`; without their class
they read as what they hold.
Source: spec "Workflows", 3.2.
"""

from __future__ import annotations

import dataclasses
import json
from base64 import b64decode, b64encode
from datetime import datetime
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from ...runtime.core.errors import BindingError
from ...runtime.core.js_values import jsnull
from ...runtime.core.response import FetchResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VALUE_BYTES_MAX = 1024 * 1024
"""Of a step's result, `params` or an event's payload, encoded. Source: Cloudflare docs, "Workflows limits"."""
DEPTH_MAX = 200
HEX_FROM = 10**640
"""From here on integers are kept in hexadecimal, which Python reads at any size. Decimals of up to 640 digits it reads
whatever `sys.set_int_max_str_digits` was told. Source: Python docs, "Integer string conversion length limitation"."""

_STREAM_START = b'{"$":["stream",'


class StoredStream(NamedTuple):
    """A result whose bytes are pieces of their own in the journal, put there by that attempt."""

    attempt: int
    chunk_count: int
    size_bytes: int


class UnserialisableError(TypeError):
    """Raised for a function or a Response: ends the instance, wherever it is."""


class CyclicValueError(TypeError):
    """Raised for a value that contains itself, or is nested deeper than DEPTH_MAX; not retried."""


class ValueTooLargeError(ValueError):
    """Raised for an encoded value over the limit; not retried."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes:,} bytes")
        self.size_bytes = size_bytes


def encode(value: object, *, bytes_max: int = VALUE_BYTES_MAX, types: Mapping[str, type] | None = None) -> bytes:
    """A value as bytes for the journal. `types` are the classes that may be in it, by name.

    Raises:
        UnserialisableError: a function or a Response is in it.
        CyclicValueError: it contains itself.
        ValueTooLargeError: it takes more than `bytes_max`.
        BindingError: "DataCloneError", something else that cannot be stored is in it.
    """
    content = _encode_json(_plain(value, (), types or {})).encode("utf-8", "surrogatepass")
    if len(content) > bytes_max:
        raise ValueTooLargeError(len(content))
    return content


def decode(content: bytes, *, types: Mapping[str, type] | None = None) -> Any:
    """The value that `encode` stored; a StoredStream for a stream."""
    text = content.decode("utf-8", "surrogatepass")
    return json.loads(text, object_hook=partial(_untagged, types)) if types else _decode_json(text)[0]


def stream_of(content: bytes) -> StoredStream | None:
    """What was stored, when that is a stream."""
    found = decode(content) if content.startswith(_STREAM_START) else None
    return found if isinstance(found, StoredStream) else None


def _plain(value: Any, parents: tuple[int, ...], types: Mapping[str, type]) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is int:
        return _tagged("int", hex(value)) if _is_huge(value) else value
    if value is jsnull:
        return None
    inner = _entered(value, parents)
    if kind is list or kind is tuple:
        return [_plain(item, inner, types) for item in value]
    if kind is dict:
        if "$" not in value and _ONLY_STR.issuperset(map(type, value)):
            kinds = set(map(type, value.values()))
            if kinds <= _AS_IS or (kinds <= _AS_IS_OR_INT and not any(map(_is_huge, value.values()))):
                return value
            return {key: _plain(item, inner, types) for key, item in value.items()}
        return _tagged("map", [[_plain(key, inner, types), _plain(item, inner, types)] for key, item in value.items()])
    if isinstance(value, set | frozenset):
        return _tagged("set", [_plain(item, inner, types) for item in value])
    if types.get(kind.__name__) is kind:
        fields = {name: _plain(item, inner, types) for name, item in _fields(value).items()}
        return _tagged("object", [kind.__name__, list(fields.items())])
    return _plain_atom(value)


def _is_huge(value: Any) -> bool:
    return type(value) is int and not -HEX_FROM < value < HEX_FROM


def _entered(value: object, parents: tuple[int, ...]) -> tuple[int, ...]:
    if id(value) in parents:
        msg = "Converting circular structure to JSON"
        raise CyclicValueError(msg)
    if len(parents) > DEPTH_MAX:
        msg = f"It is nested deeper than {DEPTH_MAX} lists and objects, which cannot be stored."
        raise CyclicValueError(msg)
    return *parents, id(value)


def _plain_atom(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return _tagged("bytes", b64encode(value).decode())
    if isinstance(value, datetime):
        return _tagged("datetime", value.isoformat())
    if isinstance(value, StoredStream):
        return _tagged("stream", list(value))
    if isinstance(value, FunctionType | MethodType | BuiltinFunctionType | FetchResponse):
        raise UnserialisableError(type(value).__name__)
    if hasattr(value, "__aiter__"):
        raise BindingError("A stream can only be the whole result of a step.", name="DataCloneError")
    # Its type only: the value may be a secret, and this text is shown also for steps whose results are not.
    raise BindingError(f"{type(value).__name__} could not be cloned.", name="DataCloneError")


def _fields(value: Any) -> dict[str, Any]:
    """Of a pydantic model, as its JSON has them; of a dataclass, what its class is made of."""
    if hasattr(value, "model_dump"):
        dumped: dict[str, Any] = value.model_dump(mode="json")
        return dumped
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    msg = f"{type(value).__name__} stands in stored_types, which takes dataclasses and pydantic models."
    raise BindingError(msg, name="DataCloneError")


_ONLY_STR = frozenset({str})
_AS_IS = frozenset({str, float, bool, type(None)})
_AS_IS_OR_INT = _AS_IS | {int}


def _tagged(tag: str, value: object) -> dict[str, object]:
    return {"$": [tag, value]}


def _untagged_plain(found: dict[str, Any]) -> Any:
    if "$" not in found:
        return found
    tag, value = found["$"]
    return _READ[tag](value)


def _untagged(types: Mapping[str, type], found: dict[str, Any]) -> Any:
    if "$" in found and found["$"][0] == "object":
        name, fields = found["$"][1]
        cls: Any = types.get(name)
        if cls is not None:
            return cls.model_validate(dict(fields)) if hasattr(cls, "model_validate") else cls(**dict(fields))
    return _untagged_plain(found)


_READ: dict[str, Callable[[Any], Any]] = {
    "map": lambda pairs: {_hashable(key): item for key, item in pairs},
    "set": lambda items: {_hashable(item) for item in items},
    "bytes": b64decode,
    "datetime": datetime.fromisoformat,
    "int": partial(int, base=16),
    "stream": lambda facts: StoredStream(*facts),
    "object": lambda named: dict(named[1]),
}


_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_decode_json = json.JSONDecoder(object_hook=_untagged_plain).raw_decode


def _hashable(value: Any) -> Any:
    """As it was in a set or as a key; an object whose class is not known there is the tuple of its fields."""
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _hashable(item)) for name, item in value.items())
    return frozenset(value) if isinstance(value, set) else value
