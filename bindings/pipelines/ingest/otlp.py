"""OTLP/HTTP logs as records of a stream, and the answers the protocol asks for.

One log record becomes one record, with the names of OpenTelemetry's log data model and without members that are empty:

    {"timestamp": "2026-01-01T00:00:00.000000001Z", "observed_timestamp": "...", "severity_number": 9,
     "severity_text": "INFO", "body": "hello", "attributes": {"http.status": 200}, "trace_id": "5b8e...",
     "span_id": "eee1...", "trace_flags": 1, "event_name": "...", "resource": {"service.name": "api"},
     "scope": {"name": "app", "version": "1", "attributes": {}}}

`timestamp` is the observed time where the record has no own, as the model advises. Values keep their JSON type; bytes
are base64, and numbers that JSON lacks are the words "NaN" and "Infinity".

Pure but for loading `opentelemetry-proto` when protobuf comes.
Source: OpenTelemetry, "OTLP Specification", "OTLP/HTTP Response"; "Logs Data Model".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ....runtime.core.errors import RefusedError
from ....runtime.core.response import Response
from .otlp_messages import (
    CONTENT_TYPES,
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
    attributes_of,
    decode_request,
    encode_message,
    encoding_of,
    value_of,
)

if TYPE_CHECKING:
    from .otlp_messages import Int64, LogRecord, ResourceLogs, ScopeLogs

NANOS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MAX = int((datetime.max.replace(tzinfo=UTC) - _EPOCH).total_seconds())


def records_of(body: bytes, content_type: str | None) -> list[dict[str, Any]]:
    """The log records of an export request, unpacked, in its order.

    Raises:
        RefusedError: 415 for another Content-Type, 400 for a body that is no such request.
        UnsupportedError: protobuf without the extra `otlp`.
    """
    request = decode_request(body, encoding_of(content_type))
    return [
        _record_of(log, resource, scope)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for log in scope.log_records
    ]


def answer(content_type: str | None, *, rejected_count: int = 0, message: str = "") -> Response:
    """200 in the encoding of the request.

    Args:
        rejected_count: how many records were not taken; the sender must not send them again.
        message: why, or a warning when none was rejected.
    """
    encoding = encoding_of(content_type)
    partial = ExportLogsPartialSuccess(rejected_count, message) if rejected_count or message else None
    body = encode_message(ExportLogsServiceResponse(partial), encoding)
    return Response(body, headers={"content-type": CONTENT_TYPES[encoding]})


def failure(
    content_type: str | None, http_status: int, message: str, *, retry_after_s: float | None = None
) -> Response:
    """A `google.rpc.Status` in the encoding of the request, JSON where it named none of the two.

    Of the statuses, senders try again after 429, 502, 503 and 504 only.
    """
    try:
        encoding = encoding_of(content_type)
    except RefusedError:
        encoding = "json"
    headers = {"content-type": CONTENT_TYPES[encoding]}
    if retry_after_s is not None:
        headers["retry-after"] = f"{max(1, round(retry_after_s))}"
    body = msgspec.json.encode({"message": message}) if encoding == "json" else _status_message(message)
    return Response(body, status=http_status, headers=headers)


def _record_of(log: LogRecord, resource: ResourceLogs, scope: ScopeLogs) -> dict[str, Any]:
    observed = _time_of(log.observed_time_unix_nano)
    record = {
        "timestamp": _time_of(log.time_unix_nano) or observed,
        "observed_timestamp": observed,
        "severity_number": log.severity_number,
        "severity_text": log.severity_text,
        "body": value_of(log.body),
        "attributes": attributes_of(log.attributes),
        "trace_id": log.trace_id.lower(),
        "span_id": log.span_id.lower(),
        "trace_flags": log.flags,
        "event_name": log.event_name,
        "resource": attributes_of(resource.resource.attributes) if resource.resource else None,
        "scope": _scope_of(scope),
    }
    return {name: value for name, value in record.items() if name == "body" or value}


def _scope_of(logs: ScopeLogs) -> dict[str, Any] | None:
    if logs.scope is None:
        return None
    scope = {"name": logs.scope.name, "version": logs.scope.version, "attributes": attributes_of(logs.scope.attributes)}
    return {name: value for name, value in scope.items() if value}


def _time_of(nanos: Int64) -> str | None:
    """RFC 3339 with every digit that is not zero; None for 0, which means unknown."""
    seconds, fraction = divmod(int(nanos), NANOS)
    if not 0 <= seconds <= _SECONDS_MAX:
        msg = f"A time of {nanos} ns is out of range."
        raise RefusedError(400, msg)
    if not int(nanos):
        return None
    digits = f"{fraction:09d}".rstrip("0")
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}{f'.{digits}' if digits else ''}Z"


def _status_message(message: str) -> bytes:
    """`google.rpc.Status` with field 2, the message, alone: its class is in a library we need for nothing else."""
    text = message.encode()
    length, size = bytearray(), len(text)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"\x12" + bytes(length) + text
