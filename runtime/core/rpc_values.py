"""Values that cross from one Worker or object to another: what may, and what it comes back as.

Edge keeps them as Python values; these two functions apply what the way through JavaScript does on Cloudflare, so that
code which works here works there.
Source: spec "Handler-side contract", 3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .errors import BindingError
from .js_dict import JsDict
from .js_proxy import JsProxy
from .js_values import JsConstructor, jsnull

_ITSELF = (bool, int, float, str, bytes, memoryview, datetime, Exception)


def python_to_rpc(value: Any) -> Any:
    """`value` as it is sent: None as null, dict keys as text; a copy, as sending makes one.

    Raises:
        TypeError: "<class 'tuple'> cannot be sent over RPC." (tuple, bytearray, awaitables; also inside others).
        BindingError: DataCloneError, a type that JavaScript cannot clone.
    """
    if value is None or value is jsnull:
        return jsnull
    if isinstance(value, (tuple, bytearray)):
        msg = f"{type(value)} cannot be sent over RPC."
        raise TypeError(msg)
    if hasattr(value, "__await__"):
        msg = f"Awaitable {type(value)} cannot be sent over RPC."
        raise TypeError(msg)
    if isinstance(value, JsProxy):
        return python_to_rpc(value.to_py())
    if isinstance(value, _ITSELF) or _is_js_object(value):
        return value
    if isinstance(value, dict):
        return {str(key): python_to_rpc(item) for key, item in value.items()}
    if isinstance(value, list):
        return [python_to_rpc(item) for item in value]
    if isinstance(value, set):
        return {python_to_rpc(item) for item in value}
    if callable(value) and not isinstance(value, type):
        return value
    msg = f"{type(value)} could not be cloned."
    raise BindingError(msg, name="DataCloneError")


def _is_js_object(value: Any) -> bool:
    """Whether it is one in JavaScript already: Response and Blob have theirs, URL and Headers are one."""
    return hasattr(value, "js_object") or isinstance(getattr(value, "constructor", None), JsConstructor)


def python_from_rpc(value: Any) -> Any:
    """`value` as it arrives: null as None, bytes as memoryview, dicts as JsDict, 1.0 as 1, times naive and in ms."""
    if value is None or value is jsnull:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bytes):
        return memoryview(value)
    if isinstance(value, dict):
        return JsDict({key: python_from_rpc(item) for key, item in value.items()})
    if isinstance(value, list):
        return [python_from_rpc(item) for item in value]
    if isinstance(value, set):
        return {python_from_rpc(item) for item in value}
    if isinstance(value, datetime):
        local = value.astimezone().replace(tzinfo=None) if value.tzinfo else value
        return local.replace(microsecond=local.microsecond // 1000 * 1000)
    if isinstance(value, Exception):
        return Exception(f"Error: {value}")
    return value
