"""An INSERT's query into the text the engine runs, by replacing spans of the original; nothing else is touched.

- the stream's name becomes the one table of the engine, under the stream's name as its alias;
- JSON operators and functions become names of columns that were extracted before (`json_extract.py`), or calls;
- functions whose documented result differs are written out (`functions.py`), the clock's become literals;
- `items[1].sku` becomes `items[1]['sku']`, and comments become blanks;
- every select list gets the hidden columns, so that each row still knows its record.

A JSON path on a column of the stream is shredded: read in one pass over the column, before the query. That holds
through sub-selects and WITH as long as the column only travels (`value AS v`, `*`, `value -> 'a' AS v`); such columns
are named in every inner select list. Of anything computed, JSON is read by a call inside the query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from .functions import clock_call, documented_call
from .growing_calls import bounded_arguments
from .json_chain import Chain, find_cast_chain, find_chain, without_parentheses
from .json_kinds import Want
from .json_refusals import refuse_json
from .sql_error import error_at
from .tokens import quote_name, quote_string, tokenize
from .tree import Call, Cast, Column, FieldStep, Literal, SubQuery, Table, operands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .json_kinds import Path
    from .statements import Insert
    from .tree import Expression, Item, Query, Select, Span

    Origin: TypeAlias = tuple[str, Path]
    Origins: TypeAlias = Mapping[str, Origin]

STREAM_TABLE = "__edge_stream"


@dataclass(frozen=True, slots=True)
class JsonCall:
    """A function to register: `kind` of what is at the path of its first argument. With `key_count` the steps come as
    further arguments, each as two: its Arrow type's name and its text."""

    name: str
    want: Want
    key_count: int = 0


@dataclass(slots=True)
class Rewritten:
    """What the engine needs to run an INSERT."""

    sql: str = ""
    shreds: dict[str, dict[Want, str]] = field(default_factory=dict)
    """Column of the stream -> what to extract from it -> name of the column that holds it."""
    calls: list[JsonCall] = field(default_factory=list)


def rewrite(insert: Insert, columns: Sequence[pa.Field], hidden: Sequence[str], started_at: float) -> Rewritten:
    """The text to run. `columns`: those of the stream; `hidden`: names carried through every level.

    Raises:
        SqlError: a JSON value is used where its type is not known.
    """
    return _Rewriter(insert, columns, hidden, started_at).run()


@dataclass(frozen=True, slots=True)
class _Scope:
    """What names mean inside one SELECT."""

    qualifier: str
    origins: Mapping[str, Origin]
    """Column -> the stream's column, and the path inside it, that it stands for. Computed ones are not in it."""

    def origin(self, expression: Expression) -> Origin | None:
        if not isinstance(expression, Column):
            return None
        names = expression.names
        if len(names) == 2 and names[0] == self.qualifier:
            names = names[1:]
        return self.origins.get(names[0]) if len(names) == 1 else None


