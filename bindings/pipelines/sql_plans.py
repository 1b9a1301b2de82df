"""A pipeline's SQL planned against its streams' columns, before it runs: unknown columns, types that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .extras import needing
from .sink_types import find_sink_type
from .sinks.sink import SinkMisconfiguredError
from .sql.statements import parse_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from .objects import SinkObject, StreamObject
    from .sql.statements import Insert


@dataclass(frozen=True, slots=True)
class PlannedInsert:
    """One INSERT that would run."""

    insert: Insert
    columns: tuple[tuple[str, str], ...]
    """Name and type of what it writes, in order."""


def plan_pipeline(
    sql: str, find_stream: Callable[[str], StreamObject | None], find_sink: Callable[[str], SinkObject | None]
) -> tuple[PlannedInsert, ...]:
    """Plan every INSERT of a pipeline whose stream is known; the others are left out.

    Raises:
        SqlError: the SQL is none a pipeline may have, or does not fit the stream's columns, or the sink cannot hold
            what it gives.
        UnsupportedError: the SQL engine is not installed.
    """
    found = [(insert, find_stream(insert.stream)) for insert in parse_pipeline(sql)]
    with needing("Pipelines need"):
        from .schemas.columns import ColumnBuilder  # noqa: PLC0415 - pyarrow and the engine are loaded by who plans
        from .sql.engine import compile_insert  # noqa: PLC0415 - as above
    planned = []
    for insert, stream in found:
        if stream is not None:
            columns = ColumnBuilder(stream.schema, timestamp_format=stream.timestamp_format).arrow_schema
            output: Any = compile_insert(insert, columns, started_at=0.0).output_schema
            _require_columns(insert, output, find_sink(insert.sink))
            planned.append(PlannedInsert(insert, tuple((field.name, str(field.type)) for field in output)))
    return tuple(planned)


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
