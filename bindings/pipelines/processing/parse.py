"""Reads text inside a field into fields: one function per format, text in, a dict out, ValueError when it is not that.

The functions never guess types: what a log line says is text. JSON alone brings its own types.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from ....runtime.core.errors import UnsupportedError
from .record_path import find, parse_path, put, remove
from .syslog import parse_cef, parse_syslog

if TYPE_CHECKING:
    from collections.abc import Callable

    from .declared import ParseStep

TEXT_CHARS_MAX = 256 * 1024
"""A longer text is not parsed: no log line is that long, and a pattern might take minutes over it."""

_LOGFMT = re.compile(r'\s*([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?(?=\s|$)')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class Parse:
    """One parse step, ready to work on records."""

    def __init__(self, step: ParseStep) -> None:
        """Raises ValueError when the step lacks what its format needs."""
        self.step = step
        self._field = parse_path(step.field)
        self._into = parse_path(step.into) if step.into else None
        self._parse = _parser_of(step)

    def apply(self, record: dict[str, Any]) -> None:
        """Put what the text says into the record.

        Raises:
            ValueError: the field is no text of the format; the record is as it was.
        """
        text = find(record, self._field)
        if not isinstance(text, str):
            missing = "not there" if text is None else "no text"
            raise ValueError(f"{self.step.field} is {missing}")  # noqa: TRY004 - one error for all that is not parsed
        if len(text) > TEXT_CHARS_MAX:
            raise ValueError(f"{self.step.field} has {len(text):,} characters; at most {TEXT_CHARS_MAX:,} are parsed")
        found = self._parse(text)
        if self.step.remove:
            remove(record, self._field)
        if self._into is not None:
            put(record, self._into, found)
        else:
            for name, value in found.items():
                record.setdefault(name, value)


def parse_json(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("JSON, but no object")  # noqa: TRY004 - one error for all that is not parsed
    return found


def parse_logfmt(text: str) -> dict[str, Any]:
    """`level=info msg="it works" quiet`: a key alone is true. Source: Heroku's logfmt, as kr/logfmt reads it."""
    found: dict[str, Any] = {}
    at = 0
    while text[at:].strip():
        if (match := _LOGFMT.match(text, at)) is None:
            raise ValueError(f"not logfmt at character {at + 1}")
        key, quoted, plain = match.groups()
        if quoted is not None:
            found[key] = _ESCAPE.sub(lambda one: _ESCAPED.get(one[1], one[1]), quoted)
        else:
            found[key] = True if plain is None else plain
        at = match.end()
    if not found:
        raise ValueError("no key in it")
    return found


def parse_key_value(text: str, separator: str) -> dict[str, Any]:
    """`a=1,b=2`, with any separator between pairs and `=` or `:` inside them."""
    found: dict[str, Any] = {}
    for pair in filter(str.strip, text.split(separator)):
        key, mark, value = min((pair.partition("="), pair.partition(":")), key=lambda parts: len(parts[0]))
        if not mark or not key.strip():
            raise ValueError(f"no pair: {pair.strip()[:20]!r}")
        found[key.strip()] = value.strip().strip('"')
    if not found:
        raise ValueError("no pair in it")
    return found


def parse_csv(text: str, columns: tuple[str, ...], separator: str) -> dict[str, Any]:
    try:
        rows = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from error
    if len(rows) != 1 or len(rows[0]) != len(columns):
        raise ValueError(f"{len(rows[0]) if rows else 0} columns, expected {len(columns)}")
    return dict(zip(columns, rows[0], strict=True))


def parse_url(text: str) -> dict[str, Any]:
    """scheme, host, port, path, query (an object; the last of equal names wins), fragment."""
    parts = urlsplit(text)
    if not parts.scheme or not parts.hostname:
        raise ValueError("no absolute URL")
    found: dict[str, Any] = {"scheme": parts.scheme, "host": parts.hostname, "path": parts.path or "/"}
    if parts.port is not None:
        found["port"] = parts.port
    if parts.query:
        found["query"] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment:
        found["fragment"] = parts.fragment
    return found


def parse_user_agent(text: str) -> dict[str, Any]:
    """browser, browser_version, os, os_version, device, as far as they are known. Needs ua-parser."""
    try:
        import ua_parser  # noqa: PLC0415 - a dictionary of 1 MB that only this format needs
    except ImportError as error:
        msg = "The parse format user_agent needs ua-parser: pip install 'edge-workers[pipelines]'."
        raise UnsupportedError(msg) from error
    found = ua_parser.parse(text)
    result: dict[str, Any] = {}
    for name, part in (("browser", found.user_agent), ("os", found.os)):
        if part is not None:
            result[name] = part.family
            if version := ".".join(filter(None, (part.major, part.minor))):
                result[f"{name}_version"] = version
    if found.device is not None:
        result["device"] = found.device.family
    if not result:
        raise ValueError("no known user agent")
    return result


def _parser_of(step: ParseStep) -> Callable[[str], dict[str, Any]]:
    if step.format == "regex":
        return _regex_parser(step.pattern)
    if step.format == "csv":
        if not step.columns or len(step.separator) != 1:
            raise ValueError('A parse step with format = "csv" needs "columns", and a separator of one character.')
        return lambda text: parse_csv(text, step.columns, step.separator)
    if step.format == "key_value":
        if not step.separator:
            raise ValueError('A parse step with format = "key_value" needs a "separator".')
        return lambda text: parse_key_value(text, step.separator)
    return {
        "json": parse_json,
        "logfmt": parse_logfmt,
        "url": parse_url,
        "user_agent": parse_user_agent,
        "syslog": parse_syslog,
        "cef": parse_cef,
    }[step.format]


def _regex_parser(pattern: str | None) -> Callable[[str], dict[str, Any]]:
    if pattern is None:
        raise ValueError('A parse step with format = "regex" needs a "pattern".')
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error
    if not compiled.groupindex:
        raise ValueError(f"{pattern!r} has no named group: write (?P<name>...) for each field.")

    def parse(text: str) -> dict[str, Any]:
        match = compiled.search(text)
        if match is None:
            raise ValueError("the pattern does not match")
        return {name: value for name, value in match.groupdict().items() if value is not None}

    return parse
