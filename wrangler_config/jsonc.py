"""JSON with comments and trailing commas -> values and the offset of each.

A hand-written descent, because messages need offsets and the names wrangler's parser gives its errors
(`ColonExpected`, `InvalidSymbol` ...). The first error stops the parse; of duplicate keys the last one counts.
Source: microsoft/node-jsonc-parser, src/impl/scanner.ts and parser.ts, the parser wrangler uses.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from .parse import NESTING_MAX, Path, SyntaxProblem

_SPACE = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_UNENDED_NUMBER = re.compile(r"\.(?!\d)|[eE](?![+-]?\d)", re.ASCII)
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[^\s{}\[\]:,\"/]+")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"true": True, "false": False, "null": None}
_INTEGER_DIGITS_MAX = 4000
"""Longer integers become a float, as every JSON number is in wrangler; Python refuses to convert them anyway."""


def parse_jsonc(text: str) -> tuple[Any, dict[Path, int]]:
    """The value of the text, and the offsets of its members' keys and its items.

    Raises:
        SyntaxProblem: the text is no JSONC.
    """
    reader = _Reader(text)
    value = reader.value(())
    if reader.at != len(text):
        reader.refuse("EndOfFileExpected")
    return value, reader.offsets


class _Reader:
    """`at` always stands on the next token: behind each token, space and comments are skipped."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.offsets: dict[Path, int] = {}
        self._skip(0)

    def value(self, path: Path) -> Any:
        if len(path) > NESTING_MAX:
            msg = f"nested deeper than {NESTING_MAX} levels"
            raise SyntaxProblem(msg, self.at)
        head = self._head
        if head == "{":
            return self._object(path)
        if head == "[":
            return self._array(path)
        if head == '"':
            return self._string()
        if number := _NUMBER.match(self.text, self.at):
            return self._number(number)
        word = _WORD.match(self.text, self.at)
        if word and word[0] in _LITERALS:
            self._skip(word.end())
            return _LITERALS[word[0]]
        return self.refuse("InvalidSymbol" if word or head == "/" else "ValueExpected")

    def refuse(self, name: str) -> NoReturn:
        """Stop at the current token; one that is broken in itself, or no JSON at all, says that wherever it stands."""
        start = self.at
        word = _WORD.match(self.text, start)
        if self._head == '"':
            self._string()
        elif number := _NUMBER.match(self.text, start):
            self._number(number)
        elif word and word[0] not in _LITERALS:
            name = "InvalidSymbol"
        raise SyntaxProblem(name, start)

    @property
    def _head(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self, at: int) -> None:
        space = _SPACE.match(self.text, at)
        assert space, "the pattern matches the empty string"
        self.at = space.end()
        if self.text.startswith("/*", self.at):
            msg = "UnexpectedEndOfComment"
            raise SyntaxProblem(msg, self.at)

    def _object(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._skip(self.at + 1)
        while self._head != "}":
            if self._head != '"':
                unexpected = {"": "CloseBraceExpected", ",": "ValueExpected"}
                self.refuse(unexpected.get(self._head, "PropertyNameExpected"))
            start = self.at
            key = self._string()
            if self._head != ":":
                self.refuse("ColonExpected")
            self._skip(self.at + 1)
            self.offsets[*path, key] = start
            found[key] = self.value((*path, key))
            self._comma("}", "CloseBraceExpected")
        self._skip(self.at + 1)
        return found

    def _array(self, path: Path) -> list[Any]:
        found: list[Any] = []
        self._skip(self.at + 1)
        while self._head != "]":
            if not self._head:
                self.refuse("CloseBracketExpected")
            here = (*path, len(found))
            self.offsets[here] = self.at
            found.append(self.value(here))
            self._comma("]", "CloseBracketExpected")
        self._skip(self.at + 1)
        return found

    def _comma(self, close: str, close_expected: str) -> None:
        if self._head == ",":
            self._skip(self.at + 1)
        elif self._head != close:
            self.refuse("CommaExpected" if self._head else close_expected)

    def _string(self) -> str:
        start, at = self.at, self.at + 1
        pieces: list[str] = []
        while True:
            plain = _PLAIN.match(self.text, at)
            assert plain, "the pattern matches the empty string"
            pieces.append(plain[0])
            at = plain.end()
            head = self.text[at : at + 1]
            if head == '"':
                self._skip(at + 1)
                return "".join(pieces)
            if head != "\\":
                raise SyntaxProblem("UnexpectedEndOfString" if head in ("", "\n") else "InvalidCharacter", start)
            piece, at = self._escape(start, at + 1)
            pieces.append(piece)

    def _escape(self, start: int, at: int) -> tuple[str, int]:
        letter = self.text[at : at + 1]
        if letter in _ESCAPES:
            return _ESCAPES[letter], at + 1
        if letter != "u":
            raise SyntaxProblem("InvalidEscapeCharacter" if letter else "UnexpectedEndOfString", start)
        unit = self._code_unit(start, at + 1)
        at += 5
        if 0xD800 <= unit < 0xDC00 and self.text.startswith("\\u", at):
            low = self._code_unit(start, at + 2)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + low - 0xDC00), at + 6
        # Half a pair stands for no character: as when JavaScript writes such a string, it becomes U+FFFD.
        return "\ufffd" if 0xD800 <= unit < 0xE000 else chr(unit), at

    def _code_unit(self, start: int, at: int) -> int:
        digits = self.text[at : at + 4]
        if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
            msg = "InvalidUnicode"
            raise SyntaxProblem(msg, start)
        return int(digits, 16)

    def _number(self, match: re.Match[str]) -> int | float:
        if _UNENDED_NUMBER.match(self.text, match.end()):
            msg = "UnexpectedEndOfNumber"
            raise SyntaxProblem(msg, self.at)
        self._skip(match.end())
        text = match[0]
        if text.lstrip("-").isdigit() and len(text) <= _INTEGER_DIGITS_MAX:
            return int(text)
        return float(text)
