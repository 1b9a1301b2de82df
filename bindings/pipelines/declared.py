"""What edge.toml declares: `[streams.NAME]`, `[sinks.NAME]`, `[[pipelines]]`, as it is written and as objects.

It is Cloudflare's API object with `config` flattened: a sink's own settings stand beside `type` and `format`.
Source: Cloudflare API reference, "Pipelines"; `declared_checks.py` holds what types cannot say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...wrangler_config.section import Problem, ProductSettings, RestType
from .declared_checks import find_problems, named_files
from .ids import id_of
from .objects import (
    ROW_GROUP_BYTES,
    HttpIngest,
    PipelineObject,
    Retention,
    RollingPolicy,
    SinkFormat,
    SinkObject,
    StreamLimits,
    StreamObject,
)
from .processing.declared import IngestDeclaration
from .processing.routing import insert_of, routing_of
from .schemas.schema import Schema  # noqa: TC001 - pydantic reads the annotations at run time
from .sink_types import find_sink_type, sink_type_name, sink_type_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ...wrangler_config.worker_config import WorkerConfig
    from . import PipelineEntry

INTERVAL_SECONDS_MIN = 1.0
"""Shorter roll intervals are taken as this."""


@dataclass(frozen=True, slots=True)
class WorkerBinding:
    """Whether `env.NAME.send()` may write to the stream."""

    enabled: bool = True


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """How records are written."""

    type: Literal["json"] = "json"
    timestamp_format: Literal["rfc3339", "unix_millis"] = "rfc3339"
    unstructured: bool | None = None


@dataclass(frozen=True, slots=True)
class StreamDeclaration:
    """`[streams.NAME]`."""

    id: str | None = None
    """32 hex digits; made of the name by default."""
    schema: Schema | None = None
    """Without one the stream is unstructured: one column `value`."""
    schema_file: str | None = None
    """A JSON file with the schema, as wrangler's --schema-file takes it; relative to this file."""
    http: HttpIngest = field(default_factory=HttpIngest)
    worker_binding: WorkerBinding = field(default_factory=WorkerBinding)
    format: StreamFormat = field(default_factory=StreamFormat)
    validation: Literal["cloudflare", "strict"] = "cloudflare"
    """Records that break the schema: accepted and dropped later, as on Cloudflare, or refused with 400."""
    extra_fields: Literal["strip", "warn", "reject"] = "warn"
    limits: StreamLimits = field(default_factory=StreamLimits)
    retention: Retention = field(default_factory=Retention)


@dataclass(frozen=True, slots=True)
class DeclaredFormat:
    """How a sink writes rows."""

    type: Literal["json", "parquet"] = "json"
    compression: Literal["uncompressed", "none", "snappy", "gzip", "zstd", "lz4"] | None = None
    row_group_bytes: int = ROW_GROUP_BYTES


@dataclass(frozen=True, slots=True)
class SinkDeclaration:
    """`[sinks.NAME]`: these keys, and those of its type."""

    REST: ClassVar[str] = "config"

    type: str
    id: str | None = None
    format: DeclaredFormat = field(default_factory=DeclaredFormat)
    rolling_policy: RollingPolicy = field(default_factory=RollingPolicy)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def rest_type(cls, members: Mapping[str, Any]) -> RestType | Problem | None:
        """The type's own `Config`; None when `type` is no text."""
        name = members.get("type")
        if not isinstance(name, str):
            return None
        found = find_sink_type(sink_type_name(name))
        if found is None:
            types = ", ".join(sink_type_names())
            return Problem(f'There is no sink type "{name}". The types are: {types}.', at=("type",))
        return RestType(found.Config, tuple(found.SECRETS))

    @classmethod
    def rest_types(cls) -> dict[str, RestType]:
        """Type name -> its own settings, of every type."""
        found = {name: cls.rest_type({"type": name}) for name in sink_type_names()}
        return {name: one for name, one in found.items() if isinstance(one, RestType)}


@dataclass(frozen=True, slots=True)
class PipelineDeclaration:
    """`[[pipelines]]` of edge.toml; the one of the wrangler file binds a stream to a name in `env`."""

    MISPLACED: ClassVar[frozenset[str]] = frozenset({"binding", "stream", "pipeline", "remote"})

    name: str
    sql: str | None = None
    sql_file: str | None = None
    """Relative to this file."""
    id: str | None = None
    on_error: Literal["dead_letter", "fail"] = "dead_letter"


