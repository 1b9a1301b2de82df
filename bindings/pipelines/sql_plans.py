"""A pipeline's SQL planned against its streams' columns, before it runs: unknown columns, types that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .extras import needing
from .sql.statements import parse_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from .objects import StreamObject
    from .sql.statements import Insert


@dataclass(frozen=True, slots=True)
class PlannedInsert:
    """One INSERT that would run."""

    insert: Insert
    columns: tuple[tuple[str, str], ...]
    """Name and type of what it writes, in order."""


def plan_pipeline(sql: str, find_stream: Callable[[str], StreamObject | None]) -> tuple[PlannedInsert, ...]:
    """Plan every INSERT of a pipeline whose stream is known; the others are left out.

    Raises:
        SqlError: the SQL is none a pipeline may have, or does not fit the stream's columns.
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
            planned.append(PlannedInsert(insert, tuple((field.name, str(field.type)) for field in output)))
    return tuple(planned)
