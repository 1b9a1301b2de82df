"""What the REST API takes for streams, sinks and pipelines, and what it makes of it.

Fields that nobody knows are ignored. Source: spec "Cloudflare API", 3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .declared_checks import origin_problems
from .objects import Cors, HttpIngest, RollingPolicy, SinkFormat
from .schemas.schema_json import schema_from_json

if TYPE_CHECKING:
    from .schemas.schema import Schema

Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class InvalidBodyError(ValueError):
    """Raised for a body whose types are right and which says something that cannot be."""


class CorsBody(msgspec.Struct):
    origins: list[str] = []


class HttpBody(msgspec.Struct):
    """What is not given stays as it is, or as it is by default."""

    enabled: bool | None = None
    authentication: bool | None = None
    cors: CorsBody | None = None

    def over(self, http: HttpIngest) -> HttpIngest:
        """These settings put over others.

        Raises:
            InvalidBodyError: an origin is none.
        """
        if self.enabled is not None:
            http = replace(http, enabled=self.enabled)
        if self.authentication is not None:
            http = replace(http, authentication=self.authentication)
        if self.cors is not None:
            origins = [] if self.cors.origins == ["none"] else self.cors.origins  # wrangler's word for no CORS
            for problem in origin_problems(origins, ("http", "cors", "origins")):
                raise InvalidBodyError(f"http.cors.origins: {problem.text}")
            http = replace(http, cors=Cors(tuple(origins)))
        return http


class WorkerBindingBody(msgspec.Struct):
    enabled: bool


class StreamFormat(msgspec.Struct):
    type: str
    timestamp_format: Literal["rfc3339", "unix_millis"] = "rfc3339"
    unstructured: bool | None = None
    decimal_encoding: Literal["number"] = "number"
    """The one there is here: records stay JSON."""


class StreamCreate(msgspec.Struct):
    name: str
    format: StreamFormat | None = None
    http: HttpBody | None = None
    worker_binding: WorkerBindingBody | None = None
    schema: dict[str, Any] | None = None

    def checked_schema(self) -> Schema | None:
        """The schema; None for an unstructured stream.

        Raises:
            InvalidBodyError: the format contradicts it, or is one that streams do not have.
            SchemaError: it is none.
        """
        if self.format is not None and self.format.type != "json":
            raise InvalidBodyError(f'format.type: a stream takes "json", not {self.format.type!r}.')
        if not self.schema or self.schema.get("fields") is None:
            return None
        if self.format is not None and self.format.unstructured:
            raise InvalidBodyError('format.unstructured: a stream with a schema is not "unstructured".')
        return schema_from_json(self.schema)


class StreamChange(msgspec.Struct):
    http: HttpBody | None = None
    worker_binding: WorkerBindingBody | None = None
    name: Any = UNSET
    format: Any = UNSET
    schema: Any = UNSET

    def check(self) -> None:
        """Refuse what can never change.

        Raises:
            InvalidBodyError: it is given.
        """
        for field in ("name", "format", "schema"):
            if getattr(self, field) is not UNSET:
                raise InvalidBodyError(
                    f"{field}: it cannot be changed. Make a new stream, and a pipeline that reads it."
                )


class RollingPolicyBody(msgspec.Struct):
    file_size_bytes: int | None = None
    interval_seconds: float | None = None
    inactivity_seconds: float | None = None

    def checked(self) -> RollingPolicy:
        """The policy; a size of 0 is none.

        Raises:
            InvalidBodyError: a number is out of range.
        """
        for name, value, least in (
            ("file_size_bytes", self.file_size_bytes, 0),
            ("interval_seconds", self.interval_seconds, 1),
            ("inactivity_seconds", self.inactivity_seconds, 1),
        ):
            if value is not None and not least <= value < 2**53:
                raise InvalidBodyError(f"rolling_policy.{name}: it must be at least {least}, not {value}.")
        return RollingPolicy(self.interval_seconds, self.file_size_bytes or None, self.inactivity_seconds)


class SinkFormatBody(msgspec.Struct):
    type: Literal["json", "parquet"]
    compression: Literal["uncompressed", "none", "snappy", "gzip", "zstd", "lz4"] | None = None
    row_group_bytes: int | None = None

    def checked(self) -> SinkFormat:
        """The format.

        Raises:
            InvalidBodyError: no row group is so small.
        """
        compression = "uncompressed" if self.compression == "none" else self.compression
        if self.row_group_bytes is None:
            return SinkFormat(self.type, compression)
        if not 0 < self.row_group_bytes < 2**53:
            raise InvalidBodyError(f"format.row_group_bytes: it must be above 0, not {self.row_group_bytes}.")
        return SinkFormat(self.type, compression, self.row_group_bytes)


class SinkCreate(msgspec.Struct):
    name: str
    type: str
    config: dict[str, Any]
    format: SinkFormatBody | None = None


class PipelineCreate(msgspec.Struct):
    name: str
    sql: str


class SqlBody(msgspec.Struct):
    sql: str
