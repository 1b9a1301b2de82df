"""Streams, sinks and pipelines as values: what edge.toml declares, the catalogue keeps and the REST API shows.

Ids are 32 hex digits. A declared object's id comes from its name (`ids.py`), so it is the same on every machine.
Source: Cloudflare API reference, "Pipelines".
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations at run time
from dataclasses import dataclass, field
from typing import Any, Literal

from .schemas.schema import Schema  # noqa: TC001 - as above

REQUEST_BYTES_MAX = 5 * 1024 * 1024
RETENTION_BYTES = 1024**3
ROW_GROUP_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Cors:
    origins: tuple[str, ...] = ()
    """Allowed origins; ("*",) is every one, none is no CORS at all."""


@dataclass(frozen=True, slots=True)
class HttpIngest:
    enabled: bool = True
    authentication: bool = True
    cors: Cors = field(default_factory=Cors)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one stream takes. No rate limit by default."""

    request_bytes: int = REQUEST_BYTES_MAX
    bytes_per_second: int | None = None
    requests_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long delivered records stay in the log, and how much of undelivered ones it may hold before 429."""

    seconds: float = 0.0
    backlog_bytes: int = RETENTION_BYTES


@dataclass(frozen=True, slots=True)
class StreamObject:
    id: str
    name: str
    created_at: float
    modified_at: float
    version: int = 1
    schema: Schema | None = None
    """None: unstructured."""
    http: HttpIngest = field(default_factory=HttpIngest)
    worker_binding: bool = True
    timestamp_format: Literal["rfc3339", "unix_millis"] = "rfc3339"
    validation: Literal["cloudflare", "strict"] = "cloudflare"
    extra_fields: Literal["strip", "warn", "reject"] = "warn"
    limits: StreamLimits = field(default_factory=StreamLimits)
    retention: Retention = field(default_factory=Retention)
    origin: Literal["declared", "api", "binding"] = "declared"
    """Who made it: edge.toml, a command or the REST API, or a binding that named a stream nobody declared."""


@dataclass(frozen=True, slots=True)
class RollingPolicy:
    """When a file is closed: whichever comes first. None: the mode's default (10 s in dev, 300 s in serve; no size)."""

    interval_seconds: float | None = None
    file_size_bytes: int | None = None
    inactivity_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SinkFormat:
    type: Literal["json", "parquet"] = "json"
    compression: Literal["uncompressed", "snappy", "gzip", "zstd", "lz4"] | None = None
    """None: zstd for Parquet, uncompressed for JSON. "none" is taken as "uncompressed"."""
    row_group_bytes: int = ROW_GROUP_BYTES


@dataclass(frozen=True, slots=True)
class SinkObject:
    id: str
    name: str
    type: str
    """The file in `sinks/types/` that knows it: local, r2, s3, iceberg, r2_data_catalog, elasticsearch ..."""
    created_at: float
    modified_at: float
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """As the sink's own `Config` takes it; may hold secrets, so it is never printed and never returned whole."""
    format: SinkFormat = field(default_factory=SinkFormat)
    rolling_policy: RollingPolicy = field(default_factory=RollingPolicy)
    origin: Literal["declared", "api"] = "declared"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a pipeline is to deliver again: from an offset of each partition on, or from a time. One of them is set."""

    asked_at: float
    from_offset: int | None = None
    from_time: float | None = None
    """Unix seconds: from the first record that was accepted then or later."""


@dataclass(frozen=True, slots=True)
class PipelineObject:
    id: str
    name: str
    sql: str
    created_at: float
    modified_at: float
    version: int = 1
    """Counts up when a declared pipeline's SQL is edited; the new version starts at the old committed offsets."""
    started_at: float = 0.0
    """What `now()` is in its SQL: fixed per version, so that a takeover gives the same rows."""
    on_error: Literal["dead_letter", "fail"] = "dead_letter"
    origin: Literal["declared", "api"] = "declared"
    lineage: str = ""
    """The id its place in the log is kept under, when that is another one: it had another name before."""
    replay: Replay | None = None
    """The last one that was asked for."""
