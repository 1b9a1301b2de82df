"""OTLP's log messages as structs, in both of its encodings: JSON by msgspec, protobuf by `opentelemetry-proto`.

A struct's fields are the protobuf fields of the same name, and its JSON keys their camelCase. So one walk over the
fields turns structs into protobuf messages and back, whatever the message. In both forms ids are hex and bytes are
base64 here, as JSON has them.
Source: OpenTelemetry, "OTLP Specification", "OTLP/HTTP"; opentelemetry-proto, logs.proto, common.proto.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from ....runtime.core.errors import RefusedError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Encoding = Literal["protobuf", "json"]
CONTENT_TYPES: dict[Encoding, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}
DEPTH_MAX = 64
"""Of values within values. Source: spec "Reliability", 4."""
Int64: TypeAlias = int | Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,20}$")]
"""JSON writes 64-bit numbers as text; a number is taken too."""
Double: TypeAlias = (
    float | Annotated[str, msgspec.Meta(pattern=r"^(NaN|-?Infinity|-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)$")]
)
INT64 = range(-(2**63), 2**63)


class Message(msgspec.Struct, rename="camel", omit_defaults=True):
    """Any of them."""


class AnyValue(Message):
    """One of the members, or none for null."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Int64 | None = None
    double_value: Double | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    bytes_value: str | None = None


class ArrayValue(Message):
    values: list[AnyValue] = []


class KeyValue(Message):
    key: str = ""
    value: AnyValue | None = None


class KeyValueList(Message):
    values: list[KeyValue] = []


class Resource(Message):
    attributes: list[KeyValue] = []


class InstrumentationScope(Message):
    name: str = ""
    version: str = ""
    attributes: list[KeyValue] = []


class LogRecord(Message):
    time_unix_nano: Int64 = 0
    observed_time_unix_nano: Int64 = 0
    severity_number: int = 0
    severity_text: str = ""
    body: AnyValue | None = None
    attributes: list[KeyValue] = []
    flags: int = 0
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""


class ScopeLogs(Message):
    scope: InstrumentationScope | None = None
    log_records: list[LogRecord] = []


class ResourceLogs(Message):
    resource: Resource | None = None
    scope_logs: list[ScopeLogs] = []


class ExportLogsServiceRequest(Message):
    resource_logs: list[ResourceLogs] = []


class ExportLogsPartialSuccess(Message):
    rejected_log_records: Int64 = 0
    error_message: str = ""


class ExportLogsServiceResponse(Message):
    partial_success: ExportLogsPartialSuccess | None = None


def encoding_of(content_type: str | None) -> Encoding:
    """Which of the two a Content-Type names.

    Raises:
        RefusedError: neither; 415.
    """
    plain = (content_type or "").partition(";")[0].strip().lower()
    for encoding, name in CONTENT_TYPES.items():
        if plain == name:
            return encoding
    msg = f"OTLP comes as application/x-protobuf or application/json, not as {plain or 'nothing'!r}."
    raise RefusedError(415, msg)


def decode_request(body: bytes, encoding: Encoding) -> ExportLogsServiceRequest:
    """Raises RefusedError: no such message; 400. UnsupportedError: protobuf without its library."""
    return _decode(body, encoding, ExportLogsServiceRequest)


def decode_response(body: bytes, encoding: Encoding) -> ExportLogsServiceResponse:
    """Raises as `decode_request`."""
    return _decode(body, encoding, ExportLogsServiceResponse)


def encode_message(message: ExportLogsServiceRequest | ExportLogsServiceResponse, encoding: Encoding) -> bytes:
    """Raises UnsupportedError: protobuf without its library."""
    if encoding == "json":
        return msgspec.json.encode(message)
    target = _proto_class(type(message).__name__)()
    _fill(target, message)
    return bytes(target.SerializeToString())


def value_of(value: AnyValue | None, depth: int = 0) -> Any:
    """The JSON value: bytes as base64, numbers that JSON lacks as the words "NaN" and "Infinity".

    Raises:
        RefusedError: over DEPTH_MAX deep; 400.
    """
    if depth > DEPTH_MAX:
        msg = f"A value is nested over {DEPTH_MAX} deep."
        raise RefusedError(400, msg)
    if value is None:
        return None
    if value.kvlist_value is not None:
        return attributes_of(value.kvlist_value.values, depth)
    if value.array_value is not None:
        return [value_of(item, depth + 1) for item in value.array_value.values]
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return _json_number(float(value.double_value))
    for plain in (value.string_value, value.bool_value, value.bytes_value):
        if plain is not None:
            return plain
    return None


def attributes_of(pairs: list[KeyValue], depth: int = 0) -> dict[str, Any]:
    """Key -> JSON value; the last of a repeated key."""
    return {pair.key: value_of(pair.value, depth + 1) for pair in pairs}


def any_value(value: Any) -> AnyValue:
    """A JSON value as OTLP has it; integers beyond 64 bits as text."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=str(value)) if value in INT64 else AnyValue(string_value=str(value))
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case list():
            return AnyValue(array_value=ArrayValue([any_value(item) for item in value]))
    return AnyValue(kvlist_value=KeyValueList(key_values(value)))


def key_values(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key, any_value(value)) for key, value in values.items()]


_M = TypeVar("_M", bound=Message)
_MESSAGES: dict[str, type[Message]] = {cls.__name__: cls for cls in Message.__subclasses__()}
_HEX = frozenset({"trace_id", "span_id"})


def _decode(body: bytes, encoding: Encoding, cls: type[_M]) -> _M:
    if encoding == "json":
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            msg = f"The body is no OTLP logs message in JSON: {error}."
            raise RefusedError(400, msg) from error
    message = _proto_class(cls.__name__)()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with the extra

    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise RefusedError(400, "The body is no OTLP logs message in protobuf.") from error
    return _struct_of(message, cls)


def _json_number(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _proto_class(name: str) -> Any:
    try:
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "OTLP in protobuf needs a library. Install it with: pip install 'edge-workers[otlp]', or use JSON."
        raise UnsupportedError(msg) from error
    return getattr(logs_service_pb2, name)


def _struct_of(message: Any, cls: type[_M]) -> _M:
    """A protobuf message as its struct; fields that have no place in it are left out."""
    values = {}
    for field, value in message.ListFields():
        if field.name not in cls.__struct_fields__:
            continue
        if field.message_type is None:
            values[field.name] = _plain(field.name, value)
            continue
        inner = _MESSAGES[field.message_type.name]
        values[field.name] = [_struct_of(v, inner) for v in value] if field.is_repeated else _struct_of(value, inner)
    return cls(**values)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex() if name in _HEX else base64.b64encode(value).decode()
    return value


def _fill(target: Any, message: Message) -> None:
    """Set a protobuf message's fields from a struct. Which member of AnyValue is set says its type, even when empty."""
    is_any = isinstance(message, AnyValue)
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if value is None or not (value or is_any):
            continue
        if isinstance(value, list):
            for item in value:
                _fill(getattr(target, name).add(), item)
        elif isinstance(value, Message):
            getattr(target, name).SetInParent()
            _fill(getattr(target, name), value)
        else:
            setattr(target, name, _wire(target.DESCRIPTOR.fields_by_name[name], value))


def _wire(field: Any, value: Any) -> Any:
    """A plain value as a protobuf field takes it: 64-bit numbers may be text in JSON."""
    if field.type == field.TYPE_BYTES:
        return bytes.fromhex(value) if field.name in _HEX else base64.b64decode(value)
    if field.cpp_type in {field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT}:
        return float(value)
    return int(value) if isinstance(value, str) and field.cpp_type != field.CPPTYPE_STRING else value
