"""OTLP/HTTP logs become records, in both encodings alike; what is wrong is answered as the protocol says."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from edge.bindings.pipelines.ingest import otlp
from edge.runtime.core.errors import RefusedError, UnsupportedError

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

EXAMPLE: dict[str, Any] = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
            "scopeLogs": [
                {
                    "scope": {
                        "name": "my.library",
                        "version": "1.0.0",
                        "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some"}}],
                    },
                    "logRecords": [
                        {
                            "timeUnixNano": "1544712660300000000",
                            "observedTimeUnixNano": "1544712660300000001",
                            "severityNumber": 10,
                            "severityText": "Information",
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "EEE19B7EC3C1B174",
                            "body": {"stringValue": "Example log record"},
                            "attributes": [
                                {"key": "string.attribute", "value": {"stringValue": "some string"}},
                                {"key": "boolean.attribute", "value": {"boolValue": True}},
                                {"key": "int.attribute", "value": {"intValue": "9007199254740993"}},
                                {"key": "double.attribute", "value": {"doubleValue": 637.704}},
                                {"key": "bytes.attribute", "value": {"bytesValue": "AAH/"}},
                                {
                                    "key": "array.attribute",
                                    "value": {"arrayValue": {"values": [{"stringValue": "many"}, {"intValue": "0"}]}},
                                },
                                {
                                    "key": "map.attribute",
                                    "value": {
                                        "kvlistValue": {
                                            "values": [{"key": "some.map.key", "value": {"stringValue": ""}}]
                                        }
                                    },
                                },
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
"""From opentelemetry-proto, examples/logs.json, with a larger integer, bytes and a second time."""

RECORD = {
    "timestamp": "2018-12-13T14:51:00.3Z",
    "observed_timestamp": "2018-12-13T14:51:00.300000001Z",
    "severity_number": 10,
    "severity_text": "Information",
    "body": "Example log record",
    "attributes": {
        "string.attribute": "some string",
        "boolean.attribute": True,
        "int.attribute": 9007199254740993,
        "double.attribute": 637.704,
        "bytes.attribute": "AAH/",
        "array.attribute": ["many", 0],
        "map.attribute": {"some.map.key": ""},
    },
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "span_id": "eee19b7ec3c1b174",
    "resource": {"service.name": "my.service"},
    "scope": {"name": "my.library", "version": "1.0.0", "attributes": {"my.scope.attribute": "some"}},
}


def as_protobuf() -> bytes:
    """The example, built with the library's own classes."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    add(resource.resource.attributes, "service.name").string_value = "my.service"
    scope = resource.scope_logs.add()
    scope.scope.name, scope.scope.version = "my.library", "1.0.0"
    add(scope.scope.attributes, "my.scope.attribute").string_value = "some"
    log = scope.log_records.add()
    log.time_unix_nano, log.observed_time_unix_nano = 1544712660300000000, 1544712660300000001
    log.severity_number, log.severity_text = 10, "Information"
    log.trace_id, log.span_id = bytes.fromhex(RECORD["trace_id"]), bytes.fromhex(RECORD["span_id"])  # type: ignore[arg-type]  # both are text
    log.body.string_value = "Example log record"
    add(log.attributes, "string.attribute").string_value = "some string"
    add(log.attributes, "boolean.attribute").bool_value = True
    add(log.attributes, "int.attribute").int_value = 9007199254740993
    add(log.attributes, "double.attribute").double_value = 637.704
    add(log.attributes, "bytes.attribute").bytes_value = b"\x00\x01\xff"
    array = add(log.attributes, "array.attribute").array_value.values
    array.add().string_value = "many"
    array.add().int_value = 0
    add(add(log.attributes, "map.attribute").kvlist_value.values, "some.map.key").string_value = ""
    return bytes(request.SerializeToString())


def add(pairs: Any, key: str) -> Any:
    pair = pairs.add()
    pair.key = key
    return pair.value


def one(**log: Any) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}).encode()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(json.dumps(EXAMPLE).encode(), f"{JSON}; charset=utf-8"), (as_protobuf(), PROTOBUF)],
    ids=["json", "protobuf"],
)
def test_a_log_record_is_a_record_in_either_encoding(body: bytes, content_type: str) -> None:
    assert otlp.records_of(body, content_type) == [RECORD]


@pytest.mark.parametrize(("body", "content_type"), [(b"{}", JSON), (b"", PROTOBUF), (b'{"resourceLogs":[]}', JSON)])
def test_an_empty_request_has_no_records(body: bytes, content_type: str) -> None:
    assert otlp.records_of(body, content_type) == []


