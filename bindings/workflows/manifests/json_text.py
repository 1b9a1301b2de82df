"""JSON -> the tree of nodes. The standard library's parser keeps no places and lets duplicate keys pass."""

from __future__ import annotations

import re
from json.decoder import JSONDecodeError, JSONDecoder
from typing import TYPE_CHECKING, Any

from .node import DEPTH_MAX, NODES_MAX, Node, TextProblem
from .problems import Place, echo

if TYPE_CHECKING:
    from .problems import Problems

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_DECODER: Any = JSONDecoder()
_LITERALS = {"true": True, "false": False, "null": None}
_DIGITS_MAX = 300
"""Of a number: no whole number or fraction that a manifest means has more."""


def read_json(text: str, problems: Problems) -> Node:
    """The tree of a JSON text.

    Raises:
        TextProblem: where it is no JSON.
    """
    reader = _Reader(text.removeprefix("\ufeff"), problems)
    found = reader.value(0)
    if reader.at != len(reader.text):
        raise reader.problem("Nothing may follow the manifest.")
    return found


class _Reader:
    """`at` always stands on the next token."""

    def __init__(self, text: str, problems: Problems) -> None:
        self.text = text
        self.at = 0
        self._problems = problems
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._line = 0
        self._count = 0
        self._skip(0)

    def value(self, depth: int) -> Node:
        place = self._place(self.at)
        self._count += 1
        if depth > DEPTH_MAX or self._count > NODES_MAX:
            limit = f"{DEPTH_MAX} levels" if depth > DEPTH_MAX else f"{NODES_MAX:,} values"
            raise self.problem(f"The manifest has more than {limit}.")
        head = self.text[self.at : self.at + 1]
        if head == "{":
            return self._object(place, depth)
        if head == "[":
            return self._array(place, depth)
        if head == '"':
            return Node(self._string(), place)
        if match := _NUMBER.match(self.text, self.at):
            return Node(self._number(match), place)
        for word, value in _LITERALS.items():
            if self.text.startswith(word, self.at):
                self._skip(self.at + len(word))
                return Node(value, place)
        raise self.problem(f"A value is expected here, got {self._next()}.")

    def problem(self, text: str) -> TextProblem:
        return TextProblem(self._place(self.at), text)

    def _object(self, place: Place, depth: int) -> Node:
        found: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        self._skip(self.at + 1)
        while not self._closes("}", is_first=not found):
            if self.text[self.at : self.at + 1] != '"':
                raise self.problem(f"A key in quotes is expected here, got {self._next()}.")
            key_place = self._place(self.at)
            key = self._string()
            if self.text[self.at : self.at + 1] != ":":
                raise self.problem(f"A colon is expected after the key {echo(key)}, got {self._next()}.")
            self._skip(self.at + 1)
            if key in keys:
                self._problems.add(key_place, f"The key {echo(key)} is there already, in line {keys[key].line}.")
            keys[key] = key_place
            found[key] = self.value(depth + 1)
        return Node(found, place, keys)

    def _array(self, place: Place, depth: int) -> Node:
        found: list[Node] = []
        self._skip(self.at + 1)
        while not self._closes("]", is_first=not found):
            found.append(self.value(depth + 1))
        return Node(found, place)

    def _closes(self, close: str, *, is_first: bool) -> bool:
        """Step over what follows an item: a comma, or the end."""
        head = self.text[self.at : self.at + 1]
        if head == close:
            self._skip(self.at + 1)
            return True
        if is_first:
            return False
        if head != ",":
            raise self.problem(f"A comma or {close} is expected here, got {self._next()}.")
        self._skip(self.at + 1)
        if self.text[self.at : self.at + 1] == close:
            raise self.problem(f"Nothing follows the comma but {close}: JSON has no comma behind the last item.")
        return False

    def _string(self) -> str:
        try:
            found, end = _DECODER.parse_string(self.text, self.at + 1, True)
        except JSONDecodeError as error:
            raise TextProblem(self._place(error.pos), f"{error.msg}.") from None
        self._skip(end)
        return str(found)

    def _number(self, match: re.Match[str]) -> int | float:
        if len(match[0]) > _DIGITS_MAX:
            raise self.problem(f"The number has {len(match[0])} characters. The limit is {_DIGITS_MAX}.")
        is_fraction = bool(match[1] or match[2])
        number = float(match[0]) if is_fraction else int(match[0])
        if number in {float("inf"), float("-inf")}:
            raise self.problem(f"{match[0]} is no number that can be kept.")
        self._skip(match.end())
        return number

    def _skip(self, at: int) -> None:
        match = _SPACE.match(self.text, at)
        assert match, "the pattern matches the empty string"
        self.at = match.end()

    def _next(self) -> Any:
        return echo(self.text[self.at : self.at + 12]) if self.at < len(self.text) else "the end"

    def _place(self, at: int) -> Place:
        starts = self._line_starts
        if starts[self._line] > at:
            self._line = 0
        while self._line + 1 < len(starts) and starts[self._line + 1] <= at:
            self._line += 1
        return Place(self._line + 1, at - starts[self._line] + 1)
