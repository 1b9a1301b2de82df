"""OTLP/HTTP: rows as log records to an OpenTelemetry collector. At least once.

OTLP has no key to tell repeats by, so a crash between an answer and its note repeats one chunk. Every log record has
the attribute `edge_offset`, `stream:partition:offset` (`:part` for more rows of one record).

Columns called as in the log data model (`timestamp`, `observed_timestamp`, `severity_number`, `severity_text`, `body`,
`attributes`, `trace_id`, `span_id`, `trace_flags`, `event_name`, `resource`, `scope`) fill those places, so what the
OTLP door took in goes out the same. Every other column is an attribute.

A collector may take a part of a request and say only how many records it rejected, and then the request must not be
sent again. All of its rows go to the dead letters, kind `partially_rejected`, so that none is lost unseen.
Source: OpenTelemetry, "OTLP Specification", "OTLP/HTTP"; "Logs Data Model".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping  # noqa: TC003 - pydantic reads Config's annotations at run time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .....runtime.core.errors import RefusedError, UnsupportedError
from ...ingest.otlp_messages import (
    CONTENT_TYPES,
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    InstrumentationScope,
    LogRecord,
    Resource,
    ResourceLogs,
    ScopeLogs,
    any_value,
    decode_response,
    encode_message,
    key_values,
)
from ..addresses import problem_of_url
from ..http_target import HttpTarget
from ..progress import publish_in_chunks
from ..row_staging import RowStager
from ..sink import Refused, SinkMisconfiguredError
from ..sink_config import config_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...objects import SinkObject
    from ..http_target import Answer
    from ..row_staging import Chunk, StagedRow
    from ..sink import Published, Roll, SinkSite, StagedFile

SECRETS = ("headers",)
CHUNK_ROWS_MAX = 5_000
OFFSET_ATTRIBUTE = "edge_offset"


@dataclass(frozen=True, slots=True)
class Config:
    """`[sinks.NAME]` with `type = "otlp"`."""

    url: str
    """Whole, as "http://collector.example.com:4318/v1/logs"."""
    encoding: Literal["protobuf", "json"] = "protobuf"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent along, as `{ Authorization = "Bearer ..." }`. They count as secrets."""
    resource: Mapping[str, str] = field(default_factory=dict)
    """Attributes of the resource for rows without a column of that name: `{ "service.name" = "flights" }`."""
    chunk_bytes: int = 1024 * 1024
    """Rows of one request, before encoding."""
    gzip: bool = True
    timeout_seconds: float = 30.0
    allow_private_network: bool = False
    """Let `url` be an address that is not on the public internet, as localhost."""

    def __post_init__(self) -> None:
        if problem := problem_of_url(self.url):
            raise ValueError(problem)


def open_sink(sink: SinkObject, site: SinkSite) -> OtlpSink:
    return OtlpSink(config_of(Config, sink), site.host)


class OtlpSink:
    """The Sink."""

    promise: Literal["exactly once", "at least once"] = "at least once"

    def __init__(self, config: Config, host: Any) -> None:
        self._config = config
        self._target = HttpTarget(
            host,
            config.url,
            timeout_s=config.timeout_seconds,
            allow_private_network=config.allow_private_network,
            headers={**config.headers, "content-type": CONTENT_TYPES[config.encoding]},
            is_packed=config.gzip,
        )

    def open_stager(self, folder: Path, insert_id: str, epoch: int) -> RowStager:
        return RowStager(folder, insert_id, epoch)

    async def publish(self, roll: Roll, folder: Path) -> Published:
        async def send(chunk: Chunk, _file: StagedFile) -> Sequence[Refused]:
            return await self._send(chunk.rows, roll.stream_id)

        return await publish_in_chunks(roll, folder, send, bytes_max=self._config.chunk_bytes, rows_max=CHUNK_ROWS_MAX)

    async def aclose(self) -> None:
        """Nothing is held: connections are the host's."""

    async def _send(self, rows: Sequence[StagedRow], stream_id: str) -> list[Refused]:
        try:
            body = await asyncio.to_thread(self._body_of, rows, stream_id)
        except UnsupportedError as error:
            raise SinkMisconfiguredError(str(error)) from error
        answer = await self._target.post("", body, {})
        if failure := self._target.failure_of(answer, is_about_records=True):
            raise failure
        if answer.is_ok:
            return self._rejected(rows, self._partial_success_in(answer))
        if len(rows) > 1:
            middle = len(rows) // 2
            return await self._send(rows[:middle], stream_id) + await self._send(rows[middle:], stream_id)
        return _refuse(
            rows, f"http_{answer.status}", f"{self._target.name} answered {answer.status} to this row alone."
        )

    def _body_of(self, rows: Sequence[StagedRow], stream_id: str) -> bytes:
        return encode_message(export_request(rows, stream_id, self._config.resource), self._config.encoding)

    def _rejected(self, rows: Sequence[StagedRow], partial: ExportLogsPartialSuccess | None) -> list[Refused]:
        count = int(partial.rejected_log_records) if partial else 0
        if count <= 0:
            return []
        if count >= len(rows):
            return _refuse(rows, "rejected", f"{self._target.name} rejected it.")
        msg = (
            f"{self._target.name} rejected {count} of {len(rows)} records and does not say which; this is one of them."
        )
        return _refuse(rows, "partially_rejected", msg)

    def _partial_success_in(self, answer: Answer) -> ExportLogsPartialSuccess | None:
        """What the answer says beyond 200. Collectors word it as they like, so one that cannot be read says nothing;
        but a page in HTML is a login form or a proxy's, and nobody took the records."""
        content_type = answer.headers.get("content-type", "")
        if content_type.startswith("text/html"):
            msg = f"{self._target.name} answered with a web page, as no collector does. Check the sink's url."
            raise SinkMisconfiguredError(msg)
        encoding = "json" if content_type.startswith(CONTENT_TYPES["json"]) else self._config.encoding
        try:
            return decode_response(answer.body, encoding).partial_success
        except RefusedError:
            return None


