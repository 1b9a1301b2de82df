"""`${...}`: a path into what is recorded, through filters. No operators, no calls of code, no clock.

    ${params.key}    ${steps.probe.out.streams[0].codec}    ${item | lower}    ${steps.ask.out.payload | eq("yes")}

What a text is made of is parsed when the manifest is read, so every mistake in it is told then. A path into null gives
null, so that what depends on a skipped step can ask; a member that an object does not have is an error.

    text  = (anything | "${" path ("|" filter)* "}")*          "$${" is a plain "${"
    path  = name ("." name | "[" number | string "]")*
    filter = name ["(" (literal | path) ("," ...)* ")"]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ..errors import WorkflowFatalError
from ..values import VALUE_BYTES_MAX
from .filters import ARGUMENTS, FILTERS, as_text
from .problems import ECHO_CHARS_MAX, did_you_mean, echo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCE_CHARS_MAX = 2_000
"""Of one `${...}`."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<number>-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<mark>[.\[\]|(),}])
    )""",
    re.VERBOSE | re.ASCII,
)
_LITERALS = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_HIDDEN = re.compile(r"\$\$\{")


class ExpressionProblem(Exception):  # noqa: N818 - becomes a Problem with its place before anyone sees it
    """A text that cannot be parsed; `source` is the part of it that is wrong."""

    def __init__(self, text: str, source: str) -> None:
        super().__init__(text)
        self.text = text
        self.source = source


class Literal(NamedTuple):
    value: Any


class Path(NamedTuple):
    """`parts[0]` is the root: params, steps ..."""

    parts: tuple[str | int, ...]
    source: str

    def find(self, scope: Mapping[str, Any]) -> Any:
        """The value in a scope.

        Raises:
            WorkflowFatalError: an object has no such member, a list no such item.
        """
        found: Any = scope
        for number, part in enumerate(self.parts):
            if found is None:
                return None
            if not _has(found, part):
                raise WorkflowFatalError(f"${{{self.source}}}: {_nothing_there(found, part, self.parts[:number])}")
            found = found[part]
        return found


class Call(NamedTuple):
    """One filter with its arguments."""

    name: str
    arguments: tuple[Literal | Path, ...]


class Expression(NamedTuple):
    """One `${...}`."""

    head: Literal | Path
    calls: tuple[Call, ...]
    source: str

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Its value in a scope.

        Raises:
            WorkflowFatalError: a path leads nowhere, or a filter cannot work on what it gets.
        """
        value = self._head(scope)
        for call in self.calls:
            arguments = [_value(one, scope) for one in call.arguments]
            try:
                value = FILTERS[call.name](value, *arguments)
            except (TypeError, ValueError, ArithmeticError) as error:
                message = f"${{{self.source}}}: {call.name} cannot work on {echo(value)}: {error}"
                raise WorkflowFatalError(message) from error
        return value

    def paths(self) -> Iterator[Path]:
        for one in (self.head, *(argument for call in self.calls for argument in call.arguments)):
            if isinstance(one, Path):
                yield one

    def _head(self, scope: Mapping[str, Any]) -> Any:
        try:
            return _value(self.head, scope)
        except WorkflowFatalError:
            if self.calls and self.calls[0].name == "default":  # what it is for
                return None
            raise


class Template(NamedTuple):
    """A text with expressions: one alone keeps its value's type, several and what stands between make a text."""

    parts: tuple[str | Expression, ...]

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Raises WorkflowFatalError as its expressions do, or when the text is larger than a value may be."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].evaluate(scope)
        made: list[str] = []
        size = 0
        for part in self.parts:
            made.append(part if isinstance(part, str) else as_text(part.evaluate(scope)))
            size += len(made[-1])
            if size > VALUE_BYTES_MAX:
                raise WorkflowFatalError("A text made of ${...} is larger than 1 MiB.")
        return "".join(made)

    def expressions(self) -> Iterator[Expression]:
        yield from (part for part in self.parts if isinstance(part, Expression))


def parse_template(text: str) -> Template | str:
    """A text with its expressions; the text itself when it has none.

    Raises:
        ExpressionProblem: an expression that is none.
    """
    parts: list[str | Expression] = []
    at = 0
    while (start := _opening(text, at)) is not None:
        if start > at:
            parts.append(_shown(text[at:start]))
        parser = _Parser(text, start + 2)
        parts.append(parser.expression())
        at = parser.at
    if at < len(text):
        parts.append(_shown(text[at:]))
    return Template(tuple(parts)) if any(isinstance(part, Expression) for part in parts) else _shown(text)


