"""Values of user code as JSON has them: what the API shows of `params`, results and payloads.

What JSON has no word for becomes text: a datetime as ISO 8601, bytes as base64, a set as a list, a key as its text, an
integer that not every reader takes in hexadecimal. NaN and the infinities are null, as in JavaScript's JSON.stringify.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from ....runtime.core.js_values import utf8
from ..values import HEX_FROM, StoredStream

STREAM = "[ReadableStream]"
"""In place of a step's output that is a stream; `GET .../step` has its bytes."""


def json_value(value: Any) -> Any:
    """The value made of what JSON has."""
    if isinstance(value, StoredStream):
        return STREAM
    if isinstance(value, str):
        return utf8(value).decode()
    if isinstance(value, dict):
        return {_key(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    return _number(value) if isinstance(value, int | float) else value


def output_value(value: Any) -> Any:
    """An output where clients take text or a number: those as they are, anything else as JSON text. Decision 24."""
    plain = json_value(value)
    if plain is None or isinstance(plain, str) or (isinstance(plain, int | float) and not isinstance(plain, bool)):
        return plain
    return json_text(plain)


def output_text(value: Any) -> str | None:
    """The output of a step, where clients take text alone."""
    plain = json_value(value)
    return plain if plain is None or isinstance(plain, str) else json_text(plain)


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def time_text(at_ms: int | None) -> str | None:
    """ISO 8601 in UTC with milliseconds."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float) -> float | str | None:
    if isinstance(value, int):
        return value if abs(value) < HEX_FROM else hex(value)
    return value if isfinite(value) else None


def _key(key: Any) -> str:
    try:
        text = str(key)
    except ValueError:  # of an integer that Python does not write in decimals
        text = str(json_value(key))
    return utf8(text).decode()
