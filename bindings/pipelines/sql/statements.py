"""A pipeline's SQL into its INSERT statements; whatever a pipeline does not have is refused with its place.

    INSERT INTO sink [WITH ...] SELECT ... FROM stream [WHERE ...] ; ...

Loads nothing but the standard library: names, shapes and positions need no engine. Types and columns are checked by
planning (`engine.py`), once the stream's schema is known. Source: Cloudflare docs, Pipelines SQL reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cursor import Cursor
from .not_supported import STATEMENTS
from .selects import parse_query
from .sql_error import SqlError, UnknownTableError, error_at, joined
from .tree import SubQuery, Table

if TYPE_CHECKING:
    from .tree import Query

__all__ = ["Insert", "SqlError", "UnknownTableError", "parse_pipeline", "parse_statements"]

SQL_CHARS_MAX = 100_000
PROBLEM_COUNT_MAX = 20
"""Told of one text: what is no SQL at all could have thousands."""
_OWN_PREFIX = "__edge_"


@dataclass(frozen=True, slots=True)
class Insert:
    """One INSERT of a pipeline. Positions are characters of `text`, the whole SQL it stands in."""

    text: str
    sink: str
    sink_at: int
    stream: str
    """The one table at the bottom, as the engine folds it."""
    stream_at: int
    query: Query
    is_pass_through: bool
    """`SELECT * FROM stream` and nothing else: the log's bytes are the result."""

    @property
    def select(self) -> str:
        """The query's text."""
        return self.text[self.query.start : self.query.end]


def parse_pipeline(sql: str, *, may_name_hidden: bool = False) -> tuple[Insert, ...]:
    """The INSERT statements of a pipeline, in order; at least one.

    Args:
        may_name_hidden: Edge's own columns may be named, in a statement that Edge wrote.

    Raises:
        SqlError: something in it is not supported or no SQL; line and column say where. It knows the others.
    """
    inserts, errors = parse_statements(sql, may_name_hidden=may_name_hidden)
    if errors:
        raise joined(errors)
    return inserts


def parse_statements(sql: str, *, may_name_hidden: bool = False) -> tuple[tuple[Insert, ...], list[SqlError]]:
    """As `parse_pipeline`: the statements that are right, and what is wrong with each of the others.

    Raises:
        SqlError: the text cannot be told into statements.
    """
    if len(sql) > SQL_CHARS_MAX:
        raise SqlError(f"The SQL is {len(sql)} characters long; at most {SQL_CHARS_MAX} are taken.")
    cursor = Cursor(sql)
    if not may_name_hidden:
        cursor.refuse_prefix(_OWN_PREFIX)
    inserts: list[Insert] = []
    errors: list[SqlError] = []
    while not cursor.is_at_end and len(errors) < PROBLEM_COUNT_MAX:
        if cursor.accept_symbol(";"):
            continue
        try:
            insert = _parse_insert(cursor)
            if not cursor.is_at_end:
                cursor.expect_symbol(";")
            inserts.append(insert)
        except SqlError as error:
            errors.append(error)
            cursor.skip_past(";")
    if not inserts and not errors:
        raise SqlError("There is no statement: a pipeline is INSERT INTO a_sink SELECT ... FROM a_stream.")
    return tuple(inserts), errors


def _parse_insert(cursor: Cursor) -> Insert:
    if cursor.token.kind == "word" and cursor.token.value in STATEMENTS:
        raise cursor.refuse(STATEMENTS[cursor.token.value])
    cursor.expect_word("insert")
    if cursor.at_word("overwrite", "or", "ignore"):
        raise cursor.refuse(f"INSERT {cursor.token.value.upper()} is not supported: a sink is only appended to.")
    cursor.expect_word("into")
    sink_at = cursor.token.start
    sink = cursor.expect_name("the name of a sink", ("select", "with", "table", "values"))
    if cursor.at_symbol("."):
        raise cursor.refuse("A sink has no catalog or schema in front of its name.", sink_at)
    if cursor.at_symbol("("):
        raise cursor.refuse("A column list after the sink's name is not supported: name columns in the SELECT with AS.")
    if cursor.at_word("default", "values"):
        raise cursor.refuse("VALUES is not supported: a pipeline reads a stream.")
    query = parse_query(cursor)
    if cursor.at_symbol(")"):
        raise cursor.expected("`;` or the end of the statement")
    tables = _base_tables(query, frozenset())
    for table in tables[1:]:
        if table.name != tables[0].name:
            message = f"The statement reads {tables[0].name} and {table.name}; an INSERT reads one stream."
            raise error_at(cursor.text, table.start, message)
    return Insert(
        text=cursor.text,
        sink=sink,
        sink_at=sink_at,
        stream=tables[0].name,
        stream_at=tables[0].start,
        query=query,
        is_pass_through=_is_pass_through(query),
    )


def _base_tables(query: Query, common_names: frozenset[str]) -> list[Table]:
    """The streams read, each place once: names in FROM that no WITH in scope defines."""
    found: list[Table] = []
    for common in query.common_tables:
        found += _base_tables(common.query, common_names)
        common_names |= {common.name}
    source = query.select.source
    if isinstance(source, SubQuery):
        found += _base_tables(source.query, common_names)
    elif source.name not in common_names:
        found.append(source)
    return found


def _is_pass_through(query: Query) -> bool:
    select = query.select
    return (
        not query.common_tables
        and len(select.items) == 1
        and select.items[0].expression is None
        and isinstance(select.source, Table)
        and select.where is None
    )
