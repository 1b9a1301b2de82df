"""TOML -> values and the offset of each.

The standard library reads the values and keeps no positions. A second pass over the text, which is valid by then,
notes where each key and each item stands. (Weighed: tomlkit keeps no positions either; tree-sitter-toml does, but is a
compiled dependency, and its tree would still have to be turned into this table of offsets.)
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime, time
from typing import Any

from .parse import NESTING_MAX, Path, SyntaxProblem, TomlDate

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def parse_toml(text: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """The value of the text, and the offsets of its keys and items.

    Raises:
        SyntaxProblem: the text is no TOML.
    """
    try:
        value = _plain(tomllib.loads(text), 0)
    except tomllib.TOMLDecodeError as error:
        raise _problem(text, str(error)) from None
    except RecursionError:
        msg = f"Invalid TOML document: nested deeper than {NESTING_MAX} levels"
        raise SyntaxProblem(msg, 0) from None
    except ValueError as error:  # an integer with more digits than Python converts
        msg = f"Invalid TOML document: {error}"
        raise SyntaxProblem(msg, 0) from None
    return value, _Places(text).offsets


def _problem(text: str, message: str) -> SyntaxProblem:
    offset = len(text)
    if place := _PLACE.search(message):
        message = message[: place.start()]
        if place[1]:
            lines = text.split("\n")
            offset = sum(len(line) + 1 for line in lines[: int(place[1]) - 1]) + int(place[2]) - 1
    if message == "Invalid value" and text[offset : offset + 1] in ("", "\n"):
        message = "incomplete key-value declaration: no value specified"
    return SyntaxProblem(f"Invalid TOML document: {message}", min(offset, len(text)))


def _plain(value: Any, depth: int) -> Any:
    if depth > NESTING_MAX:
        raise RecursionError
    if isinstance(value, dict):
        return {key: _plain(member, depth + 1) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, date | datetime | time):
        return TomlDate(value.isoformat())
    return value


class _Places:
    """The second pass: only ever sees a valid document, so it recognises just enough to walk it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[Path, int] = {}
        self.table_counts: dict[Path, int] = {}
        """Path of an array of tables -> how many `[[headers]]` it had so far."""
        table: Path = ()
        self._skip(_SPACE)
        while self.at < len(text):
            if text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match, "the text is valid TOML"
        self.at = match.end()
        return match[0]

    def _header(self) -> Path:
        is_array = self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        path: Path = ()
        parts = self._key()
        for i, (part, offset) in enumerate(parts):
            path = (*path, part)
            self.offsets.setdefault(path, offset)
            if is_array and i == len(parts) - 1:
                self.table_counts[path] = self.table_counts.get(path, 0) + 1
            if path in self.table_counts:
                path = (*path, self.table_counts[path] - 1)
                self.offsets.setdefault(path, offset)
        self.at += 2 if is_array else 1
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for part, offset in self._key():
            path = (*path, part)
            self.offsets.setdefault(path, offset)
        self.at += 1  # the equals sign
        self._skip(_BLANKS)
        self._value(path)

    def _key(self) -> list[tuple[str, int]]:
        """The parts of a dotted key, each with its offset; stops behind the blanks after it."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_BLANKS)
            start = self.at
            if self.text[start] in "\"'":
                parts.append((tomllib.loads(f"k={self._skip(_STRING)}")["k"], start))
            else:
                parts.append((self._skip(_BARE_KEY), start))
            self._skip(_BLANKS)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        head = self.text[self.at]
        if head in "\"'":
            self._skip(_STRING)
        elif head == "[":
            self._members("]", path)
        elif head == "{":
            self._members("}", path)
        else:
            self._skip(_SCALAR)

    def _members(self, close: str, path: Path) -> None:
        self.at += 1
        self._skip(_SPACE)
        count = 0
        while self.text[self.at] != close:
            if close == "}":
                self._pair(path)
            else:
                self.offsets[*path, count] = self.at
                self._value((*path, count))
            count += 1
            self._skip(_SPACE)
            if self.text[self.at] == ",":
                self.at += 1
                self._skip(_SPACE)
        self.at += 1
