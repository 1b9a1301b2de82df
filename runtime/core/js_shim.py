"""The module `js`: the smallest that Workers need for requests, headers, URLs, forms, JSON and logging.

A name that is not here raises an error that says so.
Source: spec "Handler-side contract", 5, tiers 1 and 2; decision 9b.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from .blob import Blob, File
from .formdata import FormData
from .headers import JsHeaders as Headers
from .invocation_names import fetch
from .js_dict import JsDict, to_js_dict
from .js_fetch import JsRequest as Request
from .js_fetch import JsResponse as _PythonResponse
from .js_proxy import JsArray, JsObject, JsProxy
from .js_values import JsBuffer as Uint8Array
from .js_values import js_string, jsnull
from .streams import ReadableStream
from .url import URL, URLSearchParams

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "JSON",
    "URL",
    "Array",
    "ArrayBuffer",
    "Blob",
    "File",
    "FormData",
    "Headers",
    "Object",
    "ReadableStream",
    "Request",
    "Response",
    "URLSearchParams",
    "Uint8Array",
    "console",
    "fetch",
    "undefined",
]

ArrayBuffer = Uint8Array
undefined = None


class Response(_PythonResponse):
    """`js.Response`, with JavaScript's `json`."""

    __slots__ = ()

    @staticmethod
    def json(  # type: ignore[override]  # called on the class, as in JavaScript
        data: Any, init: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        """On the class: as `Response.json(data, init)`, written without spaces. On an instance: reads the body."""
        if isinstance(data, _PythonResponse):
            return _PythonResponse.json(data)
        init = {**(init or {}), **more}
        headers = Headers.new(init.get("headers"))
        if not headers.has("content-type"):
            headers.set("content-type", "application/json")
        return Response.new(JSON.stringify(data).encode(), {**init, "headers": headers})


class Object:
    """`js.Object`: objects are JsDicts."""

    @staticmethod
    def new() -> JsDict:
        return JsDict()

    @staticmethod
    def fromEntries(entries: Any) -> JsDict:  # noqa: N802 - JavaScript's spelling
        pairs = entries.items() if hasattr(entries, "items") else entries
        return JsDict({js_string(key): value for key, value in pairs})

    @staticmethod
    def entries(value: Mapping[str, Any]) -> list[list[Any]]:
        return [[key, item] for key, item in _mapping(value).items()]

    @staticmethod
    def keys(value: Mapping[str, Any]) -> list[str]:
        return list(_mapping(value))

    @staticmethod
    def values(value: Mapping[str, Any]) -> list[Any]:
        return list(_mapping(value).values())

    @staticmethod
    def assign(target: JsDict, *sources: Mapping[str, Any]) -> JsDict:
        for source in sources:
            target.update(_mapping(source))
        return target


class Array:
    """`js.Array`: arrays are lists."""

    @staticmethod
    def new(*items: Any) -> list[Any]:
        return list(items)

    @staticmethod
    def isArray(value: Any) -> bool:  # noqa: N802 - JavaScript's spelling
        return isinstance(value, (list, JsArray))

    @staticmethod
    def from_(items: Any) -> list[Any]:
        return list(items)


class JSON:
    """`js.JSON`."""

    @staticmethod
    def parse(text: str) -> Any:
        return to_js_dict(json.loads(text))

    @staticmethod
    def stringify(value: Any, _replacer: Any = None, space: int | str | None = None) -> str:
        """As JSON.stringify: no spaces, and text as it is."""
        separators = (",", ": ") if space else (",", ":")
        return json.dumps(value, ensure_ascii=False, separators=separators, indent=space or None, default=_json_value)


class _Console:
    """`js.console`: lines on standard output, warnings and errors on standard error."""

    def log(self, *values: Any) -> None:
        _print(sys.stdout, values)

    info = debug = log

    def error(self, *values: Any) -> None:
        _print(sys.stderr, values)

    warn = error


console = _Console()


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    msg = f"js.{name} is not in Edge: there is no JavaScript here. Names there are: {', '.join(__all__)}."
    raise AttributeError(msg)


def _print(stream: Any, values: tuple[Any, ...]) -> None:
    stream.write(" ".join(js_string(value) for value in values) + "\n")


def _mapping(value: Any) -> dict[str, Any]:
    return value.as_object_map() if isinstance(value, JsObject) else dict(value)


def _json_value(value: Any) -> Any:
    if value is jsnull:
        return None
    if isinstance(value, JsProxy):
        return value.to_py()
    msg = f"Object of type {type(value).__name__} is not JSON serializable"
    raise TypeError(msg)