def test_records_keep_their_order_across_resources_and_scopes() -> None:
    log = [{"logRecords": [{"body": {"intValue": n}} for n in pair]} for pair in ((0, 1), (2, 3), (4, 5))]
    body = {"resourceLogs": [{"scopeLogs": log[:2]}, {"scopeLogs": log[2:]}]}
    assert [r["body"] for r in otlp.records_of(json.dumps(body).encode(), JSON)] == [0, 1, 2, 3, 4, 5]


def test_a_record_without_a_time_has_the_one_it_was_observed_at() -> None:
    (record,) = otlp.records_of(one(observedTimeUnixNano=1_000_000_000), JSON)
    assert record == {"timestamp": "1970-01-01T00:00:01Z", "observed_timestamp": "1970-01-01T00:00:01Z", "body": None}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"doubleValue": "NaN"}, "NaN"),
        ({"doubleValue": "-Infinity"}, "-Infinity"),
        ({"intValue": "-9223372036854775808"}, -(2**63)),
        ({"intValue": 7}, 7),
        ({}, None),
        ({"unknownValue": 1}, None),
        ({"boolValue": False}, False),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}, {"key": "a"}]}}, {"a": None}),
    ],
)
def test_values_are_json_values(value: dict[str, Any], expected: Any) -> None:
    (record,) = otlp.records_of(one(body=value), JSON)
    assert record["body"] == expected
    assert type(record["body"]) is type(expected)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return value


def test_values_may_be_nested_sixty_four_deep_and_no_deeper() -> None:
    assert len(otlp.records_of(one(body=nested(64)), JSON)) == 1
    with pytest.raises(RefusedError, match="nested over 64 deep") as caught:
        otlp.records_of(one(body=nested(65)), JSON)
    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", JSON),
        (b"[]", JSON),
        (b'{"resourceLogs":{}}', JSON),
        (b"\xff\xfe", JSON),
        (one(timeUnixNano="soon"), JSON),
        (one(timeUnixNano="-1"), JSON),
        (one(timeUnixNano=10**30), JSON),
        (one(timeUnixNano="9" * 5000), JSON),
        (one(body={"intValue": "1e9"}), JSON),
        (one(body={"doubleValue": "a lot"}), JSON),
        (b'{"resourceLogs":' + b"[" * 100_000, JSON),
        (b"\x0a\xff", PROTOBUF),
        (b"{}", PROTOBUF),
        (b"\x0a\x04" * 200_000, PROTOBUF),
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(RefusedError) as caught:
        otlp.records_of(body, content_type)
    assert caught.value.http_status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "", None, "application/jsonl"])
def test_another_content_type_is_refused(content_type: str | None) -> None:
    with pytest.raises(RefusedError, match="OTLP comes as application/x-protobuf or application/json") as caught:
        otlp.records_of(b"{}", content_type)
    assert caught.value.http_status == 415


def test_without_the_library_protobuf_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'edge-workers\[otlp\]'"):
        otlp.records_of(b"", PROTOBUF)
    assert otlp.records_of(b"{}", JSON) == []


async def test_success_is_an_empty_message_in_the_same_encoding() -> None:
    plain, packed = otlp.answer(JSON), otlp.answer(PROTOBUF)
    assert (plain.status, plain.headers["content-type"], await plain.bytes()) == (200, JSON, b"{}")
    assert (packed.status, packed.headers["content-type"], await packed.bytes()) == (200, PROTOBUF, b"")


async def test_rejected_records_are_a_partial_success() -> None:
    said = {"rejectedLogRecords": 2, "errorMessage": "severity_number is missing"}
    plain = otlp.answer(JSON, rejected_count=2, message="severity_number is missing")
    assert json.loads(await plain.bytes()) == {"partialSuccess": said}
    packed = ExportLogsServiceResponse()
    answer = otlp.answer(PROTOBUF, rejected_count=2, message="severity_number is missing")
    packed.ParseFromString(await answer.bytes())
    assert packed.partial_success.rejected_log_records == 2
    assert packed.partial_success.error_message == "severity_number is missing"


@pytest.mark.parametrize("message", ["no", "x" * 127, "x" * 128, "ü" * 20_000])
async def test_a_failure_is_a_status_message(message: str) -> None:
    answer = otlp.failure(PROTOBUF, 429, message, retry_after_s=0.2)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    # google.rpc.Status and ExportLogsPartialSuccess both have a string as field 2.
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess

    status = ExportLogsPartialSuccess()
    status.ParseFromString(await answer.bytes())
    assert status.error_message == message
    assert json.loads(await otlp.failure(JSON, 400, message).bytes()) == {"message": message}
    assert otlp.failure("text/plain", 415, message).headers["content-type"] == JSON
