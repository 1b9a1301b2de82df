"""JSON expressions that mean nothing, or something nobody means: refused with their place."""

from __future__ import annotations

from .json_chain import FUNCTIONS, QUERY_FUNCTIONS, find_chain, without_parentheses
from .jsonpath import parse_jsonpath
from .jsonpath_filter import JsonPathError
from .sql_error import SqlError, error_at
from .tokens import words
from .tree import Call, Cast, Compare, Compound, Expression, JsonStep, Literal, operands, walk

_OPERATORS = words("|| + - * / % ^ & | ~ !~ ~* !~* << >> # @> <@")
_NO_JSON_OPERAND = _OPERATORS | {"[]"}


def refuse_json(text: str, expression: Expression) -> None:
    """Raise for the first such place in `expression`, which is part of `text`.

    Raises:
        SqlError: as described at each check.
    """
    for part in walk(expression):
        match part:
            case JsonStep():
                _check_binding(text, part)
            case Call() if part.name in FUNCTIONS or part.name in QUERY_FUNCTIONS:
                _check_call(text, part)
            case Compare():
                _check_operands(text, part)
            case Compound() if part.operator in _NO_JSON_OPERAND:
                _check_operands(text, part)
            case _:
                pass


def _check_binding(text: str, step: JsonStep) -> None:
    """`v->'a'::int` casts the key, `'x' || v->'a'` reads from 'x' || v; in PostgreSQL too, and nobody means it."""
    casts_key = isinstance(step.right, Cast) and text[step.right.start] == "'"
    for operand in (step.left, step.right):
        is_operator = isinstance(operand, Compound) and operand.operator in _OPERATORS
        if is_operator or (operand is step.right and casts_key):
            written = text[operand.start : operand.end]
            message = (
                f"{written} binds tighter than {step.operator}: put parentheses around the JSON expression, as in "
                "(value->'a')::BIGINT."
            )
            raise error_at(text, operand.start, message)


def _check_call(text: str, call: Call) -> None:
    if call.name in FUNCTIONS:
        if not call.arguments:
            raise error_at(text, call.start, f"{call.name}() takes a document and the steps of a path.")
        return
    if len(call.arguments) != 2:
        raise error_at(text, call.start, f"{call.name}() takes a document and a JSONPath.")
    query = without_parentheses(call.arguments[1])
    if not (isinstance(query, Literal) and isinstance(query.value, str)):
        raise error_at(text, query.start, f"The JSONPath of {call.name}() is a string, not computed.")
    try:
        parse_jsonpath(query.value)
    except JsonPathError as exc:
        raise _no_jsonpath(text, query, query.value, exc) from exc


def _no_jsonpath(text: str, query: Literal, path: str, exc: JsonPathError) -> SqlError:
    return error_at(text, query.start, f"{path!r} is no JSONPath: {exc} (character {exc.at + 1}).")


def _check_operands(text: str, operator: Expression) -> None:
    """A bare JSON value has no type to compare or compute with."""
    for operand in operands(operator):
        chain = find_chain(operand)
        if chain is not None and chain.kind == "value":
            message = (
                "This is a JSON value, which has no type to compare or compute with: use ->> (json_as_text) for its "
                "text, or cast it, as in (value->'a')::BIGINT."
            )
            raise error_at(text, operand.start, message)
