"""Text -> values that know where they were written.

A Document holds the value of a whole file and the offset of every member and item; a Located is one value in it,
together with the name messages give it. JSON and JSONC are read by `jsonc.py`, TOML by the standard library with
`toml_places.py` adding the offsets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ..runtime.core.errors import ConfigError
from .diagnostics import ERROR_MARK, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path as FilePath

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is inside a file: ("kv_namespaces", 0, "binding")."""

FILE_BYTES_MAX = 4 * 1024 * 1024
NESTING_MAX = 64


class SyntaxProblem(Exception):  # noqa: N818 - turned into a ConfigError, which knows the file, before anyone sees it
    """The text breaks the grammar at `offset`."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class TomlDate:
    """A native TOML date or time: Workers have no such value, so no key takes it."""

    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file."""

    path: FilePath
    text: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)
    offsets: Mapping[Path, int] = field(default_factory=dict)
    """Of each member's key and each item's value, in characters."""
    is_object: bool = True
    """False: it holds another JSON value, and `value` is empty."""

    @property
    def name(self) -> str:
        """The file as a person in the current folder writes it."""
        return shown(self.path)

    def offset(self, at: Path) -> int:
        """Where a value is written; of the nearest enclosing one when it is not there."""
        while at and at not in self.offsets:
            at = at[:-1]
        return self.offsets.get(at, 0)

    def where(self, at: Path) -> str:
        """`file:line:col`, both counted from 1."""
        line, column = line_and_column(self.text, self.offset(at))
        return f"{self.name}:{line}:{column}"


@dataclass(frozen=True, slots=True)
class Located:
    """One value of a Document, and what messages call it."""

    value: Any
    name: str = ""
    at: Path = ()

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def member(self, key: str) -> Located:
        """The member `key` of an object; None as value when there is none."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Located(value, f"{self.name}.{key}" if self.name else key, (*self.at, key))

    def members(self) -> Iterator[tuple[str, Located]]:
        if isinstance(self.value, dict):
            yield from ((key, self.member(key)) for key in self.value)

    def items(self) -> Iterator[Located]:
        if isinstance(self.value, list):
            for i, value in enumerate(self.value):
                yield Located(value, f"{self.name}[{i}]", (*self.at, i))

    @property
    def echo(self) -> str:
        """The value as messages repeat it: compact JSON."""
        return echo(self.value)


def read_document(path: FilePath) -> Document:
    """Read and parse a file by its suffix.

    Raises:
        ConfigError: it cannot be read, is no UTF-8, or breaks its grammar.
    """
    text = read_text(path)
    try:
        if path.suffix == ".toml":
            from .toml_text import parse_toml  # noqa: PLC0415 - tomllib costs 5 ms that a JSON config need not pay

            value, offsets = parse_toml(text)
        else:
            from .jsonc import parse_jsonc  # noqa: PLC0415 - and the other way round

            value, offsets = parse_jsonc(text)
    except SyntaxProblem as problem:
        raise ConfigError(_syntax_report(path, text, problem)) from None
    is_object = isinstance(value, dict)
    return Document(path, text, value if is_object else {}, offsets, is_object)


def read_text(path: FilePath) -> str:
    """The text of a file, lines ended by a newline alone.

    Raises:
        ConfigError: it cannot be read, is larger than FILE_BYTES_MAX, or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{ERROR_MARK} Could not read file: {shown(path)}\n\n    {reason}"
        raise ConfigError(msg) from error
    if len(data) > FILE_BYTES_MAX:
        msg = f"{ERROR_MARK} Could not read file: {shown(path)}\n\n    It is larger than {FILE_BYTES_MAX} bytes."
        raise ConfigError(msg)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        msg = (
            f"{ERROR_MARK} {shown(path)} is not UTF-8\n\n    {shown(path)}:{line}:{column}: "
            f"byte 0x{data[error.start]:02x} starts no character. Save the file as UTF-8."
        )
        raise ConfigError(msg) from error


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both counted from 1."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def echo(value: Any, indent: int | None = None) -> str:
    """JSON as wrangler repeats values in messages: compact, but for the few it indents."""
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(value, indent=indent, separators=separators, ensure_ascii=False, default=lambda date: date.text)


def _syntax_report(path: FilePath, text: str, problem: SyntaxProblem) -> str:
    """The message, the place, and the source line with a mark below: wrangler's layout."""
    line, column = line_and_column(text, problem.offset)
    source = (text.split("\n")[line - 1] if text else "").expandtabs(1)
    start = max(0, column - 60)
    return (
        f"{ERROR_MARK} {problem.message}\n\n"
        f"    {shown(path)}:{line}:{column}:\n"
        f"      {line} │ {source[start : start + 120]}\n"
        f"      {' ' * len(str(line))} ╵ {' ' * (column - 1 - start)}~"
    )
