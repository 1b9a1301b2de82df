"""Streams, sinks and pipelines as the REST API shows them. No secret is ever in what leaves here.

Source: spec "Cloudflare API", 3.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...runtime.core.reserved import INGEST_PATH
from .extras import needing
from .schemas.schema_json import schema_to_json
from .sink_types import find_sink_type

if TYPE_CHECKING:
    from .admin import PipelinesAdmin
    from .catalogue import Catalogue
    from .objects import PipelineObject, RollingPolicy, SinkFormat, SinkObject, StreamObject

FILES_COMPRESSION = {"parquet": "zstd", "json": "uncompressed"}
"""What None means, by format."""


def stream_shape(stream: StreamObject, origin: str) -> dict[str, Any]:
    """A stream; `origin` is where this server was asked."""
    stream_format: dict[str, Any] = {"type": "json", "timestamp_format": stream.timestamp_format}
    if stream.schema is None:
        stream_format["unstructured"] = True
    return {
        "id": stream.id,
        "name": stream.name,
        "version": stream.version,
        "created_at": time_text(stream.created_at),
        "modified_at": time_text(stream.modified_at),
        "endpoint": f"{origin}{INGEST_PATH}/{stream.id}",
        "http": {
            "enabled": stream.http.enabled,
            "authentication": stream.http.authentication,
            "cors": {"origins": list(stream.http.cors.origins)},
        },
        "worker_binding": {"enabled": stream.worker_binding},
        "format": stream_format,
        "schema": None if stream.schema is None else schema_to_json(stream.schema),
    }


def sink_shape(sink: SinkObject) -> dict[str, Any]:
    """A sink, its settings with their defaults."""
    return {
        "id": sink.id,
        "name": sink.name,
        "type": sink.type,
        "created_at": time_text(sink.created_at),
        "modified_at": time_text(sink.modified_at),
        "config": {**_shown_config(sink), "rolling_policy": _rolling_policy(sink.rolling_policy)},
        "format": _sink_format(sink.format),
        "schema": None,
    }


def pipeline_shape(pipeline: PipelineObject, status: str) -> dict[str, Any]:
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "sql": pipeline.sql,
        "status": status,
        "created_at": time_text(pipeline.created_at),
        "modified_at": time_text(pipeline.modified_at),
    }


def table_shapes(admin: PipelinesAdmin, pipeline_id: str) -> list[dict[str, Any]]:
    """The streams and sinks of a pipeline."""
    tables = admin.catalogue.tables_of(pipeline_id)
    streams = [(admin.catalogue.stream(id_), "stream") for id_ in tables.stream_ids]
    sinks = [(admin.catalogue.sink(id_), "sink") for id_ in tables.sink_ids]
    return [
        {**table_shape(one, kind), "latest": version_of(one)} for one, kind in (*streams, *sinks) if one is not None
    ]


def table_shape(one: StreamObject | SinkObject, kind: str) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "type": kind, "version": version_of(one)}


def validation_shape(catalogue: Catalogue, sql: str, now: float) -> dict[str, Any]:
    """The tables an SQL text names, and its graph; blocks while the engine plans.

    Raises:
        SqlError: it is none a pipeline may have, or does not fit the columns of its streams.
        UnsupportedError: the SQL engine is not installed.
    """
    with needing("Pipelines need"):
        from .schemas.columns_types import arrow_schema_of  # noqa: PLC0415 - loads Arrow, for who has SQL
        from .sql.check import check_pipeline  # noqa: PLC0415 - loads the engine, as above

    streams, sinks = {s.name: s for s in catalogue.streams()}, {s.name: s for s in catalogue.sinks()}
    columns = {name: arrow_schema_of(stream.schema) for name, stream in streams.items()}
    checked = check_pipeline(sql, columns, sinks, started_at=now)
    tables: dict[str, Any] = {}
    for one in checked.inserts:
        tables[one.stream] = table_shape(streams[one.stream], "stream")
        tables[one.sink] = table_shape(sinks[one.sink], "sink")
    return {"tables": tables, "graph": checked.graph}


def version_of(one: StreamObject | SinkObject) -> int:
    """A sink never changes."""
    return getattr(one, "version", 1)


def time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown_config(sink: SinkObject) -> dict[str, Any]:
    """The type's settings but its secrets; of a type that is not there (any more), nothing."""
    kind = find_sink_type(sink.type)
    if kind is None:
        return {}
    config: dict[str, Any] = msgspec.to_builtins(msgspec.convert(dict(sink.config), kind.Config))
    return {name: value for name, value in config.items() if name not in kind.SECRETS and value is not None}


def _rolling_policy(policy: RollingPolicy) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(policy).items() if value is not None}


def _sink_format(sink_format: SinkFormat) -> dict[str, Any]:
    shown = {"type": sink_format.type, "compression": sink_format.compression or FILES_COMPRESSION[sink_format.type]}
    return shown if sink_format.type == "json" else {**shown, "row_group_bytes": sink_format.row_group_bytes}
