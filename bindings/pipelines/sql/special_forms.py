"""Expressions that SQL spells in words: CASE, CAST, EXTRACT, INTERVAL, typed literals; and names of types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .not_supported import refuse_call
from .tokens import words
from .tree import Call, Cast, Compound, Expression, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cursor import Cursor
    from .tokens import Token

    Parse = Callable[[Cursor, int], Expression]
    ParseList = Callable[[Cursor, str], tuple[Expression, ...]]

RESERVED = words(
    """select from where group having order limit offset fetch union except intersect minus window qualify with insert
    into values on join inner left right full cross natural using as and or not in is between like ilike similar case
    when then else end distinct lateral tablesample cluster distribute sort for"""
)
"""Words that are no name unless quoted; `left(` and `right(` are functions all the same."""

_CONSTANTS: dict[str, bool | None] = {"null": None, "true": True, "false": False}
_CLOCK_WORDS = frozenset(("current_date", "current_time", "current_timestamp"))
_TYPED_LITERALS = frozenset(("date", "time", "timestamp", "timestamptz", "datetime"))
_UNITS = words(
    """year years quarter quarters month months week weeks day days hour hours minute minutes second seconds
    millisecond milliseconds microsecond microseconds nanosecond nanoseconds"""
)
_TYPE_SUFFIXES = words("precision unsigned varying with without time zone local")
_OPERAND_WORDS = words("from for in placing both leading trailing to")


def parse_special(cursor: Cursor, parse: Parse) -> Expression | None:
    """An expression that begins with a word of its own; None for a plain name or call."""
    token = cursor.token
    word = token.value
    follows = cursor.next
    if word in _CONSTANTS:
        cursor.take()
        return Literal(token.start, token.end, _CONSTANTS[word])
    if word == "case":
        return _parse_case(cursor, parse)
    if word == "interval" and (follows.kind in ("string", "number")):
        return _parse_interval(cursor)
    if word in _TYPED_LITERALS and follows.kind == "string":
        cursor.take()
        cursor.take()
        return Compound(token.start, follows.end, "typed literal", ())
    if word in _CLOCK_WORDS and follows.value != "(":
        cursor.take()
        return Call(token.start, token.end, word, token.end, ())
    if word in ("exists", "array") and follows.value in ("(", "["):
        return _parse_array(cursor, parse) if follows.value == "[" else _refuse_sub_select(cursor)
    if word in ("cast", "try_cast") and follows.value == "(":
        return _parse_cast(cursor, parse)
    return None


def _refuse_sub_select(cursor: Cursor) -> Expression:
    word = cursor.token.value.upper()
    raise cursor.refuse(f"{word}(SELECT ...) is not supported: a sub-select is only supported in FROM.")


def _parse_array(cursor: Cursor, parse: Parse) -> Expression:
    start = cursor.take().start
    cursor.take()
    found: list[Expression] = []
    while not cursor.accept_symbol("]"):
        if found:
            cursor.expect_symbol(",")
        found.append(parse(cursor, 0))
    return Compound(start, cursor.last_end, "array", tuple(found))


def _parse_case(cursor: Cursor, parse: Parse) -> Expression:
    start = cursor.take().start
    found: list[Expression] = []
    if not cursor.at_word("when"):
        found.append(parse(cursor, 0))
    while cursor.accept_word("when"):
        found.append(parse(cursor, 0))
        cursor.expect_word("then")
        found.append(parse(cursor, 0))
    if cursor.accept_word("else"):
        found.append(parse(cursor, 0))
    end = cursor.expect_word("end")
    return Compound(start, end.end, "case", tuple(found))


def _parse_interval(cursor: Cursor) -> Expression:
    start = cursor.take().start
    cursor.take()
    if cursor.at_word(*_UNITS):
        cursor.take()
    return Compound(start, cursor.last_end, "interval", ())


def _parse_cast(cursor: Cursor, parse: Parse) -> Expression:
    word = cursor.take()
    cursor.take()
    operand = parse(cursor, 0)
    cursor.expect_word("as")
    type_text = parse_type(cursor)
    end = cursor.expect_symbol(")")
    return Cast(word.start, end.end, operand, type_text, is_try=word.value == "try_cast")


def parse_call(cursor: Cursor, name: Token, parse_list: ParseList, parse: Parse) -> Expression:
    """A call of `name`; the cursor stands on its opening parenthesis."""
    refuse_call(cursor, name)
    cursor.take()
    arguments = _parse_worded(cursor, parse) if name.value in _WORDED else parse_list(cursor, ")")
    if cursor.at_word("over", "filter", "within", "ignore", "respect"):
        raise cursor.refuse(
            f"{name.value}(...) {cursor.token.value.upper()} is not supported: no windows, no aggregates."
        )
    return Call(name.start, cursor.last_end, name.value, name.end, arguments)


_WORDED = frozenset(("extract", "position", "overlay", "substring", "trim", "ceil", "floor"))
_WORDED_POWER = 60
"""Above IN, which parts the operands of `position`."""


def _parse_worded(cursor: Cursor, parse: Parse) -> tuple[Expression, ...]:
    """Arguments that may be parted by words: `extract(day FROM x)`, `trim(BOTH 'x' FROM y)`."""
    found: list[Expression] = []
    while not cursor.accept_symbol(")"):
        if cursor.at_word(*_OPERAND_WORDS) or cursor.at_symbol(","):
            cursor.take()
        else:
            found.append(parse(cursor, _WORDED_POWER))
    return tuple(found)


def parse_type(cursor: Cursor) -> str:
    """The name of a type, as written: VARCHAR, DECIMAL(20, 4), TIMESTAMP WITH TIME ZONE, BIGINT[]."""
    start = cursor.token.start
    cursor.expect_name("a type")
    while True:
        if cursor.at_word(*_TYPE_SUFFIXES):
            cursor.take()
        elif cursor.accept_symbol("("):
            while not cursor.accept_symbol(")"):
                if cursor.token.kind != "number" and not cursor.at_symbol(","):
                    raise cursor.expected("a number in the type's parentheses")
                cursor.take()
        elif cursor.at_symbol("[") and cursor.next.value == "]":
            cursor.take()
            cursor.take()
        else:
            return cursor.text[start : cursor.last_end]
