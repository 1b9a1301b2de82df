"""A pipeline's SQL planned against its streams' columns, before it runs: unknown columns, types that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import UnsupportedError
from .extras import needing
from .sink_types import find_sink_type
from .sinks.sink import SinkMisconfiguredError
from .sql.sql_error import SqlError, joined, unknown_table
from .sql.statements import parse_statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .objects import SinkObject, StreamObject
    from .sql.statements import Insert


@dataclass(frozen=True, slots=True)
class PlannedInsert:
    """One INSERT that would run."""

    insert: Insert
    columns: tuple[tuple[str, str], ...]
    """Name and type of what it writes, in order."""


def plan_pipeline(
    sql: str, streams: Mapping[str, StreamObject], sinks: Mapping[str, SinkObject]
) -> tuple[PlannedInsert, ...]:
    """Plan every INSERT of a pipeline over the tables there are, by name.

    Raises:
        SqlError: the SQL is none a pipeline may have, names a table that is not there, does not fit a stream's columns,
            or gives what a sink cannot hold. The first in the text is raised, and knows the others.
        UnsupportedError: the SQL engine is not installed.
    """
    inserts, errors = parse_statements(sql)
    for insert in inserts:
        errors += unknown_table(sql, insert.sink, insert.sink_at, sinks, "sink")
        errors += unknown_table(sql, insert.stream, insert.stream_at, streams, "stream")
    try:
        planned, unfit = plan_inserts(inserts, streams, sinks)
    except UnsupportedError:
        if errors:
            raise joined(errors) from None
        raise
    if errors or unfit:
        raise joined([*errors, *unfit])
    return planned


def plan_inserts(
    inserts: Iterable[Insert], streams: Mapping[str, StreamObject], sinks: Mapping[str, SinkObject]
) -> tuple[tuple[PlannedInsert, ...], list[SqlError]]:
    """Plan the INSERTs whose streams are known: those that would run, and what is wrong with the others.

    Raises:
        UnsupportedError: the SQL engine is not installed.
    """
    with needing("Pipelines need"):
        from .schemas.columns import ColumnBuilder  # noqa: PLC0415 - pyarrow and the engine are loaded by who plans
        from .sql.engine import compile_insert  # noqa: PLC0415 - as above
    planned: list[PlannedInsert] = []
    errors: list[SqlError] = []
    for insert in inserts:
        if (stream := streams.get(insert.stream)) is None:
            continue
        columns = ColumnBuilder(stream.schema, timestamp_format=stream.timestamp_format).arrow_schema
        try:
            output: Any = compile_insert(insert, columns, started_at=0.0).output_schema
            _require_columns(insert, output, sinks.get(insert.sink))
        except SqlError as error:
            errors.append(error)
        else:
            planned.append(PlannedInsert(insert, tuple((field.name, str(field.type)) for field in output)))
    return tuple(planned), errors


def _require_columns(insert: Insert, output: Any, sink: SinkObject | None) -> None:
    """Raise SqlError at the first column that the sink's type refuses; most types take every column."""
    require_column = getattr(sink and find_sink_type(sink.type), "require_column", None)
    if require_column is None:
        return
    from .sql.engine_errors import column_error  # noqa: PLC0415 - with the engine, which is loaded here

    for field in output:
        try:
            require_column(field.name, field.type)
        except SinkMisconfiguredError as error:
            raise column_error(insert, field.name, str(error)) from error
