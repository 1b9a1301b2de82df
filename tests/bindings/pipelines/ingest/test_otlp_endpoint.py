"""The OTLP door: logs of an OpenTelemetry sender reach the stream its URL names."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from edge.bindings.pipelines.stream_log.disk import Disk

if TYPE_CHECKING:
    from .conftest import Answer, Ingest

JSON = "application/json"


def export(*texts: str) -> bytes:
    records = [{"timeUnixNano": "1544712660300000000", "body": {"stringValue": text}} for text in texts]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


async def post(ingest: Ingest, stream: str, body: bytes, **headers: Any) -> Answer:
    given = {"content_type": JSON, **headers}
    return await ingest.ask(f"http://localhost:8787/cdn-cgi/otlp/{stream}/v1/logs", body, **given)


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_log_records_become_records(ingest: Ingest, encoding: str) -> None:
    body = export("one", "two")
    packed = {"content_encoding": "gzip"} if encoding else {}
    answer = await post(ingest, "flights", gzip.compress(body) if encoding else body, **packed)
    assert (answer.status, answer.json) == (200, {})
    assert await ingest.kept() == [{"timestamp": "2018-12-13T14:51:00.3Z", "body": text} for text in ("one", "two")]


async def test_protobuf_is_taken_too(ingest: Ingest) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "one"
    answer = await post(ingest, "flights", request.SerializeToString(), content_type="application/x-protobuf")
    assert (answer.status, answer.json) == (200, None)
    assert [record["body"] for record in await ingest.kept()] == ["one"]


async def test_records_that_do_not_fit_are_told_as_rejected(ingest: Ingest) -> None:
    answer = await post(ingest, "typed", export("one", "two"))
    assert answer.status == 200
    assert answer.json["partialSuccess"]["rejectedLogRecords"] in {"2", 2}
    answer = await post(ingest, "strict", export("one"))
    assert answer.status == 400
    assert answer.json["message"].startswith("Nothing was written: record 0 does not fit")
    assert await ingest.kept("strict") == []


async def test_refusals_have_the_statuses_senders_know(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await post(ingest, "nope", export("one"))).status == 404
    assert (await post(ingest, "closed", export("one"))).status == 403
    assert (await post(ingest, "guarded", export("one"))).status == 401
    assert (await post(ingest, "flights", b"{")).status == 400
    assert (await post(ingest, "flights", b"", content_type="text/plain")).status == 415
    assert (await post(ingest, "flights", export("one"), method="GET")).status == 405
    monkeypatch.setattr(Disk, "free_bytes", lambda _, __: 0)
    answer = await post(ingest, "flights", export("one"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert await ingest.kept() == []
