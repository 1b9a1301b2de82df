"""JavaScript objects and arrays as Pyodide shows them: what a JSON variable of the wrangler file is in `env`.

    env.OBJ.a.b[0]      attributes on objects, numbers on arrays
    env.OBJ.to_py()     plain data: dicts, lists, None

Read-only, as variables are. Pyodide's own names (`to_py`, `object_keys`) win over keys.
Source: spec "Handler-side contract", 4 and 5; Pyodide docs, "pyodide.ffi.JsProxy".
"""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from .js_values import JsConstructor, js_string, jsnull

if TYPE_CHECKING:
    from collections.abc import Iterator


def js_value(value: Any) -> Any:
    """JSON data as JavaScript has it: dicts and lists as proxies, None as `jsnull`, the rest as it is."""
    if value is None:
        return jsnull
    if isinstance(value, dict):
        return JsObject(value)
    if isinstance(value, list):
        return JsArray(value)
    return value


class JsProxy:
    """A view of JSON data that nobody changes. Equal to every other view of the same data."""

    __slots__ = ("_value",)

    _value: Any

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "_value", value)

    def to_py(self) -> Any:
        """Plain data, a copy all the way down."""
        return _copied(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsProxy) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)

    def __setattr__(self, name: str, _value: object) -> None:
        msg = f"A variable is read-only; .{name} cannot be set. Change what .to_py() gives."
        raise AttributeError(msg)

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return js_value, (self._value,)


class JsObject(JsProxy):
    """An object: its keys are attributes; a keyword is written with an underscore after it."""

    __slots__ = ()

    constructor = JsConstructor("Object")

    def object_keys(self) -> JsArray:
        return JsArray(list(self._value))

    def object_values(self) -> JsArray:
        return JsArray(list(self._value.values()))

    def object_entries(self) -> JsArray:
        """Pairs of key and value."""
        return JsArray([[key, item] for key, item in self._value.items()])

    def as_object_map(self) -> dict[str, Any]:
        """The object with subscripts; its values are as attributes give them."""
        return {key: js_value(item) for key, item in self._value.items()}

    def __getattr__(self, name: str) -> Any:
        key = name[:-1] if name.endswith("_") and iskeyword(name[:-1]) else name
        if key in self._value:
            return js_value(self._value[key])
        msg = f"no attribute {name!r}; keys: {', '.join(self._value) or 'none'}"
        raise AttributeError(msg)

    def __getitem__(self, key: object) -> Any:
        written = f".{key}" if isinstance(key, str) and key.isidentifier() else "its attributes"
        msg = f"A JavaScript object takes no [{key!r}] in Python: read {written}, or .to_py() for a dict."
        raise TypeError(msg)

    __iter__ = None  # else Python would iterate by subscripts
    __contains__ = None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._value]

    def __repr__(self) -> str:
        return "[object Object]"


class JsArray(JsProxy):
    """An array: indexes, slices, `len`, iteration."""

    __slots__ = ()

    constructor = JsConstructor("Array")

    @property
    def length(self) -> int:
        return len(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __getitem__(self, index: Any) -> Any:
        return js_value(self._value[index])

    def __iter__(self) -> Iterator[Any]:
        return map(js_value, self._value)

    def __repr__(self) -> str:
        return ",".join("" if item is None else js_string(js_value(item)) for item in self._value)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
