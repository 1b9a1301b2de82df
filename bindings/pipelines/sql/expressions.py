"""Expressions of a select list or a WHERE, parsed by binding power (PostgreSQL's order of operators).

The engine parses the text again; this tree tells which spans to rewrite and refuses what pipelines do not have.
`->`, `->>` and `?` bind as in PostgreSQL, tighter than comparisons. The engine's own default would read
`a -> 'b' = 'c'` as `a -> ('b' = 'c')`; it never sees the operator, because its span is replaced by one name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .special_forms import RESERVED, parse_call, parse_special, parse_type
from .tree import Cast, Column, Compare, Compound, Expression, FieldStep, JsonStep, Literal

if TYPE_CHECKING:
    from .cursor import Cursor

JSON_OPERATORS = ("->", "->>", "?")
_NOT_POWER, _IS_POWER, _COMPARE_POWER, _MATCH_POWER, _SIGN_POWER, _ZONE_POWER = 30, 40, 50, 60, 105, 110
_COMPARISONS = ("=", "==", "<>", "!=", "<", ">", "<=", ">=", "<=>")
_MATCHES = ("in", "like", "ilike", "similar", "rlike", "regexp", "between")
_WORD_POWER = {"or": 10, "xor": 15, "and": 20, "div": 90}
_SYMBOL_POWER = {
    **dict.fromkeys(_COMPARISONS, _COMPARE_POWER),
    **dict.fromkeys(("||", "~", "!~", "~*", "!~*", "&", "|", "<<", ">>", "#", "@>", "<@", *JSON_OPERATORS), 70),
    **dict.fromkeys("+-", 80),
    **dict.fromkeys("*/%", 90),
    "^": 100,
}


def parse_expression(cursor: Cursor, power: int = 0) -> Expression:
    """The expression at the cursor, as far as operators bind tighter than `power`."""
    cursor.deeper()
    chain = cursor.chain
    left = _parse_prefix(cursor)
    while (longer := _parse_infix(cursor, left, power)) is not None:
        left = longer
        cursor.longer()
    cursor.depth -= 1
    cursor.chain = chain
    return left


def parse_list(cursor: Cursor, closing: str) -> tuple[Expression, ...]:
    """Expressions between commas, up to and including the closing symbol."""
    found: list[Expression] = []
    if cursor.accept_symbol(closing):
        return ()
    while True:
        found.append(parse_expression(cursor))
        if cursor.accept_symbol(closing):
            return tuple(found)
        cursor.expect_symbol(",")


def _parse_prefix(cursor: Cursor) -> Expression:
    token = cursor.token
    if token.kind == "string":
        cursor.take()
        return _parse_steps(cursor, Literal(token.start, token.end, token.value))
    if token.kind == "number":
        cursor.take()
        return _parse_steps(cursor, Literal(token.start, token.end, _number(token.value)))
    if cursor.at_word("not"):
        cursor.take()
        inner = parse_expression(cursor, _NOT_POWER)
        return Compound(token.start, inner.end, "not", (inner,))
    if cursor.at_symbol("-", "+", "~"):
        cursor.take()
        inner = parse_expression(cursor, _SIGN_POWER)
        if token.value == "-" and isinstance(inner, Literal) and isinstance(inner.value, int | float):
            return Literal(token.start, inner.end, -inner.value)
        return Compound(token.start, inner.end, token.value, (inner,))
    return _parse_steps(cursor, _parse_atom(cursor))


def _number(text: str) -> int | float | None:
    if text.isdigit():
        return int(text)
    return None if text[0] in "xX" else float(text)


def _parse_atom(cursor: Cursor) -> Expression:
    token = cursor.token
    if cursor.accept_symbol("("):
        if cursor.at_word("select", "with", "values"):
            raise cursor.refuse("A sub-select is only supported in FROM, not inside an expression.", token.start)
        inner = parse_list(cursor, ")")
        return Compound(token.start, cursor.last_end, "()", inner)
    if cursor.accept_symbol("["):
        inner = parse_list(cursor, "]")
        return Compound(token.start, cursor.last_end, "array", inner)
    if cursor.accept_symbol("{"):
        inner = _parse_entries(cursor)
        return Compound(token.start, cursor.last_end, "{}", inner)
    if token.kind == "word" and (special := parse_special(cursor, parse_expression)) is not None:
        return special
    is_call = cursor.at_word("left", "right") and cursor.next.value == "("
    if token.kind in ("word", "quoted") and (is_call or not cursor.at_word(*RESERVED)):
        return _parse_name(cursor)
    raise cursor.expected("an expression")


def _parse_entries(cursor: Cursor) -> tuple[Expression, ...]:
    """Keys and values of a struct literal {'a': 1}, after the opening brace."""
    found: list[Expression] = []
    while not cursor.accept_symbol("}"):
        if found:
            cursor.expect_symbol(",")
        found.append(parse_expression(cursor))
        cursor.expect_symbol(":")
        found.append(parse_expression(cursor))
    return tuple(found)


def _parse_name(cursor: Cursor) -> Expression:
    first = cursor.take()
    if cursor.at_symbol("("):
        if first.kind == "quoted":
            raise cursor.refuse("A function name is not quoted.", first.start)
        return parse_call(cursor, first, parse_list, parse_expression)
    names = [first.value]
    while cursor.at_symbol(".") and cursor.next.kind in ("word", "quoted"):
        cursor.take()
        names.append(cursor.take().value)
    if cursor.at_symbol("("):
        raise cursor.refuse(f"There is no function {'.'.join(names)}: functions have no qualified names.", first.start)
    return Column(first.start, cursor.last_end, tuple(names))


def _parse_steps(cursor: Cursor, base: Expression) -> Expression:
    """`[index]`, `.field` and `::type` after an expression, which bind tighter than any operator."""
    while True:
        if cursor.at_symbol("[", ".", "::"):
            cursor.longer()
        if cursor.accept_symbol("["):
            index = _parse_index(cursor)
            base = Compound(base.start, cursor.last_end, "[]", (base, *index))
        elif cursor.at_symbol(".") and cursor.next.kind in ("word", "quoted"):
            cursor.take()
            name = cursor.take()
            base = FieldStep(base.start, name.end, base, name.value)
        elif cursor.accept_symbol("::"):
            type_text = parse_type(cursor)
            base = Cast(base.start, cursor.last_end, base, type_text, is_try=False)
        else:
            return base


def _parse_index(cursor: Cursor) -> tuple[Expression, ...]:
    """What is between brackets: an index, or a slice whose ends may be missing."""
    found: list[Expression] = []
    while not cursor.accept_symbol("]"):
        if not cursor.accept_symbol(":"):
            found.append(parse_expression(cursor))
    if not found:
        raise cursor.expected("an index before ']'")
    return tuple(found)


def _parse_infix(cursor: Cursor, left: Expression, power: int) -> Expression | None:
    """One operator and its right side, or None where the expression ends for `power`."""
    token = cursor.token
    if token.kind == "symbol":
        own = _SYMBOL_POWER.get(token.value, 0)
    elif token.kind == "word":
        return _parse_word_infix(cursor, left, power)
    else:
        return None
    if own <= power:
        return None
    cursor.take()
    right = parse_expression(cursor, own)
    if token.value in JSON_OPERATORS:
        return JsonStep(left.start, right.end, left, token.value, right)
    if token.value in _COMPARISONS:
        return Compare(left.start, right.end, token.value, (left, right))
    return Compound(left.start, right.end, token.value, (left, right))


def _parse_word_infix(cursor: Cursor, left: Expression, power: int) -> Expression | None:
    word = cursor.token.value
    if word in _WORD_POWER and _WORD_POWER[word] > power:
        cursor.take()
        right = parse_expression(cursor, _WORD_POWER[word])
        return Compound(left.start, right.end, word, (left, right))
    if word == "is" and power < _IS_POWER:
        return _parse_is(cursor, left)
    if word == "at" and power < _ZONE_POWER:
        cursor.take()
        cursor.expect_word("time")
        cursor.expect_word("zone")
        right = parse_expression(cursor, _ZONE_POWER)
        return Compound(left.start, right.end, "at time zone", (left, right))
    negated = word == "not" and cursor.next.kind == "word" and cursor.next.value in _MATCHES
    if (word in _MATCHES or negated) and power < _MATCH_POWER:
        if negated:
            cursor.take()
        return _parse_match(cursor, left)
    return None


def _parse_is(cursor: Cursor, left: Expression) -> Expression:
    cursor.take()
    cursor.accept_word("not")
    if cursor.accept_word("distinct"):
        cursor.expect_word("from")
        right = parse_expression(cursor, _IS_POWER)
        return Compare(left.start, right.end, "is distinct from", (left, right))
    if not cursor.accept_word("null", "true", "false", "unknown"):
        raise cursor.expected("NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM")
    return Compound(left.start, cursor.last_end, "is", (left,))


def _parse_match(cursor: Cursor, left: Expression) -> Expression:
    """`left [NOT] IN (...)`, LIKE, ILIKE, SIMILAR TO, RLIKE, BETWEEN."""
    operator = cursor.take().value
    if operator == "in":
        opening = cursor.expect_symbol("(")
        if cursor.at_word("select", "with"):
            raise cursor.refuse("A sub-select is only supported in FROM, not inside IN.", opening.start)
        choices = parse_list(cursor, ")")
        return Compare(left.start, cursor.last_end, operator, (left, *choices))
    if operator == "similar":
        cursor.expect_word("to")
    right = [parse_expression(cursor, _MATCH_POWER)]
    if operator == "between":
        cursor.expect_word("and")
        right.append(parse_expression(cursor, _MATCH_POWER))
    elif cursor.accept_word("escape"):
        right.append(parse_expression(cursor, _MATCH_POWER))
    return Compare(left.start, cursor.last_end, operator, (left, *right))