class _Rewriter:
    def __init__(self, insert: Insert, columns: Sequence[pa.Field], hidden: Sequence[str], started_at: float) -> None:
        self._insert = insert
        self._text = _without_comments(insert.text)
        self._types = {column.name: column.type for column in columns}
        self._stream_origins = {column.name: (column.name, ()) for column in columns}
        self._hidden = hidden
        self._started_at = started_at
        self._shreds: dict[str, dict[Want, str]] = {}
        self._calls: dict[tuple[Want, int], str] = {}

    def run(self) -> Rewritten:
        query = self._insert.query
        self._query(query, {}, is_outermost=True)
        # Again, now that every path is known: inner select lists name all extracted columns.
        sql, _ = self._query(query, {}, is_outermost=True)
        calls = [JsonCall(name, want, count) for (want, count), name in self._calls.items()]
        return Rewritten(sql, self._shreds, calls)

    def _query(self, query: Query, tables: Mapping[str, Origins], *, is_outermost: bool) -> tuple[str, Origins]:
        edits: list[tuple[Span, str]] = []
        for common in query.common_tables:
            text, origins = self._query(common.query, tables, is_outermost=False)
            edits.append((common.query, text))
            tables = {**tables, common.name: origins}
        text, origins = self._select(query.select, tables, is_outermost=is_outermost)
        edits.append((query.select, text))
        return self._splice(query, edits), origins

    def _select(self, select: Select, tables: Mapping[str, Origins], *, is_outermost: bool) -> tuple[str, Origins]:
        source, scope = self._source(select.source, tables)
        items = [(item, self._item(item, scope)) for item in select.items]
        if all(item.expression is not None for item in select.items):
            last, text = items[-1]
            items[-1] = (last, ", ".join((text, *map(quote_name, self._carried(is_outermost=is_outermost)))))
        edits: list[tuple[Span, str]] = [*items, (select.source, source)]
        if select.where is not None:
            refuse_json(self._text, select.where)
            edits.append((select.where, self._expression(select.where, scope)))
        return self._splice(select, edits), self._outputs(select, scope)

    def _carried(self, *, is_outermost: bool) -> list[str]:
        extracted = [] if is_outermost else [name for wants in self._shreds.values() for name in wants.values()]
        return [*self._hidden, *extracted]

    def _source(self, source: Table | SubQuery, tables: Mapping[str, Origins]) -> tuple[str, _Scope]:
        if isinstance(source, SubQuery):
            text, origins = self._query(source.query, tables, is_outermost=False)
            return self._splice(source, [(source.query, text)]), _Scope(source.alias or "", origins)
        if source.name in tables:
            return self._original(source), _Scope(source.alias or source.name, tables[source.name])
        qualifier = source.alias or source.name
        return f"{STREAM_TABLE} AS {quote_name(qualifier)}", _Scope(qualifier, self._stream_origins)

    def _outputs(self, select: Select, scope: _Scope) -> Origins:
        """What of the stream's columns this SELECT hands on, by the names it gives them."""
        found: dict[str, Origin] = {}
        for item in select.items:
            if item.expression is None:
                found.update(scope.origins)
                continue
            origin = self._origin(item.expression, scope)
            expression = without_parentheses(item.expression)
            name = item.alias or (expression.names[-1] if isinstance(expression, Column) else None)
            if origin is not None and name is not None:
                found[name] = origin
        return found

    def _origin(self, expression: Expression, scope: _Scope) -> Origin | None:
        chain = find_chain(expression)
        if chain is None:
            return scope.origin(without_parentheses(expression))
        base = scope.origin(without_parentheses(chain.base))
        if base is None or chain.keys or chain.kind not in ("value", "json"):
            return None
        return (base[0], (*base[1], *chain.path))

    def _item(self, item: Item, scope: _Scope) -> str:
        if item.expression is None:
            return self._original(item)
        refuse_json(self._text, item.expression)
        text = self._expression(item.expression, scope)
        original = self._original(item.expression)
        if item.alias is not None:
            return self._splice(item, [(item.expression, text)])
        is_named = text == original or isinstance(item.expression, Column | FieldStep)
        return text if is_named else f"{text} AS {quote_name(' '.join(original.split()))}"

    def _expression(self, expression: Expression, scope: _Scope) -> str:
        chain = find_chain(expression)
        if chain is not None:
            return self._chain(chain, scope)
        match expression:
            case Literal(value=str(value)):
                return quote_string(value)
            case Call():
                return self._call(expression, scope)
            case Cast() if (chain := find_cast_chain(expression)) is not None:
                return self._splice(expression, [(expression.operand, self._chain(chain, scope))])
            case FieldStep():
                return f"{self._expression(expression.base, scope)}[{quote_string(expression.name)}]"
            case _:
                return self._splice(
                    expression, [(each, self._expression(each, scope)) for each in operands(expression)]
                )

    def _call(self, call: Call, scope: _Scope) -> str:
        clock = clock_call(call.name, self._started_at)
        if clock is not None and not call.arguments:
            return clock
        arguments = [self._expression(each, scope) for each in call.arguments]
        written = documented_call(call.name, arguments)
        if written is not None:
            return written
        try:
            bounded = bounded_arguments(call.name, arguments)
        except ValueError as error:
            raise self._error(call, str(error)) from None
        return self._splice(call, list(zip(call.arguments, bounded, strict=True)))

    def _chain(self, chain: Chain, scope: _Scope) -> str:
        """The name or call that stands for a JSON value."""
        if chain.keys:
            return self._dynamic(chain, scope)
        origin = scope.origin(without_parentheses(chain.base))
        if origin is not None:
            column, path = origin
            self._require_text(column, chain.base)
            wants = self._shreds.setdefault(column, {})
            want = Want(chain.kind, (*path, *chain.path), chain.query)
            count = sum(map(len, self._shreds.values()))
            return quote_name(wants.setdefault(want, f"__edge_json_{count}"))
        want = Want(chain.kind, chain.path, chain.query)
        name = self._calls.setdefault((want, 0), f"__edge_json_call_{len(self._calls)}")
        return f"{name}({self._expression(chain.base, scope)})"

    def _require_text(self, column: str, place: Span) -> None:
        type_ = self._types[column]
        if not (pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)):
            hint = f": write {column}.field" if pa.types.is_struct(type_) else ""
            raise self._error(place, f"JSON is read from text, and {column} is {type_}{hint}.")

    def _dynamic(self, chain: Chain, scope: _Scope) -> str:
        name = self._calls.setdefault((Want(chain.kind, ()), len(chain.keys)), f"__edge_json_call_{len(self._calls)}")
        arguments = [self._expression(chain.base, scope)]
        for key in chain.keys:
            text = self._expression(key, scope)
            arguments += [f"arrow_typeof({text})", f"CAST({text} AS VARCHAR)"]
        return f"{name}({', '.join(arguments)})"

    def _original(self, span: Span) -> str:
        return self._text[span.start : span.end]

    def _splice(self, span: Span, edits: Sequence[tuple[Span, str]]) -> str:
        """The original text of `span` with some spans inside replaced; `edits` are in the order of the text."""
        pieces: list[str] = []
        at = span.start
        for inner, text in edits:
            pieces += [self._text[at : inner.start], text]
            at = inner.end
        return "".join([*pieces, self._text[at : span.end]])

    def _error(self, span: Span, message: str) -> Exception:
        return error_at(self._insert.text, span.start, message)


def _without_comments(text: str) -> str:
    """The same text, every character that is in no token a blank: offsets stay."""
    pieces: list[str] = []
    at = 0
    for token in tokenize(text):
        pieces += [" " * (token.start - at), text[token.start : token.end]]
        at = token.end
    return "".join(pieces)
