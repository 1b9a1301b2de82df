"""What the modules `pyodide`, `pyodide.ffi` and `pyodide.http` hold: enough to import, convert and catch.

There is no JavaScript here, so proxies are the Python values themselves; only JSON variables of `env` are proxies.
Source: spec "Handler-side contract", 2.2, 2.4 and 5; decision 9b.
"""

from __future__ import annotations

from typing import Any

from .errors import BindingError as JsException
from .fetch_errors import AbortError, BodyUsedError, HttpStatusError
from .invocation_names import fetch as pyfetch
from .js_dict import JsDict
from .js_proxy import JsArray, JsProxy
from .js_values import JsBuffer, jsnull
from .response import FetchResponse

VERSION = "0.28.3"
"""The Pyodide whose names these are."""


def to_js(value: Any, *, dict_converter: Any = None, **_options: Any) -> Any:
    """`value`, its dicts made JsDicts, or what `dict_converter` makes of their pairs."""
    if isinstance(value, dict):
        pairs = [(key, to_js(item, dict_converter=dict_converter)) for key, item in value.items()]
        return JsDict(pairs) if dict_converter is None else dict_converter(pairs)
    if isinstance(value, (list, tuple)):
        return [to_js(item, dict_converter=dict_converter) for item in value]
    return value


def create_proxy(value: Any, **_options: Any) -> Any:
    """`value` itself."""
    return value


create_once_callable = create_proxy


def destroy_proxies(_proxies: Any) -> None:
    """Nothing to free."""


def run_sync(_awaitable: Any) -> Any:
    """Always refused, as by a Pyodide without stack switching.

    Raises:
        RuntimeError: "No suspender".
    """
    if hasattr(_awaitable, "close"):
        _awaitable.close()
    raise RuntimeError("No suspender")


FFI: dict[str, Any] = {
    "JsArray": JsArray,
    "JsBuffer": JsBuffer,
    "JsException": JsException,
    "JsProxy": JsProxy,
    "create_once_callable": create_once_callable,
    "create_proxy": create_proxy,
    "destroy_proxies": destroy_proxies,
    "jsnull": jsnull,
    "run_sync": run_sync,
    "to_js": to_js,
}
HTTP: dict[str, Any] = {
    "AbortError": AbortError,
    "BodyUsedError": BodyUsedError,
    "FetchResponse": FetchResponse,
    "HttpStatusError": HttpStatusError,
    "pyfetch": pyfetch,
}
