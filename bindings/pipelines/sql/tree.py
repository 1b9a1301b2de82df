"""The parts of a pipeline's SQL that checking and rewriting look at, each with its span in the text.

Only what something asks for has a type of its own; every other operator is a `Compound` of its operands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of the whole text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Column(Span):
    """A name, perhaps qualified: `value`, `s.value`, `s.struct.field`. Folded unless quoted."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Literal(Span):
    """A string, number, boolean or NULL as a Python value; None where a number is beyond int and float."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Call(Span):
    """A function call. `arguments` are those between commas; odd forms (`extract(day FROM x)`) list their operands."""

    name: str
    name_end: int
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class JsonStep(Span):
    """`left -> right`, `left ->> right`, `left ? right`."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Cast(Span):
    """CAST(operand AS type), TRY_CAST or `operand::type`."""

    operand: Expression
    type_text: str
    is_try: bool


@dataclass(frozen=True, slots=True)
class Compare(Span):
    """`=`, `<`, IN, LIKE, BETWEEN ...: the first operand against the others."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class FieldStep(Span):
    """`.name` after something that is no plain name: `items[1].sku`."""

    base: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Compound(Span):
    """Anything else, for the sake of what is inside. `operator` is "()" for parentheses and "[]" for an index."""

    operator: str
    operands: tuple[Expression, ...]


Expression: TypeAlias = Column | Literal | Call | JsonStep | Cast | Compare | FieldStep | Compound


@dataclass(frozen=True, slots=True)
class Item(Span):
    """One entry of a select list. `expression` is None for a star."""

    expression: Expression | None
    alias: str | None


@dataclass(frozen=True, slots=True)
class Table(Span):
    """A name in FROM: a stream, or a WITH name in scope."""

    name: str
    alias: str | None


@dataclass(frozen=True, slots=True)
class SubQuery(Span):
    """(SELECT ...) in FROM."""

    query: Query
    alias: str | None


@dataclass(frozen=True, slots=True)
class Select(Span):
    """SELECT items FROM source WHERE where."""

    items: tuple[Item, ...]
    source: Table | SubQuery
    where: Expression | None


@dataclass(frozen=True, slots=True)
class CommonTable(Span):
    name: str
    query: Query


@dataclass(frozen=True, slots=True)
class Query(Span):
    """[WITH ...] SELECT ..."""

    common_tables: tuple[CommonTable, ...]
    select: Select


def operands(expression: Expression) -> tuple[Expression, ...]:
    """What is directly inside, in the order of the text."""
    match expression:
        case Call():
            return expression.arguments
        case JsonStep():
            return (expression.left, expression.right)
        case Cast():
            return (expression.operand,)
        case Compare() | Compound():
            return expression.operands
        case FieldStep():
            return (expression.base,)
        case _:
            return ()


def walk(expression: Expression) -> list[Expression]:
    """The expression and everything inside it."""
    found = [expression]
    for inner in operands(expression):
        found += walk(inner)
    return found
