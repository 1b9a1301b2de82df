"""Values of a workflow as the journal keeps them: JSON, with tags for what JSON has no word for.

A tagged value is an object with the single key "$": `{"$": ["bytes", "aGk="]}`. What user code gets is always decoded
from the stored form, so the first pass and a replay cannot differ; a tuple comes back as a list.
Source: spec "Workflows", 3.2.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import datetime
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BindingError, UnsupportedError
from ...runtime.core.js_values import jsnull
from ...runtime.core.response import FetchResponse

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE_BYTES_MAX = 1024 * 1024
"""Of a step's result, `params` or an event's payload, encoded. Source: Cloudflare docs, "Workflows limits"."""
DEPTH_MAX = 200


class UnserialisableError(TypeError):
    """Raised for a function or a Response: ends the instance, wherever it is."""


class CyclicValueError(TypeError):
    """Raised for a value that contains itself, or is nested deeper than DEPTH_MAX; not retried."""


class ValueTooLargeError(ValueError):
    """Raised for an encoded value over the limit; not retried."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes:,} bytes")
        self.size_bytes = size_bytes


def encode(value: object, *, bytes_max: int = VALUE_BYTES_MAX) -> bytes:
    """A value as bytes for the journal.

    Raises:
        UnserialisableError: a function or a Response is in it.
        CyclicValueError: it contains itself.
        ValueTooLargeError: it takes more than `bytes_max`.
        UnsupportedError: a stream.
        BindingError: "DataCloneError", something else that cannot be stored is in it.
    """
    encoded = json.dumps(_plain(value, ()), ensure_ascii=False, separators=(",", ":"), check_circular=False)
    content = encoded.encode("utf-8", "surrogatepass")
    if len(content) > bytes_max:
        raise ValueTooLargeError(len(content))
    return content


def decode(content: bytes) -> Any:
    """The value that `encode` stored."""
    return json.loads(content.decode("utf-8", "surrogatepass"), object_hook=_untagged)


def _plain(value: Any, parents: tuple[int, ...]) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    if value is jsnull:
        return None
    if id(value) in parents or len(parents) > DEPTH_MAX:
        msg = "Converting circular structure to JSON"
        raise CyclicValueError(msg)
    inner = (*parents, id(value))
    if kind is list or kind is tuple:
        return [_plain(item, inner) for item in value]
    if kind is dict:
        if "$" not in value and all(type(key) is str for key in value):
            return {key: _plain(item, inner) for key, item in value.items()}
        return _tagged("map", [[_plain(key, inner), _plain(item, inner)] for key, item in value.items()])
    if isinstance(value, set | frozenset):
        return _tagged("set", [_plain(item, inner) for item in value])
    return _plain_atom(value)


def _plain_atom(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return _tagged("bytes", b64encode(value).decode())
    if isinstance(value, datetime):
        return _tagged("datetime", value.isoformat())
    if isinstance(value, FunctionType | MethodType | BuiltinFunctionType | FetchResponse):
        raise UnserialisableError(type(value).__name__)
    if hasattr(value, "__aiter__"):
        msg = "A stream as a step's result is there on Cloudflare, and Edge does not have it yet: return bytes."
        raise UnsupportedError(msg)
    raise BindingError(f"{value!r:.200} could not be cloned.", name="DataCloneError")


_AS_IS = frozenset({str, int, float, bool, type(None)})


def _tagged(tag: str, value: object) -> dict[str, object]:
    return {"$": [tag, value]}


def _untagged(found: dict[str, Any]) -> Any:
    if "$" not in found:
        return found
    tag, value = found["$"]
    return _READ[tag](value)


_READ: dict[str, Callable[[Any], Any]] = {
    "map": lambda pairs: {_hashable(key): item for key, item in pairs},
    "set": lambda items: {_hashable(item) for item in items},
    "bytes": b64decode,
    "datetime": datetime.fromisoformat,
}


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value
