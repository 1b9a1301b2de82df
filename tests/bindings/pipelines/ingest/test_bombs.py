"""H4: small requests that would take much memory or time, refused in little of both."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from edge.bindings.pipelines.ingest.json_guard import DIGITS_MAX, KEYS_MAX
from edge.bindings.pipelines.objects import REQUEST_BYTES_MAX
from edge.bindings.pipelines.records import DEPTH_MAX

if TYPE_CHECKING:
    from .conftest import Ingest

GROWTH_MAX = 4
"""Times the request limit. Source: spec "Reliability", H4."""
KEYS_GROWTH_MAX = 10
"""To count an object's keys it has to be built; that is done for one request at a time."""
HUGE = 200 * 1024 * 1024


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """An array with one record of this depth, itself counted."""
    return b'[{"a":' + opening * (depth - 1) + closing * (depth - 1) + b"}]"


def keys(count: int) -> bytes:
    return b"[{" + b",".join(b'"k%d":0' % number for number in range(count)) + b"}]"


def zstd_bomb() -> bytes:
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(200)) + packer.flush()


def gzip_of_gzip() -> bytes:
    return gzip.compress(gzip.compress(bytes(HUGE)))


BOMBS = {
    "gzip": ("gzip", lambda: gzip.compress(bytes(HUGE)), 413),
    "deflate": ("deflate", lambda: zlib.compress(bytes(HUGE)), 413),
    "zstd": ("zstd", zstd_bomb, 413),
    "gzip in gzip": ("gzip", gzip_of_gzip, 400),
    "gzip of one letter": ("gzip", lambda: gzip.compress(b'[{"a":"' + b"x" * (8 * 1024 * 1024) + b'"}]'), 413),
    "zstd with a window of 128 MB": (
        "zstd",
        lambda: zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
        ).compress(b"[]"),
        200,
    ),
    "open arrays": ("", lambda: b"[" * 1_000_000, 400),
    "open objects": ("", lambda: b'[{"a":' * 500_000, 400),
    "closed arrays": ("", lambda: nested(500_000), 400),
    "keys": ("", lambda: keys(KEYS_MAX + 1), 400),
    "a million keys": ("", lambda: keys(400_000), 400),
    "digits": ("", lambda: b'[{"a":' + b"9" * 4_000_000 + b"}]", 400),
    "digits behind a minus, in a list": ("", lambda: b'[{"a":[-' + b"1" * (DIGITS_MAX + 1) + b"]}]", 400),
}


@pytest.fixture(scope="module", params=BOMBS)
def bomb(request: pytest.FixtureRequest) -> tuple[str, bytes, int]:
    encoding, make, status = BOMBS[request.param]
    return encoding, make(), status


@pytest.mark.parametrize("stream", ["flights", "typed"])
async def test_a_bomb_is_refused_in_little_memory(ingest: Ingest, stream: str, bomb: tuple[str, bytes, int]) -> None:
    encoding, body, status = bomb
    headers = {"content_encoding": encoding} if encoding else {}
    tracemalloc.start()
    try:
        answer = await ingest.post(body, stream, **headers)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == status
    assert peak_bytes < (KEYS_GROWTH_MAX if b"k399999" in body else GROWTH_MAX) * REQUEST_BYTES_MAX
    assert await ingest.kept(stream) == []


@pytest.mark.parametrize(
    "body",
    [
        nested(DEPTH_MAX),
        nested(DEPTH_MAX, b'{"a":', b"}").replace(b":}", b":0}"),
        b"[" + b",".join([nested(40)[1:-1]] * 40) + b"]",
        b'[{"a":"' + b"[{" * 5000 + b'"}]',
        keys(KEYS_MAX),
        b"[" + b",".join([b'{"a":{"b":0}}'] * (KEYS_MAX + 1)) + b"]",
        b'[{"a":' + b"9" * DIGITS_MAX + b"}]",
        b'[{"a":"' + b"9" * (3 * DIGITS_MAX) + b'"}]',
        b'[{"a":1e999}]',
    ],
    ids=[
        "depth",
        "objects",
        "deep ones side by side",
        "brackets in text",
        "keys",
        "keys of many",
        "digits",
        "text",
        "e",
    ],
)
async def test_what_is_just_below_a_limit_is_taken(ingest: Ingest, body: bytes) -> None:
    answer = await ingest.post(body)
    assert answer.status == 200, answer.json


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (nested(DEPTH_MAX + 1), "A record is nested more than 64 levels deep. Send flatter records."),
        (
            nested(DEPTH_MAX + 1, b'{"a":', b"}").replace(b":}", b":0}"),
            "A record is nested more than 64 levels deep. Send flatter records.",
        ),
        (keys(KEYS_MAX + 1), "An object has more than 10,000 keys. Send an array of pairs instead."),
        (b'[{"a":' + b"9" * (DIGITS_MAX + 1) + b"}]", "A number has more than 4,300 digits. Send it as a string."),
    ],
    ids=["depth", "objects", "keys", "digits"],
)
async def test_what_is_just_over_a_limit_is_said(ingest: Ingest, body: bytes, message: str) -> None:
    answer = await ingest.post(body)
    assert (answer.status, answer.json["error"]) == (400, {"code": 1003, "message": message})


@pytest.mark.parametrize(("count", "is_free"), [(50_000, True), (500, False)], ids=["many", "few: the control"])
async def test_the_loop_turns_while_many_bad_records_are_named(ingest: Ingest, count: int, is_free: bool) -> None:
    await ingest.post(b"[]", "strict")  # opens its log, in a thread
    request = asyncio.ensure_future(ingest.post(b"[" + b",".join([b"{}"] * count) + b"]", "strict"))
    turn_count = 0
    while not request.done():
        await asyncio.sleep(0)
        turn_count += 1
    assert (await request).json["error"]["record_count"] == count
    assert (turn_count > 20) is is_free
