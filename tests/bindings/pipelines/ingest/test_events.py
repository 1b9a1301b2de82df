"""`POST /v1/streams/ingest`: the contract of the page, word for word."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.ingest.events import BODY_BYTES_MAX
from edge.bindings.pipelines.objects import StreamLimits
from edge.bindings.pipelines.schemas.schema import Field, Schema
from edge.bindings.pipelines.stream_log.disk import Disk

from .conftest import stream_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Answer, Ingest

URL = "http://api.localhost:8787/v1/streams/ingest"
EVENT = {
    "timestamp": "2026-09-01T12:00:00Z",
    "source": "web",
    "event": {"user": {"id": 2**53 + 1}, "tags": ["a", "é"]},
    "metadata": {"region": "eu"},
}
ENVELOPE = Schema(
    (
        Field("timestamp", "timestamp", required=True),
        Field("string", "source", required=True),
        Field("json", "event", required=True),
        Field("json", "metadata", required=True),
    )
)


async def post(ingest: Ingest, body: Any, stream: str | None = "flights", **headers: str) -> Answer:
    bearer = f"Bearer {ingest.tokens.create('Workers Pipeline Send')}"
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {} if stream is None else {"x_stream_id": stream}
    given = {"authorization": bearer, "content_type": "application/json", **named, **headers}
    return await ingest.ask(URL, content, **given)


async def test_an_event_is_accepted_and_kept_as_four_fields(ingest: Ingest) -> None:
    body = json.dumps({**EVENT, "more": 1}).encode()
    answer = await post(ingest, body)
    assert (answer.status, answer.json) == (
        200,
        {"status": "accepted", "ingested_bytes": len(body), "stream_id": id_of("stream", "flights")},
    )
    assert await ingest.kept() == [EVENT]


async def test_no_metadata_is_null(ingest: Ingest) -> None:
    event = {name: value for name, value in EVENT.items() if name != "metadata"}
    for one in (event, {**event, "metadata": None}):
        assert (await post(ingest, one)).status == 200
    assert await ingest.kept() == [{**event, "metadata": None}] * 2


@pytest.mark.parametrize("stream", ["flights", id_of("stream", "flights")])
async def test_the_stream_is_named_by_id_or_name(ingest: Ingest, stream: str) -> None:
    assert (await post(ingest, EVENT, stream)).json["stream_id"] == id_of("stream", "flights")


async def test_arrays_and_lines_are_taken_too(ingest: Ingest) -> None:
    assert (await post(ingest, [EVENT, EVENT])).status == 200
    lines = b"\n".join([json.dumps(EVENT).encode(), b"", json.dumps(EVENT).encode(), b" "])
    for content_type in ("application/x-ndjson", "application/ndjson; charset=utf-8"):
        assert (await post(ingest, lines, content_type=content_type)).status == 200
    assert await ingest.kept() == [EVENT] * 6


async def test_packed_bytes_are_counted_unpacked(ingest: Ingest) -> None:
    body = json.dumps([EVENT] * 100).encode()
    answer = await post(ingest, gzip.compress(body), content_encoding="gzip")
    assert answer.json["ingested_bytes"] == len(body)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in EVENT.items() if key != name}


BAD_ENVELOPES = {
    "no timestamp": (without("timestamp"), "The 'timestamp' field must be a valid ISO 8601 string."),
    **{
        f"timestamp {value!r}": (
            {**EVENT, "timestamp": value},
            "The 'timestamp' field must be a valid ISO 8601 string.",
        )
        for value in (
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01Z",
            "2026-01-01T",
            "2026-01-01x10:00:00Z",
            "2026-01-01T10:00:61Z",
            "2026-W54-1",
            "20260132",
            "",
            1,
            None,
            {},
            "2026-01-01T25:00:00Z",
            "٢026-01-01T00:00:00Z",
        )
    },
    "no source": (without("source"), "The 'source' field must be a non-empty string."),
    "source 1": ({**EVENT, "source": 1}, "The 'source' field must be a non-empty string."),
    "source blank": ({**EVENT, "source": " "}, "The 'source' field must be a non-empty string."),
    "no event": (without("event"), "The 'event' field must be an object."),
    "event text": ({**EVENT, "event": "{}"}, "The 'event' field must be an object."),
    "event array": ({**EVENT, "event": []}, "The 'event' field must be an object."),
    "metadata text": ({**EVENT, "metadata": "x"}, "The 'metadata' field must be an object."),
}


@pytest.mark.parametrize("name", BAD_ENVELOPES)
async def test_a_bad_envelope_is_400_and_nothing_is_written(ingest: Ingest, name: str) -> None:
    event, detail = BAD_ENVELOPES[name]
    answer = await post(ingest, event)
    assert (answer.status, answer.json) == (400, {"error": "invalid_format", "detail": detail})
    answer = await post(ingest, [EVENT, event])
    assert answer.json["detail"] == f"{detail[:-1]} (event 1)."
    lines = json.dumps(EVENT) + "\n\n" + json.dumps(event)
    answer = await post(ingest, lines.encode(), content_type="application/x-ndjson")
    assert answer.json["detail"] == f"{detail[:-1]} (line 3)."
    assert await ingest.kept() == []


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.123456+02:00",
        "2026-01-01T00:00",
        "2026-01-01 00:00:00-0130",
        "2026-01-01t00:00:00z",
        "2026-11-21",
        "20261121",
        "2026-W47-6",
        "2026-W47-6T10:00:00,5Z",
        "2026W476",
        "20261121T100000Z",
        "20261121T100000.5+0200",
        "2026-11-21T10Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.25+00:00",
        "20161231T235960Z",
    ],
)
async def test_iso_8601_in_its_usual_forms_is_taken_and_kept_as_sent(ingest: Ingest, timestamp: str) -> None:
    event = {**EVENT, "timestamp": timestamp}
    assert (await post(ingest, event)).status == 200
    assert await ingest.kept() == [event]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[{]", b'{"timestamp":NaN}', b"\xff", b"{}{}", b'{"source":"\\ud800"}'], ids=repr
)
async def test_what_is_no_json_is_400(ingest: Ingest, body: bytes) -> None:
    answer = await post(ingest, body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_format")


async def test_half_a_surrogate_pair_is_named(ingest: Ingest) -> None:
    event = {**EVENT, "source": "\ud800"}
    answer = await post(ingest, event)
    assert "half a surrogate pair" in answer.json["detail"]
    lines = json.dumps(EVENT) + "\n" + json.dumps(event)
    answer = await post(ingest, lines.encode(), content_type="application/x-ndjson")
    assert answer.json["detail"].endswith("which is no Unicode character (line 2).")


async def test_what_is_no_event_in_an_array_is_named_by_its_index(ingest: Ingest) -> None:
    answer = await post(ingest, [EVENT, 5])
    assert answer.json == {
        "error": "invalid_format",
        "detail": "The body must be an event object, an array of them, or one a line (event 1).",
    }


@pytest.mark.parametrize("body", [b"1", b'"x"', b"null"], ids=repr)
async def test_what_is_no_event_is_400(ingest: Ingest, body: bytes) -> None:
    answer = await post(ingest, body)
    assert answer.json == {
        "error": "invalid_format",
        "detail": "The body must be an event object, an array of them, or one a line.",
    }


async def test_too_large_is_400_by_its_own_name(ingest: Ingest) -> None:
    event = {**EVENT, "event": {"a": ""}}
    event["event"] = {"a": "x" * (BODY_BYTES_MAX - len(json.dumps(event)))}
    body = json.dumps(event).encode()
    assert len(body) == BODY_BYTES_MAX == 1_048_576
    assert (await post(ingest, body)).json["ingested_bytes"] == BODY_BYTES_MAX
    for answer in (
        await post(ingest, body + b" "),
        await post(ingest, gzip.compress(body + b" "), content_encoding="gzip"),
    ):
        assert (answer.status, answer.json["error"]) == (400, "payload_too_large")


@pytest.mark.parametrize("content_type", ["text/plain", "", "application/xml", "application/jsonx"])
async def test_another_content_type_is_400(ingest: Ingest, content_type: str) -> None:
    answer = await post(ingest, EVENT, content_type=content_type)
    assert answer.json == {
        "error": "invalid_format",
        "detail": "The 'Content-Type' header must be application/json or application/x-ndjson.",
    }


async def test_the_stream_has_to_be_named_and_to_exist(ingest: Ingest) -> None:
    answer = await post(ingest, EVENT, None)
    assert (answer.status, answer.json["error"]) == (400, "invalid_format")
    assert answer.json["detail"] == "The 'X-Stream-Id' header is missing. Send the stream's id or name in it."
    answer = await post(ingest, EVENT, "nope")
    assert (answer.status, answer.json) == (
        404,
        {"error": "unknown_stream", "detail": "There is no stream 'nope'."},
    )
    assert (await post(ingest, EVENT, "closed")).status == 403


async def test_over_the_rate_is_429_and_a_full_disk_503(
    open_ingest: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ingest(stream_object(limits=StreamLimits(requests_per_second=1))) as ingest:
        assert (await post(ingest, EVENT)).status == 200
        answer = await post(ingest, EVENT)
        assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (429, "rate_limited", "1")
        await ingest.host.advance(1)
        monkeypatch.setattr(Disk, "free_bytes", lambda _, __: 0)
        answer = await post(ingest, EVENT)
        assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (503, "unavailable", "5")


async def test_other_methods_are_405(ingest: Ingest) -> None:
    answer = await ingest.ask(URL, method="GET")
    assert (answer.status, answer.json["error"]) == (405, "method_not_allowed")


async def test_after_the_envelope_the_streams_own_validation_applies(open_ingest: Callable[..., Any]) -> None:
    lenient, strict = (stream_object(name, schema=ENVELOPE, validation=name) for name in ("cloudflare", "strict"))
    async with open_ingest(lenient, strict) as ingest:
        events = [EVENT, without("metadata")]
        answer = await post(ingest, events, "cloudflare")
        assert (answer.status, answer.headers["edge-dropped"]) == (200, "1")
        answer = await post(ingest, events, "strict")
        assert (answer.status, answer.json["error"]) == (400, "invalid_format")
        assert answer.json["records"] == [{"index": 1, "kind": "null_value", "path": "$.metadata"}]
        assert (len(await ingest.kept("cloudflare")), await ingest.kept("strict")) == (2, [])


async def test_bombs_inside_an_event_are_refused(ingest: Ingest) -> None:
    for bomb in (b"[" * 70 + b"]" * 70, b"9" * 5000):
        body = json.dumps(EVENT).encode().replace(b'"eu"', bomb)
        answer = await post(ingest, body)
        assert (answer.status, answer.json["error"]) == (400, "invalid_format")
