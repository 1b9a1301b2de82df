"""Posts to a real server that checks signatures as a receiver does."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

import pytest
from aiohttp import web

from edge.bindings.pipelines.sinks import http_target
from edge.bindings.pipelines.sinks.progress import FILE_NAME as PROGRESS
from edge.bindings.pipelines.sinks.sink import SinkMisconfiguredError, SinkUnavailableError
from edge.bindings.pipelines.sinks.types import webhook

STREAM = "5" * 32
NOW = 1_767_225_600
ROWS = [{"n": i} for i in range(6)]


class Receiver:
    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        self.poison: str | None = None

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append(({k.lower(): v for k, v in request.headers.items()}, body))
        if self.poison is not None and self.poison.encode() in body:
            return web.Response(status=422)
        return self.answers.pop(0) if self.answers else web.Response(status=204)

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for _, body in self.requests for line in body.splitlines()]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def sink(receiver: Receiver, serve: Any, opened: Any) -> Any:
    url = await serve(receiver.answer)
    return lambda **config: opened(webhook, **{"url": f"{url}/in?a=1", "allow_private_network": True, **config})


async def test_rows_arrive_as_lines_with_their_position(receiver: Receiver, sink: Any, stage: Any) -> None:
    far = sink()
    published = await far.publish(stage.roll(far, ROWS[:2]), stage.folder)
    ((headers, body),) = receiver.requests
    assert headers["content-type"] == "application/x-ndjson"
    assert body == (f'{{"n":0,"edge_offset":"{STREAM}:0:100"}}\n{{"n":1,"edge_offset":"{STREAM}:0:101"}}\n'.encode())
    assert published.rows_written == 2


async def test_rows_arrive_as_arrays(receiver: Receiver, sink: Any, stage: Any) -> None:
    far = sink(body="array", chunk_rows=4)
    await far.publish(stage.roll(far, ROWS), stage.folder)
    assert [[row["n"] for row in json.loads(body)] for _, body in receiver.requests] == [[0, 1, 2, 3], [4, 5]]
    assert receiver.requests[0][0]["content-type"] == "application/json"


async def test_a_column_called_edge_offset_is_left_as_it_is(receiver: Receiver, sink: Any, stage: Any) -> None:
    far = sink()
    await far.publish(stage.roll(far, [{"edge_offset": "mine"}]), stage.folder)
    assert receiver.rows == [{"edge_offset": "mine"}]


async def test_every_secret_signs_the_body_with_its_time(receiver: Receiver, sink: Any, stage: Any) -> None:
    far = sink(secrets=["old", "new"])
    await far.publish(stage.roll(far, ROWS), stage.folder)
    ((headers, body),) = receiver.requests
    expected = [hmac.new(s, f"{NOW}.".encode() + body, hashlib.sha256).hexdigest() for s in (b"old", b"new")]
    assert headers["webhook-signature"] == f"time={NOW},sig1={expected[0]},sig1={expected[1]}"


@pytest.mark.parametrize(
    ("secret", "time_s", "body", "fits"),
    [
        (b"key", NOW, b"{}", True),
        (b"kez", NOW, b"{}", False),
        (b"", NOW, b"{}", False),
        (b"key", NOW + 1, b"{}", False),
        (b"key", NOW, b"{ }", False),
    ],
    ids=["as sent", "other secret", "no secret", "other time", "other body"],
)
def test_a_signature_fits_its_secret_time_and_body_only(secret: bytes, time_s: int, body: bytes, fits: bool) -> None:
    _, made = webhook.signature_of(["key"], NOW, b"{}").split(",sig1=")
    expected = hmac.new(secret, f"{time_s}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(made, expected) is fits


async def test_own_headers_are_sent_and_no_signature_without_a_secret(
    receiver: Receiver, sink: Any, stage: Any
) -> None:
    far = sink(headers={"X-Team": "flights"})
    await far.publish(stage.roll(far, ROWS), stage.folder)
    ((headers, _),) = receiver.requests
    assert headers["x-team"] == "flights"
    assert "webhook-signature" not in headers


async def test_a_retry_repeats_one_chunk_at_most_under_the_same_key(receiver: Receiver, sink: Any, stage: Any) -> None:
    far = sink(chunk_rows=2)
    roll = stage.roll(far, ROWS)
    receiver.answers = [web.Response(), web.Response(status=503, headers={"retry-after": "7"})]
    with pytest.raises(SinkUnavailableError, match="answered 503") as caught:
        await far.publish(roll, stage.folder)
    assert caught.value.retry_after_s == 7
    await sink(chunk_rows=2).publish(roll, stage.folder)
    keys = [headers["idempotency-key"] for headers, _ in receiver.requests]
    assert [row["n"] for row in receiver.rows] == [0, 1, 2, 3, 2, 3, 4, 5]
    assert keys[1] == keys[2]
    assert len(set(keys)) == 3


async def test_without_its_notes_a_retry_repeats_everything(receiver: Receiver, sink: Any, stage: Any) -> None:
    """The control of the test above."""
    far = sink(chunk_rows=2)
    roll = stage.roll(far, ROWS)
    receiver.answers = [web.Response(), web.Response(status=503)]
    with pytest.raises(SinkUnavailableError):
        await far.publish(roll, stage.folder)
    (stage.folder / PROGRESS).unlink()
    await sink(chunk_rows=2).publish(roll, stage.folder)
    assert [row["n"] for row in receiver.rows] == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]


async def test_a_torn_note_counts_as_none(receiver: Receiver, sink: Any, stage: Any) -> None:
    far = sink(chunk_rows=2)
    roll = stage.roll(far, ROWS)
    receiver.answers = [web.Response(), web.Response(), web.Response(status=503)]
    with pytest.raises(SinkUnavailableError):
        await far.publish(roll, stage.folder)
    notes = stage.folder / PROGRESS
    notes.write_bytes(notes.read_bytes()[:-3])
    published = await sink(chunk_rows=2).publish(roll, stage.folder)
    assert [row["n"] for row in receiver.rows][6:] == [2, 3, 4, 5]
    assert published.rows_written == len(ROWS)


async def test_a_row_that_is_refused_goes_to_the_dead_letters_alone(receiver: Receiver, sink: Any, stage: Any) -> None:
    receiver.poison = '"n":3'
    far = sink()
    published = await far.publish(stage.roll(far, ROWS), stage.folder)
    (refused,) = published.refused
    assert (refused.offset, refused.kind, refused.row) == (103, "http_422", b'{"n":3}')
    assert refused.message.endswith("answered 422 to this row alone.")
    taken = [row["n"] for _, body in receiver.requests if b'"n":3' not in body for row in map(json.loads, body.split())]
    assert sorted(taken) == [0, 1, 2, 4, 5]
    assert published.rows_written == 5


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415])
async def test_an_answer_about_the_config_needs_a_person(
    receiver: Receiver, sink: Any, stage: Any, status: int
) -> None:
    receiver.answers = [web.Response(status=status, text="no\x1b[31m")]
    far = sink()
    with pytest.raises(SinkMisconfiguredError, match=rf"answered {status}: no \[31m\. Check") as caught:
        await far.publish(stage.roll(far, ROWS), stage.folder)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 504])
async def test_a_busy_receiver_is_tried_again(receiver: Receiver, sink: Any, stage: Any, status: int) -> None:
    receiver.answers = [web.Response(status=status, headers={"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"})]
    far = sink()
    with pytest.raises(SinkUnavailableError) as caught:
        await far.publish(stage.roll(far, ROWS), stage.folder)
    assert caught.value.retry_after_s == 60


async def test_nobody_listening_is_tried_again(opened: Any, stage: Any, unused_tcp_port: int) -> None:
    far = opened(webhook, url=f"http://127.0.0.1:{unused_tcp_port}", allow_private_network=True)
    with pytest.raises(SinkUnavailableError, match="got no answer: nobody listens there"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_receiver_that_says_nothing_is_given_up(serve: Any, opened: Any, stage: Any) -> None:
    is_over = asyncio.Event()

    async def silent(_request: web.Request) -> web.Response:
        await is_over.wait()
        return web.Response()

    far = opened(webhook, url=await serve(silent), allow_private_network=True, timeout_seconds=0.05)
    with pytest.raises(SinkUnavailableError, match=r"gave no answer within 0\.05 seconds"):
        await far.publish(stage.roll(far, ROWS), stage.folder)
    is_over.set()


async def test_an_endless_answer_is_cut_off(
    receiver: Receiver, sink: Any, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_target, "ANSWER_BYTES_MAX", 10)
    receiver.answers = [web.Response(text="x" * 11)]
    far = sink()
    with pytest.raises(SinkUnavailableError, match="The answer is over 10 bytes"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


async def test_a_header_that_cannot_be_sent_is_named(sink: Any, stage: Any) -> None:
    far = sink(headers={"X-Key": "a\nb"})
    with pytest.raises(SinkMisconfiguredError, match="Check the sink's url, headers and credentials"):
        await far.publish(stage.roll(far, ROWS), stage.folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"url": "file:///etc/passwd"}, "must begin with http"),
        ({"url": "https://x:y"}, "is no URL"),
        ({"secrets": [""]}, "must not be empty"),
        ({"chunk_rows": 0}, "1 to 10000, got 0"),
        ({"headers": {"Webhook-Signature": "x"}}, "must not hold Webhook-Signature"),
    ],
    ids=["scheme", "port", "empty secret", "rows", "reserved header"],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        webhook.Config(**{"url": "https://x.test", **config})


def test_secrets_are_not_shown() -> None:
    shown = repr(webhook.Config(url="https://x.test", secrets=["hush"], headers={"authorization": "hush"}))
    assert "hush" not in shown