def _opening(text: str, at: int) -> int | None:
    while (start := text.find("${", at)) >= 0:
        if start == 0 or text[start - 1] != "$":
            return start
        at = start + 2
    return None


def _shown(text: str) -> str:
    return _HIDDEN.sub("${", text)


def _value(one: Literal | Path, scope: Mapping[str, Any]) -> Any:
    return one.value if isinstance(one, Literal) else one.find(scope)


def _has(found: Any, part: str | int) -> bool:
    if isinstance(found, list):
        return isinstance(part, int) and -len(found) <= part < len(found)
    return isinstance(found, dict) and part in found


def _nothing_there(found: Any, part: str | int, before: tuple[str | int, ...]) -> str:
    where = ".".join(map(str, before)) or "the manifest"
    if isinstance(found, dict):
        return f"{where} has no member {part!r}.{did_you_mean(str(part), map(str, found))}"
    if isinstance(found, list):
        return f"{where} is a list of {len(found)} items, and has no {part!r}."
    return f"{where} is {echo(found)}, which has no members."


class _Parser:
    """`at` stands behind what was read."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.start = self.at = at
        self._end = text.find("}", at)

    def expression(self) -> Expression:
        head = self._operand()
        calls: list[Call] = []
        while (mark := self._take("mark")) == "|":
            calls.append(self._call())
        if mark != "}":
            self._refuse("| and a filter, or the closing }, is expected")
        source = self.text[self.start : self.at - 1].strip()
        if len(source) > SOURCE_CHARS_MAX:
            self._refuse(f"an expression has at most {SOURCE_CHARS_MAX:,} characters")
        return Expression(head, tuple(calls), source)

    def _operand(self) -> Literal | Path:
        begin = self.at
        kind, token = self._next()
        if kind == "number":
            return Literal(float(token) if "." in token else int(token))
        if kind == "string":
            return Literal(_ESCAPE.sub(r"\1", token[1:-1]))
        if kind != "name":
            self._refuse("a path as params.key, a number or a text in quotes is expected")
        if token in _LITERALS:
            return Literal(_LITERALS[token])
        parts: list[str | int] = [token]
        while (mark := self._peek()) in {".", "["}:
            self._next()
            parts.append(self._member() if mark == "." else self._index())
        return Path(tuple(parts), self.text[begin : self.at].strip())

    def _member(self) -> str:
        kind, token = self._next()
        if kind != "name":
            self._refuse('a name is expected after the dot; write ["..."] for others')
        return token

    def _index(self) -> str | int:
        kind, token = self._next()
        if kind == "number" and "." not in token:
            found: str | int = int(token)
        elif kind == "string":
            found = _ESCAPE.sub(r"\1", token[1:-1])
        else:
            self._refuse("a whole number or a text in quotes is expected in [ ]")
        if self._take("mark") != "]":
            self._refuse("] is expected")
        return found

    def _call(self) -> Call:
        kind, name = self._next()
        if kind != "name":
            self._refuse("the name of a filter is expected after |")
        if name not in FILTERS:
            self._refuse(f'there is no filter "{name}".{did_you_mean(name, FILTERS)}')
        arguments: list[Literal | Path] = []
        if self._peek() == "(":
            self._next()
            arguments.append(self._operand())
            while (mark := self._take("mark")) == ",":
                arguments.append(self._operand())
            if mark != ")":
                self._refuse(") is expected")
        least, most = ARGUMENTS[name]
        if not least <= len(arguments) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            self._refuse(f'the filter "{name}" takes {count} arguments, got {len(arguments)}')
        return Call(name, tuple(arguments))

    def _peek(self) -> str:
        match = _TOKEN.match(self.text, self.at)
        return match[match.lastgroup or 0] if match else ""

    def _take(self, kind: str) -> str:
        found, token = self._next()
        return token if found == kind else ""

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            if self.at >= len(self.text.rstrip()):
                self._refuse("the closing } is missing")
            self._refuse(f"{echo(self.text[self.at : self.at + 8].strip())} means nothing here")
        self.at = match.end()
        kind = match.lastgroup
        assert kind, "every alternative has a name"
        return kind, match[kind]

    def _refuse(self, what: str) -> NoReturn:
        end = max(self._end + 1, self.at) if self._end >= 0 else len(self.text)
        source = self.text[self.start - 2 : end]
        stop = "" if what.endswith(("?", ".")) else "."
        raise ExpressionProblem(f"{source[:ECHO_CHARS_MAX]}: {what}{stop}", source)
