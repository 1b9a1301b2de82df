"""Header fields: one store, two faces.

`Headers` is what `request.headers` and `response.headers` are in Python: a Mapping that is case-insensitive, gives None
for a missing name and lists names in lower case, with the reading methods of `http.client.HTTPMessage`.
`JsHeaders` is `js.Headers` over the same store.

Repeated fields are joined with ", " except Set-Cookie, which stays apart, and Cookie, joined with "; " (RFC 9113,
8.2.3).
Unlike on Cloudflare, where Python code sees a copy, a change to `response.headers` is a change to the response.
Source: spec "Handler-side contract", 2.1 and 2.2; Fetch Standard, "Headers class".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .fetch_errors import JsTypeError
from .js_values import JsConstructor, js_string, jsnull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

_NAME_BYTES = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_MESSAGE_READERS = frozenset(
    {
        *("as_bytes", "as_string", "get_boundary", "get_charsets", "get_content_charset", "get_content_disposition"),
        *("get_content_maintype", "get_content_subtype", "get_content_type", "get_filename", "get_param", "get_params"),
    }
)
"""Methods of HTTPMessage that only read: answered by a real one, made when first asked for."""


class Headers:
    """Header fields by case-insensitive name."""

    __slots__ = ("_cookies", "_is_frozen", "_values")

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._cookies: list[str] = []
        self._is_frozen = False

    @property  # type: ignore[misc]  # object has it settable; nobody sets it
    def __class__(self) -> type:
        """Makes `isinstance(headers, http.client.HTTPMessage)` true, at no cost to those who never import it."""
        http_client = sys.modules.get("http.client")
        return Headers if http_client is None else http_client.HTTPMessage

    def __getitem__(self, name: str) -> str | None:
        found: str | None = self.get(name)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default`; of several Set-Cookie fields the first."""
        name = name.lower()
        if name == "set-cookie":
            return self._cookies[0] if self._cookies else default
        return self._values.get(name, default)

    def get_all(self, name: str, default: T | None = None) -> list[str] | T | None:
        """Every value of a name, or `default`. Only Set-Cookie can have several."""
        name = name.lower()
        if name == "set-cookie":
            return list(self._cookies) or default
        return [self._values[name]] if name in self._values else default

    def __setitem__(self, name: str, value: Any) -> None:
        """Put one value in place of all under this name."""
        name, value = self._checked(name, value)
        if name == "set-cookie":
            self._cookies[:] = [value]
        else:
            self._values[name] = value

    replace_header = __setitem__

    def append(self, name: str, value: Any) -> None:
        """Add a value to those under this name."""
        name, value = self._checked(name, value)
        _add(self._values, self._cookies, name, value)

    add_header = append

    def __delitem__(self, name: str) -> None:
        name, _ = self._checked(name, "")
        if name == "set-cookie":
            self._cookies.clear()
        else:
            self._values.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __len__(self) -> int:
        return len(self._values) + len(self._cookies)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        return [name for name, _ in self.items()]

    def values(self) -> list[str]:
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[str, str]]:
        """(lower-case name, value), in order of names, Set-Cookie repeated."""
        return sorted(self.wire_items(), key=_by_name)

    def wire_items(self) -> list[tuple[str, str]]:
        """The same in the order they were set, as a doorway sends them."""
        return [*self._values.items(), *[("set-cookie", cookie) for cookie in self._cookies]]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping):
            return dict(self.items()) == dict(other.items())
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    def __getattr__(self, name: str) -> Any:
        if name in _MESSAGE_READERS:
            from http.client import HTTPMessage  # noqa: PLC0415 - loads email; few handlers come here

            message = HTTPMessage()
            for key, value in self.items():
                message[key] = value
            return getattr(message, name)
        msg = f"headers have no attribute {name!r}"
        raise AttributeError(msg)

    def copy(self) -> Headers:
        """The same fields, free to change."""
        other = Headers()
        other._values.update(self._values)
        other._cookies += self._cookies
        return other

    def _checked(self, name: str, value: Any) -> tuple[str, str]:
        if self._is_frozen:
            raise JsTypeError("Can't modify immutable headers.")
        return checked_name(name), checked_value(value)


