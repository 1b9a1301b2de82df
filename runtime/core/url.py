"""URLs as the URL Standard reads them, as far as http and https need: `Request("...")`, `js.URL`, `js.URLSearchParams`.

A request from the wire comes here only when its URL is not normal as it is (`wire_url.py`).
Source: URL Standard, "URL parsing"; spec "Handler-side contract", 2.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

from .fetch_errors import JsTypeError
from .js_values import JsConstructor, js_string, jsnull, utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
"""Also the schemes with an authority and a path; others are kept as they are."""
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_FORBIDDEN_IN_HOST = frozenset("\0\t\n\r #/:<>?@[\\]^|%\x7f" + "".join(map(chr, range(32))))
_PATH_SAFE = "!$%&'()*+,-./:;=@[\\]_|~"
_QUERY_SAFE = "!$%&()*+,-./:;=?@[\\]^_`{|}~"
_FRAGMENT_SAFE = "!#$%&'()*+,-./:;=?@[\\]^_{|}~"
_USERINFO_SAFE = "!$%&'()*+,-._~"
_HERE = frozenset({".", "%2e"})
_UP = frozenset({"..", ".%2e", "%2e.", "%2e%2e"})


class UrlParts(NamedTuple):
    """A normalised URL in its parts; `query` and `fragment` with their "?" and "#", or empty."""

    scheme: str
    userinfo: str
    host: str
    port: str
    path: str
    query: str
    fragment: str

    @property
    def href(self) -> str:
        if self.scheme not in _DEFAULT_PORTS:
            return f"{self.scheme}:{self.path}{self.query}{self.fragment}"
        userinfo = f"{self.userinfo}@" if self.userinfo else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{userinfo}{self.host}{port}{self.path}{self.query}{self.fragment}"


def normalised_url(text: Any) -> str:
    """The URL as a Request shows it: `HTTPS://T.com/a/../b c` is `https://t.com/b%20c`.

    Raises:
        JsTypeError: "Invalid URL: ...".
    """
    return parse_url(text).href


def parse_url(text: Any, base: UrlParts | None = None) -> UrlParts:
    """The parts of an absolute URL, or of one relative to `base`.

    Raises:
        JsTypeError: "Invalid URL: ...".
    """
    given = js_string(text)
    cleaned = re.sub(r"[\t\r\n]", "", given.strip("".join(map(chr, range(33)))))
    match = _PARTS.fullmatch(cleaned)
    if match is None or (base is not None and match[1].lower() == base.scheme and match[2][:1] not in {"/", "\\"}):
        if base is None:
            raise _invalid(given)
        return _joined(base, cleaned if match is None else cleaned[len(match[1]) + 1 :], given)
    scheme, rest = match[1].lower(), match[2]
    query, fragment = _quoted(match[3] or "", _QUERY_SAFE), _quoted(match[4] or "", _FRAGMENT_SAFE)
    if scheme not in _DEFAULT_PORTS:
        return UrlParts(scheme, "", "", "", _quoted(rest, _PATH_SAFE + ' "<>^`{}'), query, fragment)
    authority, slash, path = rest.replace("\\", "/").lstrip("/").partition("/")
    userinfo, _, host_and_port = authority.rpartition("@")
    host, port = _host_and_port(host_and_port, given)
    if port == _DEFAULT_PORTS[scheme]:
        port = ""
    return UrlParts(
        scheme,
        ":".join(_quoted(part, _USERINFO_SAFE) for part in userinfo.split(":", 1)),
        host,
        port,
        _quoted(_without_dots(slash + path), _PATH_SAFE),
        query,
        fragment,
    )


def _joined(base: UrlParts, reference: str, given: str) -> UrlParts:
    if base.scheme not in _DEFAULT_PORTS:
        raise _invalid(given)
    path, query, fragment = re.fullmatch(r"([^?#]*)(\?[^#]*)?(#.*)?", reference, re.DOTALL).groups()  # type: ignore[union-attr]  # matches anything
    path = path.replace("\\", "/")
    if path.startswith("//"):
        return parse_url(f"{base.scheme}:{reference}")
    if not path:
        path, query = base.path, base.query if query is None else query
    elif not path.startswith("/"):
        path = base.path.rpartition("/")[0] + "/" + path
    site = base._replace(path="", query="", fragment="").href
    return parse_url(f"{site}{path}{query or ''}{fragment or ''}")


def _host_and_port(text: str, given: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = (text, "") if text.endswith("]") else (port, "")
    if port and not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise _invalid(given)
    return _host(host, given), str(int(port)) if port else ""


def _host(text: str, given: str) -> str:
    if text.startswith("["):
        from ipaddress import IPv6Address  # noqa: PLC0415 - only for the rare literal

        try:
            return f"[{IPv6Address(text[1:-1]).compressed}]"
        except ValueError:
            raise _invalid(given) from None
    host = unquote_to_bytes(utf8(text)).decode("utf-8", "replace").lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode().lower()
        except UnicodeError:
            raise _invalid(given) from None
    if not host or not _FORBIDDEN_IN_HOST.isdisjoint(host):
        raise _invalid(given)
    return host


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for at, segment in enumerate(segments):
        is_last = at == len(segments) - 1
        lower = segment.lower()
        if lower in _UP:
            del kept[-1:]
        if lower in _UP or lower in _HERE:
            if is_last:
                kept.append("")
        else:
            kept.append(segment)
    return "/" + "/".join(kept)


def _quoted(text: str, safe: str) -> str:
    return quote(utf8(text), safe=safe)


def _invalid(given: str) -> JsTypeError:
    return JsTypeError(f"Invalid URL: {given}")


class URLSearchParams:
    """`js.URLSearchParams`: query parameters in order, names may repeat."""

    __slots__ = ("_on_change", "_pairs")

    constructor = JsConstructor("URLSearchParams")

    def __init__(self, init: Any = "") -> None:
        self._on_change: Any = None
        if isinstance(init, str):
            self._pairs = _parse_query(init.removeprefix("?"))
        elif isinstance(init, dict):
            self._pairs = [(js_string(name), js_string(value)) for name, value in init.items()]
        else:
            self._pairs = [(js_string(name), js_string(value)) for name, value in init]

    @classmethod
    def new(cls, init: Any = "") -> URLSearchParams:
        return cls(init)

    @property
    def size(self) -> int:
        return len(self._pairs)

    def get(self, name: str) -> Any:
        return next((value for key, value in self._pairs if key == name), jsnull)

    def getAll(self, name: str) -> list[str]:  # noqa: N802 - JavaScript's spelling
        return [value for key, value in self._pairs if key == name]

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self._pairs)

    def append(self, name: str, value: Any) -> None:
        self._change([*self._pairs, (name, js_string(value))])

    def set(self, name: str, value: Any) -> None:
        at = next((at for at, (key, _) in enumerate(self._pairs) if key == name), len(self._pairs))
        others = [pair for pair in self._pairs if pair[0] != name]
        self._change([*others[:at], (name, js_string(value)), *others[at:]])

    def delete(self, name: str) -> None:
        self._change([pair for pair in self._pairs if pair[0] != name])

    def sort(self) -> None:
        self._change(sorted(self._pairs, key=lambda pair: pair[0]))

    def entries(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    __iter__ = entries

    def keys(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs])

    def values(self) -> Iterator[str]:
        return iter([value for _, value in self._pairs])

    def toString(self) -> str:  # noqa: N802 - JavaScript's spelling
        return urlencode(self._pairs, safe="*", errors="replace").replace("~", "%7E")

    __str__ = toString

    def _change(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        if self._on_change is not None:
            self._on_change(str(self))


def _parse_query(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=None)


class URL:
    """`js.URL`: a parsed URL; `searchParams` writes back to it."""

    __slots__ = ("_parts", "_search_params")

    constructor = JsConstructor("URL")

    def __init__(self, url: Any, base: Any = None) -> None:
        self._parts = parse_url(url, None if base is None else parse_url(base))
        self._search_params: URLSearchParams | None = None

    @classmethod
    def new(cls, url: Any, base: Any = None) -> URL:
        return cls(url, base)

    @classmethod
    def canParse(cls, url: Any, base: Any = None) -> bool:  # noqa: N802 - JavaScript's spelling
        try:
            cls(url, base)
        except JsTypeError:
            return False
        return True

    href = property(lambda self: self._parts.href)
    protocol = property(lambda self: f"{self._parts.scheme}:")
    hostname = property(lambda self: self._parts.host)
    port = property(lambda self: self._parts.port)
    host = property(lambda self: self._parts.host + (f":{self._parts.port}" if self._parts.port else ""))
    origin = property(lambda self: f"{self.protocol}//{self.host}" if self._parts.host else "null")
    pathname = property(lambda self: self._parts.path)
    search = property(lambda self: self._parts.query if len(self._parts.query) > 1 else "")
    hash = property(lambda self: self._parts.fragment if len(self._parts.fragment) > 1 else "")
    username = property(lambda self: self._parts.userinfo.partition(":")[0])
    password = property(lambda self: self._parts.userinfo.partition(":")[2])

    @property
    def searchParams(self) -> URLSearchParams:  # noqa: N802 - JavaScript's spelling
        if self._search_params is None:
            self._search_params = URLSearchParams(self._parts.query)
            self._search_params._on_change = self._set_query
        return self._search_params

    def toString(self) -> str:  # noqa: N802 - JavaScript's spelling
        return self._parts.href

    __str__ = toString
    toJSON = toString  # noqa: N815 - JavaScript's spelling

    def _set_query(self, query: str) -> None:
        self._parts = self._parts._replace(query=f"?{query}" if query else "")
