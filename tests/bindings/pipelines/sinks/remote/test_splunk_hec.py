"""Events over a real socket to a server that keeps the collector's rules."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from aiohttp import web

from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import splunk_hec

STREAM = "5" * 32
ROWS = [{"n": i} for i in range(4)]


class Collector:
    """Events one behind the other; an event that is blank is named by its number."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.token = "t-1"
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.acks_after = 0
        self.has_acks = False
        self.channels: set[str | None] = set()
        self.names_bad_events = True

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers["authorization"] != f"Splunk {self.token}":
            return web.json_response({"text": "Invalid token", "code": 4}, status=403)
        self.channels.add(request.headers.get("x-splunk-request-channel"))
        if request.path == "/services/collector/ack":
            asked = json.loads(await request.read())["acks"]
            self.acks_after -= 1
            return web.json_response({"acks": {str(ack): self.acks_after < 0 for ack in asked}})
        assert request.path == "/services/collector/event"
        if self.answers:
            status, said = self.answers.pop(0)
            return web.json_response(said, status=status)
        return self._take(events_in(await request.text()))

    def _take(self, events: list[dict[str, Any]]) -> web.Response:
        for number, event in enumerate(events):
            if event["event"] == {"n": -1}:
                said = {"text": "Event field cannot be blank", "code": 13}
                if self.names_bad_events:
                    said["invalid-event-number"] = number
                return web.json_response(said, status=400)
        self.events += events
        return web.json_response({"text": "Success", "code": 0, **({"ackId": 7} if self.has_acks else {})})


def events_in(text: str) -> list[dict[str, Any]]:
    decoder, events, at = json.JSONDecoder(), [], 0
    while at < len(text):
        event, at = decoder.raw_decode(text, at)
        events.append(event)
    return events


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
async def sink(collector: Collector, serve: Any, opened: Any) -> Any:
    url = await serve(collector.answer)
    return lambda **config: opened(splunk_hec, **{"url": url, "token": "t-1", "allow_private_network": True, **config})


async def test_rows_arrive_as_events_with_time_place_and_offset(collector: Collector, sink: Any, stage: Any) -> None:
    far = sink(index="main", sourcetype="edge", source="flights", host="h")
    published = await far.publish(stage.roll(far, ROWS[:1]), stage.folder)
    assert collector.events == [
        {
            "time": 1767225600.0,
            "index": "main",
            "sourcetype": "edge",
            "source": "flights",
            "host": "h",
            "event": {"n": 0},
            "fields": {"edge_offset": f"{STREAM}:0:100"},
        }
    ]
    assert published.rows_written == 1


async def test_a_blank_event_is_a_dead_letter_and_the_others_arrive(
    collector: Collector, sink: Any, stage: Any
) -> None:
    far = sink()
    published = await far.publish(stage.roll(far, [*ROWS[:2], {"n": -1}, *ROWS[2:]]), stage.folder)
    assert [event["event"]["n"] for event in collector.events] == [0, 1, 2, 3]
    (refused,) = published.refused
    assert (refused.offset, refused.kind, refused.row) == (102, "hec_13", b'{"n":-1}')
    assert refused.message.endswith(": Event field cannot be blank")


async def test_a_blank_event_that_is_not_named_is_found_by_halves(collector: Collector, sink: Any, stage: Any) -> None:
    collector.names_bad_events = False
    far = sink()
    published = await far.publish(stage.roll(far, [*ROWS, {"n": -1}]), stage.folder)
    assert sorted(event["event"]["n"] for event in collector.events) == [0, 1, 2, 3]
    assert [r.offset for r in published.refused] == [104]


async def test_an_expired_token_needs_a_person(collector: Collector, sink: Any, stage: Any) -> None:
    collector.token = "t-2"
    far = sink()
    roll = stage.roll(far, ROWS)
    with pytest.raises(SinkMisconfiguredError, match=r"says 'Invalid token' \(code 4\)\. Check the sink's token"):
        await far.publish(roll, stage.folder)
    published = await sink(token="t-2").publish(roll, stage.folder)
    assert published.rows_written == len(ROWS)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        *((403, code, SinkMisconfiguredError) for code in (1, 4)),
        *((401, code, SinkMisconfiguredError) for code in (2, 3)),
        *((400, code, SinkMisconfiguredError) for code in (7, 10, 11, 14)),
        (500, 8, SinkUnavailableError),
        (503, 9, SinkUnavailableError),
        (503, 18, SinkUnavailableError),
        (503, 23, SinkUnavailableError),
        (429, 26, SinkUnavailableError),
        (200, 99, SinkUnavailableError),
        (404, None, SinkMisconfiguredError),
    ],
)
async def test_codes_say_whether_to_wait_or_to_call_a_person(
    collector: Collector, sink: Any, stage: Any, status: int, code: int | None, error: type[Exception]
) -> None:
    collector.answers = [(status, {"text": "so", "code": code})]
    far = sink()
    roll = stage.roll(far, ROWS)
    with pytest.raises(error):
        await far.publish(roll, stage.folder)
    assert (await far.publish(roll, stage.folder)).rows_written == len(ROWS)


async def test_acknowledgement_is_waited_for(collector: Collector, sink: Any, stage: Any, host: Any) -> None:
    collector.has_acks, collector.acks_after = True, 2
    far = sink(acknowledgement=True)
    await far.publish(stage.roll(far, ROWS), stage.folder)
    assert host.slept == [splunk_hec.ACK_POLL_SECONDS] * 2
    assert len(collector.channels) == 1
    assert None not in collector.channels


async def test_no_acknowledgement_in_time_means_sending_again(collector: Collector, sink: Any, stage: Any) -> None:
    collector.has_acks, collector.acks_after = True, 1000
    far = sink(acknowledgement=True, acknowledgement_seconds=3)
    roll = stage.roll(far, ROWS)
    with pytest.raises(SinkUnavailableError, match="did not acknowledge within 3 seconds"):
        await far.publish(roll, stage.folder)
    collector.acks_after = 0
    await far.publish(roll, stage.folder)
    assert len(collector.events) == 2 * len(ROWS)
    assert len({event["fields"]["edge_offset"] for event in collector.events}) == len(ROWS)


async def test_a_token_without_acknowledgement_is_named(collector: Collector, sink: Any, stage: Any) -> None:
    far = sink(acknowledgement=True)
    with pytest.raises(SinkMisconfiguredError, match="gave no ackId"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_server_that_is_no_collector_is_named(serve: Any, opened: Any, stage: Any) -> None:
    async def login(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Log in")

    far = opened(splunk_hec, url=await serve(login), token="t", allow_private_network=True)
    with pytest.raises(SinkMisconfiguredError, match="did not answer as a collector does: '<html>Log in'"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_bodies_are_packed(serve: Any, opened: Any, stage: Any) -> None:
    bodies: list[tuple[str | None, bytes]] = []

    async def keep(request: web.Request) -> web.Response:
        bodies.append((request.headers.get("content-encoding"), await request.read()))
        return web.json_response({"text": "Success", "code": 0})

    far = opened(splunk_hec, url=await serve(keep), token="t", allow_private_network=True)
    await far.publish(stage.roll(far, ROWS), stage.folder)
    ((encoding, body),) = bodies
    assert encoding == "gzip"
    assert b'"n":0' in (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