def export_request(rows: Sequence[StagedRow], stream_id: str, resource: Mapping[str, Any]) -> ExportLogsServiceRequest:
    """Log records of rows, in their order within each resource and scope."""
    groups: dict[bytes, ScopeLogs] = {}
    request = ExportLogsServiceRequest([])
    for row in rows:
        values = msgspec.json.decode(row.json)
        own_resource = _taken(values, "resource", dict) or dict(resource)
        scope = _taken(values, "scope", dict) or {}
        name = msgspec.json.encode([own_resource, scope], order="sorted")
        group = groups.get(name)
        if group is None:
            group = groups[name] = ScopeLogs(_scope_of(scope), [])
            request.resource_logs.append(ResourceLogs(Resource(key_values(own_resource)), [group]))
        group.log_records.append(_log_record(values, row, stream_id))
    return request


def _log_record(values: dict[str, Any], row: StagedRow, stream_id: str) -> LogRecord:
    ingested_ns = row.ingested_at_us * 1000
    attributes = _taken(values, "attributes", dict) or {}
    record = LogRecord(
        time_unix_nano=str(_nanos_in(values, "timestamp") or ingested_ns),
        observed_time_unix_nano=str(_nanos_in(values, "observed_timestamp") or ingested_ns),
        severity_number=_number_in(values, "severity_number", 24),
        severity_text=_taken(values, "severity_text", str) or "",
        body=any_value(values.pop("body")) if values.get("body") is not None else None,
        flags=_number_in(values, "trace_flags", 2**32 - 1),
        trace_id=_id_in(values, "trace_id", 32),
        span_id=_id_in(values, "span_id", 16),
        event_name=_taken(values, "event_name", str) or "",
    )
    others = {name: value for name, value in values.items() if value is not None}
    record.attributes = key_values({**attributes, **others, OFFSET_ATTRIBUTE: row.id_in(stream_id)})
    return record


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_TIME = re.compile(r"([0-9T:-]{19})(?:\.([0-9]{1,9}))?Z")


def _taken(values: dict[str, Any], name: str, kind: type) -> Any:
    """The value of a column that has the model's type for it, out of `values`; else it stays there, an attribute."""
    return values.pop(name) if isinstance(values.get(name), kind) else None


def _number_in(values: dict[str, Any], name: str, number_max: int) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= number_max:
        return 0
    return int(values.pop(name))


def _id_in(values: dict[str, Any], name: str, digits: int) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value):
        return ""
    return str(values.pop(name))


def _nanos_in(values: dict[str, Any], name: str) -> int | None:
    """An RFC 3339 time in UTC as nanoseconds, with all nine digits."""
    value = values.get(name)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        seconds = (datetime.fromisoformat(f"{found[1]}+00:00") - _EPOCH) // timedelta(seconds=1)
    except ValueError:
        return None
    if seconds < 0:
        return None
    del values[name]
    return seconds * 10**9 + int((found[2] or "0").ljust(9, "0"))


def _scope_of(scope: Mapping[str, Any]) -> InstrumentationScope | None:
    if not scope:
        return None
    attributes = scope.get("attributes")
    return InstrumentationScope(
        name=str(scope.get("name") or ""),
        version=str(scope.get("version") or ""),
        attributes=key_values(attributes if isinstance(attributes, dict) else {}),
    )


def _refuse(rows: Sequence[StagedRow], kind: str, message: str) -> list[Refused]:
    return [Refused(row.partition, row.offset, kind, message, row.json) for row in rows]
