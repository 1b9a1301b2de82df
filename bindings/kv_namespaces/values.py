"""What handlers pass and get, as bytes and JSON text, the way JavaScript would write and read them."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...runtime.core.body import Body
from ...runtime.core.edge_only import EdgeOnly
from ...runtime.core.errors import BindingError
from ...runtime.core.js_dict import JsDict
from ...runtime.core.js_values import js_string, jsnull, utf8
from ...runtime.core.streams import ReadableStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

VALUE_BYTES_MAX = 25 * 1024 * 1024
INTEGER_MAX = 2**53 - 1
"""Number.MAX_SAFE_INTEGER: above it JavaScript's numbers skip integers, so one arrives as a float."""

_NOT_SENDABLE = (tuple, bytearray)
_JSON_CONTEXT_CHARACTERS = 10


async def value_bytes(value: Any) -> bytes:
    """What `put` stores.

    Raises:
        TypeError: a tuple or bytearray.
        BindingError: anything else KV does not take, or a value over the limit.
        UnsupportedError: an async iterator that is no ReadableStream, under `--compat strict`.
    """
    if isinstance(value, str):
        data = utf8(value)
    elif isinstance(value, (bytes, memoryview)):
        data = bytes(value)
    elif value is None or value is jsnull or isinstance(value, (bool, int, float)):
        data = js_string(value).encode()
    elif hasattr(value, "__aiter__"):
        if not isinstance(value, ReadableStream):
            EdgeOnly.ASYNC_ITERATOR.use()
        return await _read_limited(value)
    else:
        raise _refused(value)
    if len(data) > VALUE_BYTES_MAX:
        raise _too_large(len(data))
    return data


def value_of(data: bytes, kind: str) -> Any:
    """What `get` gives for a type.

    Raises:
        BindingError: there is no such type, or the value is no JSON.
    """
    if kind == "text":
        return data.decode("utf-8", "replace")
    if kind == "json":
        return from_json(data.decode("utf-8", "replace"))
    if kind == "arrayBuffer":
        return memoryview(data)
    if kind == "stream":
        return ReadableStream(Body(data))
    raise BindingError(
        'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".', name="TypeError"
    )


def to_json(value: Any) -> str:
    """`JSON.stringify`.

    Raises:
        TypeError: there is a tuple or bytearray in it.
        BindingError: there is something in it that JavaScript cannot copy, or it contains itself.
    """
    try:
        text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    except RecursionError as error:
        if _contains_itself(value):
            raise BindingError("Converting circular structure to JSON", name="TypeError") from error
        raise BindingError("Maximum call stack size exceeded", name="RangeError") from error
    return utf8(text).decode()


def from_json(text: str) -> Any:
    """`JSON.parse`: objects also allow attribute access, 1.0 is 1.

    Raises:
        BindingError: a SyntaxError as V8 words it.
    """
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise BindingError(_syntax_error(text, error.pos), name="SyntaxError") from error
    except RecursionError as error:
        raise BindingError("JSON is nested too deeply to be read", name="SyntaxError") from error


def _contains_itself(value: Any) -> bool:
    """Whether a value is part of itself; walked without recursion, which has just run out."""
    inside: set[int] = set()
    steps: list[tuple[Any, bool]] = [(value, True)]
    while steps:
        item, is_entered = steps.pop()
        if not isinstance(item, (dict, list)):
            continue
        if not is_entered:
            inside.discard(id(item))
        elif id(item) in inside:
            return True
        else:
            inside.add(id(item))
            steps.append((item, False))
            steps += [(part, True) for part in (item.values() if isinstance(item, dict) else item)]
    return False


async def _read_limited(chunks: AsyncIterable[Any]) -> bytes:
    """The chunks of a stream; it is read no further than the limit."""
    data = bytearray()
    async for chunk in chunks:
        if not isinstance(chunk, (bytes, memoryview)):
            raise _refused(chunk)
        data += chunk
        if len(data) > VALUE_BYTES_MAX:
            raise _too_large(len(data))
    return bytes(data)


def _too_large(size_bytes: int) -> BindingError:
    return BindingError(f"KV PUT failed: 413 Value length of {size_bytes} exceeds limit of {VALUE_BYTES_MAX}.")


def _refused(value: object) -> Exception:
    from ...runtime.core.rpc_values import python_to_rpc  # noqa: PLC0415 - only to say what is wrong

    try:
        python_to_rpc(value)
    except (TypeError, BindingError) as error:
        return error
    except RecursionError:
        pass
    return BindingError(
        "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.",
        name="TypeError",
    )


def _plain(value: Any) -> Any:
    """`value` as JSON.stringify sees it."""
    if isinstance(value, float):
        return _fraction(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {js_string(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if value is jsnull:
        return None
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    if isinstance(value, (bytes, memoryview)):
        return {str(index): byte for index, byte in enumerate(bytes(value))}
    if isinstance(value, (set, BaseException)):
        return {}
    if isinstance(value, _NOT_SENDABLE):
        raise TypeError(f"{type(value)} cannot be sent over RPC.")
    raise BindingError(f"{type(value)} could not be cloned.", name="DataCloneError")


def _integer(digits: str) -> int | float:
    # Python refuses to convert thousands of digits; as a float they are what JavaScript makes of them.
    number = float(digits)
    return int(digits) if abs(number) <= INTEGER_MAX else number


def _fraction(digits: str | float) -> int | float:
    number = float(digits)
    return int(number) if number.is_integer() and abs(number) <= INTEGER_MAX else number


def _constant(name: str) -> Any:
    raise json.JSONDecodeError("NaN and Infinity are not JSON", name, 0)


_decoder = json.JSONDecoder(
    object_pairs_hook=JsDict, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def _syntax_error(text: str, at: int) -> str:
    """V8's words: the token, and up to ten characters of the text on each side of it."""
    if at >= len(text):
        return "Unexpected end of JSON input"
    around = _JSON_CONTEXT_CHARACTERS
    if len(text) <= 2 * around:
        shown = f'"{text}"'
    else:
        head, tail = "..." if at > around else "", "..." if at + around < len(text) else ""
        shown = f'{head}"{text[max(at - around, 0) : at + around]}"{tail}'
    return f"Unexpected token '{text[at]}', {shown} is not valid JSON"
