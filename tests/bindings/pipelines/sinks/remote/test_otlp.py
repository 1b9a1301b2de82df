"""Log records over a real socket to a collector that reads them with OpenTelemetry's own classes."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from edge.bindings.pipelines.ingest.otlp import records_of
from edge.bindings.pipelines.sinks.row_staging import StagedRow
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import otlp

STREAM = "5" * 32
ROWS: list[dict[str, Any]] = [{"carrier": "AA", "distance": 1400 + i} for i in range(4)]


class Collector:
    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.rejected = 0
        self.answers: list[web.Response] = []
        self.poison = b"\0\0\0"

    async def answer(self, request: web.Request) -> web.Response:
        assert request.path == "/v1/logs"
        body = await request.read()
        if self.answers:
            return self.answers.pop(0)
        if self.poison in body:
            return web.Response(status=400)
        self.bodies.append((request.content_type, body))
        response = ExportLogsServiceResponse()
        if self.rejected:
            response.partial_success.rejected_log_records = self.rejected
        return web.Response(body=response.SerializeToString(), content_type="application/x-protobuf")

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for content_type, body in self.bodies for record in records_of(body, content_type)]


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
async def sink(collector: Collector, serve: Any, opened: Any) -> Any:
    url = await serve(collector.answer)
    return lambda **config: opened(otlp, **{"url": f"{url}/v1/logs", "allow_private_network": True, **config})


async def test_rows_are_log_records_with_their_columns_as_attributes(
    collector: Collector, sink: Any, stage: Any
) -> None:
    far = sink(resource={"service.name": "flights"})
    published = await far.publish(stage.roll(far, ROWS[:2]), stage.folder)
    request = ExportLogsServiceRequest()
    request.ParseFromString(collector.bodies[0][1])
    ((group,),) = [resource.scope_logs for resource in request.resource_logs]
    assert [log.time_unix_nano for log in group.log_records] == [1767225600 * 10**9, 1767225601 * 10**9]
    assert collector.records[0] == {
        "timestamp": "2026-01-01T00:00:00Z",
        "observed_timestamp": "2026-01-01T00:00:00Z",
        "body": None,
        "attributes": {"carrier": "AA", "distance": 1400, "edge_offset": f"{STREAM}:0:100"},
        "resource": {"service.name": "flights"},
    }
    assert published.rows_written == 2


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_what_the_door_took_in_goes_out_the_same(encoding: Any) -> None:
    record = {
        "timestamp": "2018-12-13T14:51:00.300000001Z",
        "observed_timestamp": "2018-12-13T14:51:01Z",
        "severity_number": 10,
        "severity_text": "Information",
        "body": {"a": [1, 2.5, {"b": "c"}]},
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "trace_flags": 1,
        "event_name": "landed",
        "attributes": {"n": 1},
        "resource": {"service.name": "my.service"},
        "scope": {"name": "my.library", "version": "1.0.0", "attributes": {"x": True}},
    }
    request = otlp.export_request([staged(record)], STREAM, {"service.name": "other"})
    (out,) = records_of(otlp.encode_message(request, encoding), otlp.CONTENT_TYPES[encoding])
    assert out == {**record, "attributes": {"n": 1, "edge_offset": f"{STREAM}:0:7"}}


def staged(row: dict[str, Any]) -> StagedRow:
    return StagedRow(0, 7, 0, 1_767_225_600_000_000, json.dumps(row).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestamp", "yesterday"),
        ("timestamp", "2026-13-45T00:00:00Z"),
        ("severity_number", 25),
        ("severity_number", True),
        ("trace_id", "xyz"),
        ("span_id", 7),
        ("resource", "text"),
        ("attributes", [1]),
    ],
)
def test_a_column_that_does_not_fit_its_place_is_an_attribute(name: str, value: Any) -> None:
    body = otlp.encode_message(otlp.export_request([staged({name: value})], STREAM, {}), "protobuf")
    (out,) = records_of(body, "application/x-protobuf")
    assert out["attributes"][name] == value
    assert out["timestamp"] == "2026-01-01T00:00:00Z"


async def test_a_wholly_rejected_request_is_dead_letters(collector: Collector, sink: Any, stage: Any) -> None:
    collector.rejected = len(ROWS)
    far = sink()
    published = await far.publish(stage.roll(far, ROWS), stage.folder)
    assert [(r.offset, r.kind) for r in published.refused] == [(n, "rejected") for n in range(100, 104)]
    assert published.rows_written == 0


async def test_a_partly_rejected_request_is_not_sent_again_and_no_row_is_lost_unseen(
    collector: Collector, sink: Any, stage: Any
) -> None:
    collector.rejected = 1
    far = sink()
    published = await far.publish(stage.roll(far, ROWS), stage.folder)
    assert len(collector.bodies) == 1
    assert {r.kind for r in published.refused} == {"partially_rejected"}
    assert len(published.refused) == len(ROWS)
    assert "rejected 1 of 4 records and does not say which" in published.refused[0].message


async def test_a_row_the_collector_cannot_read_is_found_by_halves(collector: Collector, sink: Any, stage: Any) -> None:
    collector.poison = b"POISON"
    far = sink(gzip=False)
    published = await far.publish(stage.roll(far, [*ROWS, {"carrier": "POISON", "distance": 0}]), stage.folder)
    assert [(r.offset, r.kind) for r in published.refused] == [(104, "http_400")]
    assert sorted(r["attributes"]["distance"] for r in collector.records) == [1400, 1401, 1402, 1403]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, SinkMisconfiguredError),
        (404, SinkMisconfiguredError),
        (429, SinkUnavailableError),
        (502, SinkUnavailableError),
        (503, SinkUnavailableError),
        (504, SinkUnavailableError),
    ],
)
async def test_statuses_say_whether_to_wait_or_to_call_a_person(
    collector: Collector, sink: Any, stage: Any, status: int, error: type[Exception]
) -> None:
    collector.answers = [web.Response(status=status)]
    far = sink()
    roll = stage.roll(far, ROWS)
    with pytest.raises(error):
        await far.publish(roll, stage.folder)
    assert (await far.publish(roll, stage.folder)).rows_written == len(ROWS)


async def test_an_answer_that_is_no_message_is_success(collector: Collector, sink: Any, stage: Any) -> None:
    collector.answers = [web.Response(text="ok")]
    far = sink()
    assert (await far.publish(stage.roll(far, ROWS), stage.folder)).rows_written == len(ROWS)


async def test_a_web_page_is_no_success(collector: Collector, sink: Any, stage: Any) -> None:
    collector.answers = [web.Response(text="<html>Log in", content_type="text/html")]
    far = sink()
    with pytest.raises(SinkMisconfiguredError, match="answered with a web page"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_partial_success_in_the_other_encoding_is_understood(
    collector: Collector, sink: Any, stage: Any
) -> None:
    collector.answers = [web.json_response({"partialSuccess": {"rejectedLogRecords": "4", "errorMessage": "no"}})]
    far = sink(encoding="protobuf")
    assert len((await far.publish(stage.roll(far, ROWS), stage.folder)).refused) == len(ROWS)


async def test_without_the_library_protobuf_names_what_to_install(
    sink: Any, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1", None)
    far = sink()
    with pytest.raises(SinkMisconfiguredError, match=r"pip install 'edge-workers\[otlp\]'"):
        await far.publish(stage.roll(far, ROWS), stage.folder)
