"""Which value of which document a JSON expression asks for: `v -> 'a' ->> 'b'` is the text at a, b of `v`.

`json_get` calls and operators that stand on each other are one path. Source: the Rust crate datafusion-functions-json,
which the hosted service takes these functions from, and Arroyo's own `extract_json`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .json_kinds import CAST_KINDS, Inside
from .jsonpath import plain_steps
from .tree import Call, Cast, Compound, Expression, JsonStep, Literal

if TYPE_CHECKING:
    from .json_kinds import Kind, Path

FUNCTIONS: dict[str, Kind] = {
    "json_get": "value",
    "json_get_str": "str_or_empty",
    "json_get_int": "int",
    "json_get_float": "float",
    "json_get_bool": "bool",
    "json_get_json": "json",
    "json_as_text": "text",
    "json_length": "length",
    "json_contains": "contains",
}
"""`json_get_str` is "" where the path leads nowhere: as documented. The crate has NULL: "str" would be that."""
QUERY_FUNCTIONS: dict[str, Kind] = {"extract_json": "nodes", "extract_json_string": "node_str"}
OPERATORS: dict[str, Kind] = {"->": "value", "->>": "text", "?": "contains"}


@dataclass(frozen=True, slots=True)
class Chain:
    """`kind` of what is at `path` of the document `base`. Steps that are no constants are in `keys` instead."""

    base: Expression
    kind: Kind
    path: Path
    keys: tuple[Expression, ...] = ()
    query: str = ""
    """A JSONPath to ask at `path`."""


def find_chain(expression: Expression) -> Chain | None:
    """The JSON value an expression is, or None if it is anything else."""
    expression = without_parentheses(expression)
    if isinstance(expression, JsonStep):
        return _longer(expression.left, (expression.right,), OPERATORS[expression.operator])
    if isinstance(expression, Call) and expression.name in FUNCTIONS and expression.arguments:
        return _longer(expression.arguments[0], expression.arguments[1:], FUNCTIONS[expression.name])
    if isinstance(expression, Call) and expression.name in QUERY_FUNCTIONS and len(expression.arguments) == 2:
        query = without_parentheses(expression.arguments[1])
        if isinstance(query, Literal) and isinstance(query.value, str):
            return _query(expression.arguments[0], QUERY_FUNCTIONS[expression.name], query.value)
    return None


def find_cast_chain(cast: Cast) -> Chain | None:
    """The typed value that `json_get(...)::T` asks for; None if the operand is no bare JSON value."""
    chain = find_chain(cast.operand)
    if chain is None or chain.kind != "value":
        return None
    words = cast.type_text.upper().replace("(", " ").split()
    kind: Kind = "number" if "UNSIGNED" in words else CAST_KINDS.get(words[0], "text")
    return Chain(chain.base, kind, chain.path, chain.keys)


def without_parentheses(expression: Expression) -> Expression:
    while isinstance(expression, Compound) and expression.operator == "()" and len(expression.operands) == 1:
        expression = expression.operands[0]
    return expression


def _query(document: Expression, kind: Kind, query: str) -> Chain:
    """A JSONPath. Where it names one value and asks for its string, it is a path like any other: read with them."""
    chain = _longer(document, (), kind)
    steps = plain_steps(query)
    if kind != "node_str" or steps is None:
        return replace(chain, query=query)
    return replace(chain, kind="str", path=(*chain.path, *steps))


def _longer(left: Expression, keys: tuple[Expression, ...], kind: Kind) -> Chain:
    inner = find_chain(left)
    base = left
    path: Path = ()
    if inner is not None and not inner.keys and inner.kind in ("value", "json", "text"):
        base, path = inner.base, inner.path
        if inner.kind == "text":
            path = (*path, Inside.TEXT)
    steps = [_step(key) for key in keys]
    constant = [step for step in steps if step is not None]
    if len(constant) < len(steps):
        return Chain(left, kind, (), keys)
    return Chain(base, kind, (*path, *constant))


def _step(key: Expression) -> str | int | None:
    key = without_parentheses(key)
    if isinstance(key, Literal) and isinstance(key.value, str | int) and not isinstance(key.value, bool):
        return key.value
    return None