Mapping.register(Headers)


class JsHeaders:
    """`js.Headers`: iterates over pairs, `get` joins and gives null for a missing name."""

    __slots__ = ("_headers",)

    constructor = JsConstructor("Headers")

    def __init__(self, headers: Headers | None = None) -> None:
        self._headers = Headers() if headers is None else headers

    @classmethod
    def new(cls, init: Any = None) -> JsHeaders:
        """As `new Headers(init)`: pairs, a mapping, or another Headers."""
        return cls(headers_of(list(init.items()) if isinstance(init, Mapping) else list(init or ())))

    def get(self, name: str) -> Any:
        found = self._headers.get_all(checked_name(name))
        return jsnull if found is None else ", ".join(found)

    def getSetCookie(self) -> list[str]:  # noqa: N802 - JavaScript's spelling
        return self._headers.get_all("set-cookie") or []

    def has(self, name: str) -> bool:
        return checked_name(name) in self._headers

    def set(self, name: str, value: Any) -> None:
        self._headers[name] = value

    def append(self, name: str, value: Any) -> None:
        self._headers.append(name, value)

    def delete(self, name: str) -> None:
        del self._headers[name]

    def forEach(self, callback: Callable[[str, str, JsHeaders], Any]) -> None:  # noqa: N802 - JavaScript's spelling
        for name, value in self._headers.items():
            callback(value, name, self)

    def entries(self) -> Iterator[tuple[str, str]]:
        return iter(self._headers.items())

    def keys(self) -> Iterator[str]:
        return iter(self._headers.keys())

    def values(self) -> Iterator[str]:
        return iter(self._headers.values())

    __iter__ = entries


def headers_of(given: Any) -> Headers:
    """Headers from what a constructor of the SDK takes: a dict, a list of pairs, or js.Headers.

    Raises:
        TypeError: anything else; JsTypeError for a bad name or value.
    """
    if isinstance(given, JsHeaders):
        return given._headers.copy()
    if isinstance(given, dict):
        given = given.items()
    elif not isinstance(given, list):
        raise TypeError("Received unexpected type for headers argument")
    headers = Headers()
    values, cookies = headers._values, headers._cookies
    for name, value in given:
        _add(values, cookies, checked_name(name), checked_value(value))
    return headers


def headers_of_wire(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Headers of a message that a doorway has checked; handlers can only read them.

    Values are UTF-8 where they can be, else Latin-1.
    """
    headers = Headers()
    values, cookies = headers._values, headers._cookies
    for raw_name, raw_value in pairs:
        try:
            value = raw_value.decode()
        except UnicodeDecodeError:
            value = raw_value.decode("latin-1")
        name = raw_name.decode("latin-1").lower()
        if name in values or name == "set-cookie":
            _add(values, cookies, name, value)
        else:
            values[name] = value
    headers._is_frozen = True
    return headers


def wire_pairs(headers: Headers) -> Sequence[tuple[bytes, bytes]]:
    """Raw header lines: lower-case names, UTF-8 values."""
    return [(name.encode(), value.encode()) for name, value in headers.wire_items()]


def checked_name(name: Any) -> str:
    """The name in lower case.

    Raises:
        JsTypeError: not a token.
    """
    if not isinstance(name, str) or not name or not _NAME_BYTES.issuperset(name):
        _refuse("Invalid header name.")
    return name.lower()


def checked_value(value: Any) -> str:
    """The value as text, trimmed.

    Raises:
        JsTypeError: it holds a NUL or a line break.
    """
    text = value if value.__class__ is str else js_string(value)
    text = text.strip(" \t\r\n")
    if "\n" in text or "\r" in text or "\0" in text or not _is_encodable(text):
        _refuse("Invalid header value.")
    return text


def _add(values: dict[str, str], cookies: list[str], name: str, value: str) -> None:
    if name == "set-cookie":
        cookies.append(value)
    elif name in values:
        values[name] += ("; " if name == "cookie" else ", ") + value
    else:
        values[name] = value


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _refuse(message: str) -> NoReturn:
    raise JsTypeError(message)


def _by_name(item: tuple[str, str]) -> str:
    return item[0]
