"""SQL text into tokens that know where they stand.

The lexical rules are DataFusion's (its default dialect): unquoted names fold to lower case, `"..."` and backticks quote
names, `''` is a quote inside a string, E'...' has escapes, X'...' is bytes. Everything else is refused, so what we
check and what the engine reads cannot differ. Comments are no tokens; the rewritten text does not carry them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .sql_error import error_at

TokenKind: TypeAlias = Literal["word", "quoted", "string", "number", "symbol", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `value`: a word folded, a quoted name or a string without its quotes, else the text itself."""

    kind: TokenKind
    value: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, closed by one of kind "end".

    Raises:
        SqlError: a string, quoted name or comment is not closed, or a character has no meaning here.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise error_at(text, at, _complaint(text, at))
        if match.lastgroup != "blank":
            tokens.append(_token(match.lastgroup, match))
        at = match.end()
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def fold(name: str) -> str:
    """An unquoted name as the engine reads it: only A to Z change."""
    return name.translate(_LOWER)


def quote_name(name: str) -> str:
    """The name as a quoted identifier: taken as it is, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def quote_string(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOKEN = re.compile(
    r"""
      (?P<blank> \s+ | --[^\n]* | /\*(?:(?!/\*).)*?\*/ )
    | (?P<string> '(?:[^']|'')*' )
    | (?P<bytes> [xX]'[0-9A-Fa-f]*' )
    | (?P<escaped> [eE]'(?:[^'\\]|''|\\[^xuU0-7])*' )
    | (?P<quoted> "(?:[^"]|"")+" | `(?:[^`]|``)+` )
    | (?P<number> (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)? )
    | (?P<word> [^\W\d]\w* )
    | (?P<symbol> ->> | -> | :: | <=> | <> | != | <= | >= | \|\| | <<|>> | !~\* | !~ | ~\* | @> | <@ | ==
                | [-+*%^&|~#<>=?(),.;:\[\]{}@!] | /(?!\*) )
    """,
    re.VERBOSE | re.DOTALL,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


def _token(group: str, match: re.Match[str]) -> Token:
    text = match.group()
    kind: TokenKind = "symbol"
    value = text
    if group == "word":
        kind, value = "word", fold(text)
    elif group == "quoted":
        kind, value = "quoted", text[1:-1].replace(text[0] * 2, text[0])
        if _CONTROL.search(value):
            raise error_at(match.string, match.start(), "A quoted name has a control character, which no column has.")
    elif group == "string":
        kind, value = "string", text[1:-1].replace("''", "'")
    elif group == "escaped":
        kind, value = "string", re.sub(r"''|\\(.)", _unescape, text[2:-1], flags=re.DOTALL)
    elif group in ("number", "bytes"):
        kind = "number"
    return Token(kind, value, match.start(), match.end())


def _unescape(match: re.Match[str]) -> str:
    escaped: str | None = match.group(1)
    return "'" if escaped is None else _ESCAPES.get(escaped, escaped)


def _complaint(text: str, at: int) -> str:
    if text.startswith("/*", at):
        return "This comment is not closed with */, or has another one inside."
    if text[at] in "'eE":
        return (
            "This string is not closed with a single quote, or has an escape \\x, \\u or \\0, which are not supported."
        )
    if text[at] in '"`':
        return f"This quoted name is empty, or not closed with {text[at]}."
    return f"{text[at]!r} has no meaning in pipeline SQL."