SETTINGS = ProductSettings(
    {
        "streams": Mapping[str, StreamDeclaration],
        "sinks": Mapping[str, SinkDeclaration],
        "pipelines": tuple[PipelineDeclaration, ...],
        "ingest": IngestDeclaration,
    },
    find_problems,
    named_files,
)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the config declares, as objects. Their times are 0: `reconcile` knows when each was made."""

    streams: tuple[StreamObject, ...] = ()
    """Also the streams that only a binding names, with origin "binding"."""
    sinks: tuple[SinkObject, ...] = ()
    pipelines: tuple[PipelineObject, ...] = ()
    ingest: IngestDeclaration = field(default_factory=IngestDeclaration)
    """Processing and routing before the SQL."""


def declared_objects(config: WorkerConfig) -> Declared:
    """The objects of a checked config; reads the files that it names."""
    return objects_of(config.settings.products, config.bindings.get("pipelines", ()), config.path.parent)


def objects_of(products: Mapping[str, Any], bound: Sequence[PipelineEntry], folder: Path) -> Declared:
    """The objects of sections without problems, and of the streams that the wrangler file binds."""
    streams = [_stream(name, one, folder) for name, one in products.get("streams", {}).items()]
    known = {one.id for one in streams} | {one.name for one in streams}
    for entry in bound:
        if entry.stream_id not in known and (stream := _bound_stream(entry.stream_id)).id not in known:
            streams.append(stream)
            known |= {stream.id, stream.name}
    ingest = products.get("ingest", IngestDeclaration())
    return Declared(
        tuple(streams),
        tuple(_sink(name, one) for name, one in products.get("sinks", {}).items()),
        (*(_pipeline(one, folder) for one in products.get("pipelines", ())), *_rules(ingest, streams)),
        ingest,
    )


def _stream(name: str, declared: StreamDeclaration, folder: Path) -> StreamObject:
    return StreamObject(
        id=declared.id or id_of("stream", name),
        name=name,
        created_at=0.0,
        modified_at=0.0,
        schema=_schema(declared, folder),
        http=declared.http,
        worker_binding=declared.worker_binding.enabled,
        timestamp_format=declared.format.timestamp_format,
        validation=declared.validation,
        extra_fields=declared.extra_fields,
        limits=declared.limits,
        retention=declared.retention,
    )


def _schema(declared: StreamDeclaration, folder: Path) -> Schema | None:
    from .schemas.schema_json import schema_from_json, schema_to_json  # noqa: PLC0415 - for streams that have a schema

    if declared.schema_file is not None:
        return schema_from_json(json.loads((folder / declared.schema_file).read_bytes()))
    # Through the API's form, so that both spellings of a type give the same schema.
    return None if declared.schema is None else schema_from_json(schema_to_json(declared.schema))


def _bound_stream(id_or_name: str) -> StreamObject:
    http = HttpIngest(enabled=False)
    return StreamObject(id_of("stream", id_or_name), id_or_name, 0.0, 0.0, http=http, origin="binding")


def _sink(name: str, declared: SinkDeclaration) -> SinkObject:
    given = declared.format
    compression = "uncompressed" if given.compression == "none" else given.compression
    policy = declared.rolling_policy
    interval_s = policy.interval_seconds and max(policy.interval_seconds, INTERVAL_SECONDS_MIN)
    return SinkObject(
        id=declared.id or id_of("sink", name),
        name=name,
        type=sink_type_name(declared.type),
        created_at=0.0,
        modified_at=0.0,
        config=declared.config,
        format=SinkFormat(given.type, compression, given.row_group_bytes),
        rolling_policy=RollingPolicy(interval_s, policy.file_size_bytes, policy.inactivity_seconds),
    )


def _rules(ingest: IngestDeclaration, streams: Sequence[StreamObject]) -> Iterator[PipelineObject]:
    """The pipelines that rules steps are: one for each stream that has one."""
    for stream in streams:
        if routes := routing_of(ingest.of(stream.name)).routes:
            sql = ";\n".join(insert_of(route, stream.name) for route in routes)
            yield PipelineObject(id_of("pipeline", f"rules of {stream.id}"), f"rules_{stream.name}", sql, 0.0, 0.0)


def sql_of(declared: PipelineDeclaration, folder: Path) -> str:
    """Raises OSError or ValueError for a file that cannot be read."""
    return declared.sql if declared.sql is not None else (folder / str(declared.sql_file)).read_text("utf-8")


def _pipeline(declared: PipelineDeclaration, folder: Path) -> PipelineObject:
    pipeline_id, sql = declared.id or id_of("pipeline", declared.name), sql_of(declared, folder)
    return PipelineObject(pipeline_id, declared.name, sql, 0.0, 0.0, on_error=declared.on_error)
