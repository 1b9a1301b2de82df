"""The filters of a JSONPath: `?@.price > 10 && !@.sold`, with comparisons as RFC 9535 has them."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    Test: TypeAlias = Callable[[bytes, bytes], bool]
    """(the node, the whole document) -> whether the filter keeps the node."""
    Find: TypeAlias = Callable[[bytes, bytes], list[bytes]]
    """(the node, the whole document) -> what a path inside the filter leads to."""
    ParsePath: TypeAlias = Callable[[str, int], tuple[Find, int]]
    Value: TypeAlias = Callable[[bytes, bytes], Any]


class JsonPathError(ValueError):
    """Raised for a text that is no JSONPath, or has what is not supported. `at`: characters into it."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


_NOTHING = object()
"""What a path that leads nowhere compares as: equal to itself only."""
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_LITERAL = re.compile(
    r"""(?:(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) | (?P<word>true|false|null)\b )""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None}


def parse_filter(text: str, at: int, parse_path: ParsePath) -> tuple[Test, int]:
    """The filter from `at` on, and where it ends."""
    parser = _FilterParser(text, at, parse_path)
    return parser.any_of(), parser.at


def unquote(quoted: str) -> str:
    """A JSONPath string: JSON's escapes, in either kind of quotes."""
    inner = quoted[1:-1]
    if quoted[0] == "'":
        inner = re.sub(r"\\'|\"", lambda m: "'" if m.group() == "\\'" else '\\"', inner)
    return msgspec.json.decode(f'"{inner}"', type=str)


class _FilterParser:
    def __init__(self, text: str, at: int, parse_path: ParsePath) -> None:
        self.at = at
        self._text = text
        self._parse_path = parse_path
        self._skip_blanks()

    def any_of(self) -> Test:
        tests = [self._all_of()]
        while self._accept("||"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda node, root: any(test(node, root) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._accept("&&"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda node, root: all(test(node, root) for test in tests)

    def _one(self) -> Test:
        if self._accept("!"):
            inner = self._one()
            return lambda node, root: not inner(node, root)
        if self._accept("("):
            inner = self.any_of()
            if not self._accept(")"):
                raise JsonPathError("Expected )", self.at)
            return inner
        is_path = self._text[self.at : self.at + 1] in ("@", "$")
        left = self._value()
        sign = next((each for each in _COMPARISONS if self._accept(each)), None)
        if sign is not None:
            right = self._value()
            return lambda node, root: _compare(sign, left(node, root), right(node, root))
        if not is_path:
            raise JsonPathError("Expected a comparison", self.at)
        return lambda node, root: left(node, root) is not _NOTHING

    def _value(self) -> Value:
        match = _LITERAL.match(self._text, self.at)
        if match is not None:
            literal = _literal(match)
            self._move(match.end())
            return lambda _node, _root: literal
        start = self._text[self.at : self.at + 1]
        if start not in ("@", "$"):
            raise JsonPathError("Expected @, $ or a literal; functions are not supported", self.at)
        find_all, end = self._parse_path(self._text, self.at + 1)
        self._move(end)

        def find(node: bytes, root: bytes) -> Any:
            found = find_all(node if start == "@" else root, root)
            return msgspec.json.decode(found[0]) if found else _NOTHING

        return find

    def _accept(self, sign: str) -> bool:
        if not self._text.startswith(sign, self.at):
            return False
        self._move(self.at + len(sign))
        return True

    def _move(self, at: int) -> None:
        self.at = at
        self._skip_blanks()

    def _skip_blanks(self) -> None:
        while self._text[self.at : self.at + 1].isspace():
            self.at += 1


def _literal(match: re.Match[str]) -> Any:
    if match["string"] is not None:
        return unquote(match["string"])
    if match["number"] is not None:
        return msgspec.json.decode(match["number"])
    return _WORDS[match["word"]]


def _compare(sign: str, left: Any, right: Any) -> bool:
    if sign in ("==", "!="):
        is_equal = left is right or (_kind(left) is _kind(right) and left == right)
        return is_equal == (sign == "==")
    if _kind(left) is not _kind(right) or _kind(left) not in (float, str):
        return sign in ("<=", ">=") and left is right
    return _COMPARISONS[sign](left, right)


def _kind(value: Any) -> type:
    """Numbers are of one kind; true is no number."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
