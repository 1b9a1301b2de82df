"""[WITH ...] SELECT ... FROM one source [WHERE ...]: the only query a pipeline has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .expressions import parse_expression
from .not_supported import CLAUSES
from .special_forms import RESERVED
from .tree import Call, CommonTable, Item, Query, Select, SubQuery, Table, walk

if TYPE_CHECKING:
    from .cursor import Cursor
    from .tree import Expression


def parse_query(cursor: Cursor) -> Query:
    """The query at the cursor, up to `)`, `;` or the end.

    Raises:
        SqlError: it has a clause that pipelines do not have, or is no query.
    """
    cursor.deeper()
    start = cursor.token.start
    common_tables: list[CommonTable] = []
    if cursor.accept_word("with"):
        if cursor.at_word("recursive"):
            raise cursor.refuse("WITH RECURSIVE is not supported.")
        common_tables.append(_parse_common_table(cursor))
        while cursor.accept_symbol(","):
            common_tables.append(_parse_common_table(cursor))
    select = _parse_select(cursor)
    if not (cursor.at_symbol(")", ";") or cursor.is_at_end):
        raise _complain(cursor)
    cursor.depth -= 1
    return Query(start, select.end, tuple(common_tables), select)


def _complain(cursor: Cursor) -> Exception:
    if cursor.token.kind == "word" and cursor.token.value in CLAUSES:
        return cursor.refuse(CLAUSES[cursor.token.value])
    if cursor.at_symbol(","):
        return cursor.refuse(
            "A second table after FROM is a join. Joins are not supported: a pipeline reads one stream."
        )
    return cursor.expected("WHERE, `;` or the end of the statement")


def _parse_common_table(cursor: Cursor) -> CommonTable:
    start = cursor.token.start
    name = cursor.expect_name("a name for the WITH query", RESERVED)
    if cursor.at_symbol("("):
        raise cursor.refuse("Column names after a WITH name are not supported: name them in its SELECT with AS.")
    cursor.expect_word("as")
    if cursor.at_word("not", "materialized"):
        raise cursor.refuse("MATERIALIZED is not supported.")
    cursor.expect_symbol("(")
    query = _parse_inner(cursor)
    return CommonTable(start, cursor.last_end, name, query)


def _parse_inner(cursor: Cursor) -> Query:
    """A query in parentheses, of which the first is already taken."""
    if cursor.at_word("values"):
        raise cursor.refuse("VALUES is not supported: a pipeline reads a stream.")
    query = parse_query(cursor)
    cursor.expect_symbol(")")
    return query


def _parse_select(cursor: Cursor) -> Select:
    start = cursor.token.start
    if cursor.at_symbol("("):
        raise cursor.refuse("Write the SELECT without parentheses; set operations are not supported.")
    if cursor.at_word("values"):
        raise cursor.refuse("VALUES is not supported: a pipeline reads a stream.")
    cursor.expect_word("select")
    if cursor.at_word("distinct"):
        raise cursor.refuse("DISTINCT is not supported: a stream has no end to compare with.")
    if cursor.at_word("all") or (cursor.at_word("top") and cursor.next.kind == "number"):
        raise cursor.refuse(f"SELECT {cursor.token.value.upper()} is not supported.")
    items = [_parse_item(cursor)]
    while cursor.accept_symbol(","):
        items.append(_parse_item(cursor))
    _check_unnest(cursor, items)
    if not cursor.at_word("from"):
        if cursor.token.kind == "word" and cursor.token.value in CLAUSES:
            raise cursor.refuse(CLAUSES[cursor.token.value])
        raise cursor.expected("FROM a_stream")
    cursor.take()
    source = _parse_source(cursor)
    where = None
    if cursor.accept_word("where"):
        where = parse_expression(cursor)
        for call in _unnests(where):
            raise cursor.refuse("UNNEST is only supported in a select list, not in WHERE.", call.start)
    return Select(start, cursor.last_end, tuple(items), source, where)


def _parse_item(cursor: Cursor) -> Item:
    start = cursor.token.start
    if cursor.accept_symbol("*"):
        return _star(cursor, start, None)
    if cursor.next.value == "." and cursor.token.kind in ("word", "quoted"):
        mark = cursor.mark()
        qualifier = cursor.take().value
        cursor.take()
        if cursor.accept_symbol("*"):
            return _star(cursor, start, qualifier)
        cursor.reset(mark)
    expression = parse_expression(cursor)
    end = expression.end
    alias = None
    if cursor.accept_word("as"):
        alias = cursor.expect_name("a column name after AS")
    elif cursor.token.kind in ("word", "quoted") and not cursor.at_word(*RESERVED):
        alias = cursor.take().value
    return Item(start, cursor.last_end if alias is not None else end, expression, alias)


def _star(cursor: Cursor, start: int, qualifier: str | None) -> Item:
    if cursor.at_word("except", "exclude", "replace", "rename", "ilike"):
        raise cursor.refuse(f"SELECT * {cursor.token.value.upper()} is not supported: list the columns.")
    return Item(start, cursor.last_end, None, qualifier)


def _parse_source(cursor: Cursor) -> Table | SubQuery:
    start = cursor.token.start
    if cursor.accept_symbol("("):
        query = _parse_inner(cursor)
        alias = _parse_alias(cursor)
        return SubQuery(start, cursor.last_end, query, alias)
    if cursor.at_word("unnest"):
        raise cursor.refuse("UNNEST is only supported in a select list, not in FROM.")
    if cursor.at_word("lateral", "only", "values"):
        raise cursor.refuse(f"{cursor.token.value.upper()} is not supported in FROM: name a stream.")
    if cursor.token.kind == "string":
        raise cursor.refuse("Reading a file in FROM is not supported: name a stream.")
    name = cursor.expect_name("the name of a stream", RESERVED)
    if cursor.at_symbol("("):
        raise cursor.refuse(f"Table functions such as {name}() are not supported: name a stream.", start)
    if cursor.at_symbol("."):
        raise cursor.refuse("A stream has no catalog or schema in front of its name.", start)
    alias = _parse_alias(cursor)
    return Table(start, cursor.last_end, name, alias)


def _parse_alias(cursor: Cursor) -> str | None:
    alias = None
    if cursor.accept_word("as"):
        alias = cursor.expect_name("a name after AS", RESERVED)
    elif cursor.token.kind in ("word", "quoted") and not cursor.at_word(*RESERVED, *CLAUSES):
        alias = cursor.take().value
    if alias is not None and cursor.at_symbol("("):
        raise cursor.refuse("Column names after a table's alias are not supported: name them in a SELECT with AS.")
    return alias


def _unnests(expression: Expression) -> list[Call]:
    return [part for part in walk(expression) if isinstance(part, Call) and part.name == "unnest"]


def _check_unnest(cursor: Cursor, items: list[Item]) -> None:
    calls = [call for item in items if item.expression is not None for call in _unnests(item.expression)]
    if len(calls) > 1:
        raise cursor.refuse("A SELECT may have one UNNEST: put the second one into a sub-select.", calls[1].start)
