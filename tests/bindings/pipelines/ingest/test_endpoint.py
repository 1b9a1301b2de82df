"""A stream's own endpoint: what it takes, what it refuses, and with which words."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from edge.bindings.pipelines.ids import id_of
from edge.bindings.pipelines.objects import Retention, StreamLimits
from edge.bindings.pipelines.open_streams import POLL_SECONDS
from edge.bindings.pipelines.stream_log.stream_folders import StreamFolders

from .conftest import stream_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Ingest

ROWS = [{"carrier": "UA", "distance": 100}, {"carrier": "B6", "distance": 2**53 + 1}]


def committed(count: int) -> dict[str, Any]:
    return {"success": True, "result": {"committed": count}}


@pytest.mark.parametrize(
    "url",
    [
        "http://flights.ingest.localhost:8787/",
        "http://flights.ingest.localhost/v1",
        "http://flights.ingest.localhost.:8787/?a=b",
        f"http://{id_of('stream', 'flights')}.ingest.localhost/",
        "http://localhost:8787/cdn-cgi/ingest/flights",
        f"http://localhost:8787/cdn-cgi/ingest/{id_of('stream', 'flights')}/",
    ],
)
async def test_an_array_is_committed_under_every_address_of_its_stream(ingest: Ingest, url: str) -> None:
    answer = await ingest.ask(url, json.dumps(ROWS).encode())
    assert (answer.status, answer.json) == (200, committed(2))
    assert answer.headers["content-type"] == "application/json"
    assert await ingest.kept() == ROWS


async def test_the_body_is_kept_as_it_came(ingest: Ingest) -> None:
    body = b'[ {"a":1.50,"a":2,\r\n "big":123456789012345678901234567890} ,\n{"\\u0061":"\\u00e9"}]'
    assert (await ingest.post(body)).json == committed(2)
    [segment] = StreamFolders(ingest.state_dir).folder("flights").partition(0).glob("*.log")
    assert body in segment.read_bytes()
    records = [record.json async for record in StreamFolders(ingest.state_dir).tail("flights", follow=False)]
    assert records == [b'{"a":1.50,"a":2,"big":123456789012345678901234567890}', b'{"\\u0061":"\\u00e9"}']


async def test_an_empty_array_is_committed_and_writes_nothing(ingest: Ingest) -> None:
    assert (await ingest.post(b" [ ] ")).json == committed(0)
    assert await ingest.kept() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 1003),
        (b"[", 1003),
        (b'[{"a":1}', 1003),
        (b'[{"a":1},]', 1003),
        (b'[{"a":1}]x', 1003),
        (b'[{"a":01}]', 1003),
        (b'[{"a":NaN}]', 1003),
        (b'[{"a":-Infinity}]', 1003),
        (b"[{'a':1}]", 1003),
        (b'[{"a":tru}]', 1003),
        (b'[{"a":"\x01"}]', 1003),
        (b'[{"a":"\xff"}]', 1003),
        (b'[{"\xc3\x28":1}]', 1003),
        (b'[{"a":"\xed\xa0\x80"}]', 1003),
        (b'[{"a":"\\ud800"}]', 1003),
        (b'[{"a":"\\ud800x"}]', 1003),
        (b'[{"a":"\\udc00\\ud800"}]', 1003),
        (b"\xef\xbb\xbf[]", 1003),
        (b"\x00", 1003),
        ("[{}]".encode("utf-16"), 1003),
        (b"{}", 1002),
        (b'"text"', 1002),
        (b"null", 1002),
        (b"1", 1002),
        (b"[1]", 1002),
        (b"[null]", 1002),
        (b"[[]]", 1002),
        (b'[{"a":1},"b"]', 1002),
    ],
    ids=repr,
)
async def test_what_is_no_array_of_objects_is_refused_whole(ingest: Ingest, body: bytes, code: int) -> None:
    for stream in ("flights", "typed", "strict"):
        answer = await ingest.post(body, stream)
        assert (answer.status, answer.json["success"], answer.json["error"]["code"]) == (400, False, code)
        assert answer.json["error"]["message"]
        assert await ingest.kept(stream) == []


async def test_the_item_that_is_no_object_is_named(ingest: Ingest) -> None:
    answer = await ingest.post(b'[{"a":1},2]')
    assert answer.json["error"]["message"] == (
        "Item 1 is no object. Send a JSON array of objects, one for each record."
    )


@pytest.mark.parametrize(
    ("text", "is_half"),
    [
        (rb"\ud800", True),
        (rb"\uDBFFx and more", True),
        (rb"\ud800A", True),
        (rb"\udc00", True),
        (rb"\\\uDC00", True),
        (rb"\ud83d\ude00\ude00", True),
        (rb"\ud83d\ude00\x", False),
        (rb"\\ud800\x", False),
    ],
    ids=repr,
)
async def test_half_a_surrogate_pair_is_named(ingest: Ingest, text: bytes, is_half: bool) -> None:
    answer = await ingest.post(b'[{"a":"%b"}]' % text)
    assert answer.json["error"]["code"] == 1003
    assert ("half a surrogate pair" in answer.json["error"]["message"]) is is_half


PACKED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    " GZip ": gzip.compress,
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_packed_body_is_unpacked(ingest: Ingest, encoding: str) -> None:
    body = json.dumps(ROWS * 2000).encode()
    answer = await ingest.post(PACKED[encoding](body), content_encoding=encoding)
    assert answer.json == committed(4000)
    assert len(await ingest.kept()) == 4000


async def test_two_members_of_one_packed_body_are_both_read(ingest: Ingest) -> None:
    for encoding in ("gzip", "zstd"):
        parts = PACKED[encoding](b'[{"a":1},') + PACKED[encoding](b'{"a":2}]')
        assert (await ingest.post(parts, content_encoding=encoding)).json == committed(2)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("how", ["cut", "broken", "plain", "garbage behind"])
async def test_a_body_that_cannot_be_unpacked_is_refused(ingest: Ingest, encoding: str, how: str) -> None:
    packed = PACKED[encoding](json.dumps(ROWS).encode())
    bad = {
        "cut": packed[:-5],
        "broken": packed[:12] + b"\xff\xff" + packed[14:],
        "plain": json.dumps(ROWS).encode(),
        "garbage behind": packed + b"garbage",
    }[how]
    answer = await ingest.post(bad, content_encoding=encoding)
    assert (answer.status, answer.json["success"]) == (400, False)
    assert await ingest.kept() == []


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "", "compress", "gzip;q=1"])
async def test_an_encoding_that_is_not_read_is_415(ingest: Ingest, encoding: str) -> None:
    answer = await ingest.post(b"[]", content_encoding=encoding)
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate, zstd")


async def test_a_stream_that_does_not_exist_is_1000(ingest: Ingest) -> None:
    for url in ("http://nope.ingest.localhost/", "http://localhost/cdn-cgi/ingest/nope"):
        answer = await ingest.ask(url, b"[]")
        assert (answer.status, answer.json["error"]) == (404, {"code": 1000, "message": "There is no stream 'nope'."})
    for url in ("http://flights.ingest.localhost/other", "http://localhost/cdn-cgi/ingest/flights/more"):
        assert (await ingest.ask(url, b"[]")).status == 404


async def test_a_stream_without_http_ingest_is_403_whoever_asks(ingest: Ingest) -> None:
    bearer = f"Bearer {ingest.tokens.create('Workers Pipeline Send')}"
    answer = await ingest.post([], "closed", authorization=bearer)
    assert answer.status == 403
    assert answer.json["error"]["message"] == 'Stream "closed" does not take records over HTTP (http.enabled).'


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "BREW"])
async def test_other_methods_are_405(ingest: Ingest, method: str) -> None:
    answer = await ingest.ask("http://flights.ingest.localhost/", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")


async def test_a_stream_made_while_running_takes_records(ingest: Ingest) -> None:
    assert (await ingest.post(ROWS, "fresh")).status == 404
    from contextlib import closing

    from edge.bindings.pipelines.catalogue import Catalogue

    with closing(Catalogue(ingest.state_dir)) as catalogue:
        catalogue.add_stream(stream_object("fresh"))
        assert (await ingest.post(ROWS, "fresh")).json == committed(2)
        catalogue.delete_stream(id_of("stream", "fresh"))
        await ingest.host.advance(2 * POLL_SECONDS)
        assert (await ingest.post(ROWS, "fresh")).status == 404


async def test_a_stream_that_was_used_is_open_again_at_start(open_ingest: Callable[..., Any]) -> None:
    streams = [stream_object(), stream_object("used"), stream_object("unused")]
    async with open_ingest(*streams) as ingest:
        await ingest.post(ROWS, "used")
    async with open_ingest(*streams) as ingest:
        opened = [values["stream"] for _, event, values in ingest.host.log.lines if event == "stream_opened"]
        assert opened == ["flights", "used"]


async def test_over_the_request_limit_is_413_before_and_after_unpacking(open_ingest: Callable[..., Any]) -> None:
    async with open_ingest(stream_object(limits=StreamLimits(request_bytes=100))) as ingest:
        just = b'[{"a":"' + b"x" * 90 + b'"}]'
        assert len(just) == 100
        assert (await ingest.post(just)).status == 200
        over = just[:-1] + b" ]"
        for answer in (
            await ingest.post(over),
            await ingest.ask("http://flights.ingest.localhost/", chunks=[over[:60], over[60:]]),
            await ingest.post(gzip.compress(over), content_encoding="gzip"),
            await ingest.post(PACKED["zstd"](over), content_encoding="zstd"),
        ):
            assert answer.status == 413
            assert answer.json["error"]["message"] == (
                "The body is larger than 100 bytes (unpacked). Send the records in parts."
            )
        assert len(await ingest.kept()) == 1


async def test_a_rate_of_requests_is_kept_to_with_429(open_ingest: Callable[..., Any]) -> None:
    async with open_ingest(stream_object(limits=StreamLimits(requests_per_second=2))) as ingest:
        assert [(await ingest.post(ROWS)).status for _ in range(4)] == [200, 200, 429, 429]
        answer = await ingest.post(ROWS)
        assert answer.headers["retry-after"] == "1"
        with pytest.raises(Exception, match="has a rate limit, and it is exceeded") as refusal:
            await ingest.bound().send(ROWS)
        assert refusal.value.http_status == 429
        await ingest.host.advance(0.5)
        assert [(await ingest.post(ROWS)).status for _ in range(2)] == [200, 429]
        assert len(await ingest.kept()) == 6


async def test_a_rate_of_bytes_is_kept_to_and_a_large_request_is_owed(open_ingest: Callable[..., Any]) -> None:
    async with open_ingest(stream_object(limits=StreamLimits(bytes_per_second=1000))) as ingest:
        assert (await ingest.post([{"a": "x" * 3000}])).status == 200
        answer = await ingest.post(ROWS)
        assert (answer.status, answer.headers["retry-after"]) == (429, "3")
        await ingest.host.advance(2.1)
        assert (await ingest.post(ROWS)).status == 200


async def test_a_full_backlog_is_429_for_http_and_send_and_heals_by_delivery(open_ingest: Callable[..., Any]) -> None:
    async with open_ingest(stream_object(retention=Retention(backlog_bytes=20_000))) as ingest:
        large = [{"a": "x" * 8000}]
        assert [(await ingest.post(large)).status for _ in range(4)] == [200, 200, 200, 429]
        answer = await ingest.post(large)
        assert answer.headers["retry-after"] == "5"
        assert "holds 24," in answer.json["error"]["message"]
        with pytest.raises(Exception, match="bytes that are not delivered yet, its limit is 20,000") as refusal:
            await ingest.bound().send(large)
        assert refusal.value.http_status == 429
        delivery, _, watch, *_ = ingest.opened.sources
        for source in (delivery, watch):
            ingest.host.spawn(source.run(), name="source")
        while (await ingest.post(large)).status == 429:
            await ingest.host.advance(1.0)
        assert len(await ingest.kept()) == 4


async def test_a_full_disk_is_503_with_retry_after(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.bindings.pipelines.stream_log.disk import Disk

    monkeypatch.setattr(Disk, "free_bytes", lambda _, __: 0)
    answer = await ingest.post(ROWS)
    assert (answer.status, answer.headers["retry-after"], answer.json["error"]["code"]) == (503, "5", 1011)
    monkeypatch.undo()
    assert (await ingest.post(ROWS)).status == 200


async def test_more_than_may_wait_for_the_disk_is_429(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.bindings.pipelines.stream_log import partition

    monkeypatch.setattr(partition, "UNSYNCED_BYTES_MAX", 10)
    answer = await ingest.post(ROWS)
    assert (answer.status, answer.headers["retry-after"], answer.json["error"]["code"]) == (429, "1", 1010)
