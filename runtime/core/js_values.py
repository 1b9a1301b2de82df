"""The few JavaScript values that handlers meet: null, a buffer of bytes, and how JavaScript writes a value as text."""

from __future__ import annotations

from math import isfinite, isnan
from typing import Any, Final


class JsNull:
    """JavaScript's null: falsy, but not None. There is one, `jsnull`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "jsnull"


jsnull: Final = JsNull()


class JsConstructor:
    """What `value.constructor` gives: code written for Pyodide asks it for its `name`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class JsBuffer(bytes):
    """An ArrayBuffer or Uint8Array as handlers know it: bytes, with the names that Pyodide's proxies have."""

    __slots__ = ()

    constructor = JsConstructor("Uint8Array")

    @classmethod
    def new(cls, content: Any = b"") -> JsBuffer:
        """As `js.Uint8Array.new(...)`: a length, bytes, or a list of numbers."""
        return cls(content)

    @property
    def byteLength(self) -> int:  # noqa: N802 - JavaScript's spelling
        return len(self)

    @property
    def length(self) -> int:
        return len(self)

    def to_bytes(self) -> bytes:
        return bytes(self)

    def to_py(self) -> memoryview:
        return memoryview(self)


def js_string(value: Any) -> str:
    """`String(value)` for what Python code passes: true, null, 1 for 1.0, 1e+21 for 1e21."""
    if isinstance(value, str):
        return str(value)
    if value is None or value is jsnull:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """`Number.prototype.toString`: the digits are Python's, which are the fewest too; what differs is the exponent."""
    if not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"  # also of -0.0
    text = float.__repr__(value).removesuffix(".0")
    digits, _, exponent = text.partition("e")
    if not exponent:
        return text
    if not 1e-6 <= abs(value) < 1e21:
        return f"{digits}e{int(exponent):+}"
    from decimal import Decimal  # noqa: PLC0415 - few numbers are so small or so large

    return f"{Decimal(text):f}"


def utf8(text: str) -> bytes:
    """UTF-8; a lone surrogate becomes U+FFFD, as JavaScript's encoder does."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def text_of(data: bytes) -> str:
    """What `text()` gives: bad UTF-8 becomes U+FFFD, a byte order mark goes."""
    return data.decode("utf-8", "replace").removeprefix("\ufeff")
