"""The doors behind `edge serve`: real sockets, raw bytes. Hosts, pages, framing, and what follows a refusal."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).with_name("server_to_kill.py")
EDGE_TOML = """
[streams.plain]
http = { enabled = true, authentication = false }
limits = { request_bytes = 1000 }

[streams.paged]
http = { enabled = true, authentication = false, cors = { origins = ["https://app.example"] } }
"""
GOOD = b'[{"a":1}]'
COMMITTED = b'{"success":true,"result":{"committed":1}}'


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "wrangler.toml").write_text(
        'name = "demo"\nmain = "entry.py"\ncompatibility_date = "2026-09-08"\n'
        'compatibility_flags = ["python_workers"]\n'
    )
    (folder / "entry.py").write_text("from workers import Response\n\n\ndef fetch(request):\n    return Response('')\n")
    (folder / "edge.toml").write_text(EDGE_TOML)
    with subprocess.Popen([sys.executable, str(SERVER), str(folder)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while b"Ready on" not in (line := child.stdout.readline()):
            assert line, "the server ended"
        yield int(line.rpartition(b":")[2])
        child.terminate()


async def exchange(port: int, *requests: bytes) -> list[tuple[int, bytes, bytes]]:
    """Send everything at once over one connection; returns status, head and body of each answer until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(requests))
    answers = []
    try:
        async with asyncio.timeout(60):
            for _ in requests:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"http/1.1 100"):
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length)) if length else b""
                answers.append((int(head.split()[1]), head, body))
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()
    return answers


def request(body: bytes = GOOD, host: str = "plain.ingest.localhost", path: str = "/", **headers: str) -> bytes:
    named = {"Host": host, "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


HOSTS = ["evil.example", "plain.ingest.localhost.evil.example", "ingest.cloudflare.com", "plain.ingest.evil.localhost."]
PATHS = ["/", "/cdn-cgi/ingest/plain", "/cdn-cgi/api/v1/streams/ingest", "/cdn-cgi/otlp/plain/v1/logs"]


async def test_a_foreign_host_reaches_no_door(port: int) -> None:
    for host, path in product(HOSTS[:3], PATHS):
        [(status, _, body)] = await exchange(port, request(host=host, path=path))
        assert (status, COMMITTED in body) == (403, False), (host, path)
    [(status, _, body)] = await exchange(port, request(host=HOSTS[3]))
    assert COMMITTED not in body


async def test_a_page_reaches_only_the_streams_that_allow_it(port: int) -> None:
    targets = [
        ("localhost", "/cdn-cgi/ingest/plain"),
        ("plain.ingest.localhost", "/"),
        ("localhost", "/cdn-cgi/api/v1/streams/ingest"),
        ("api.localhost", "/v1/streams/ingest"),
        ("localhost", "/cdn-cgi/otlp/plain/v1/logs"),
    ]
    pages = [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ]
    for (host, path), page, kind in product(targets, pages, ["text/plain", "application/json"]):
        [(status, head, _)] = await exchange(port, request(host=host, path=path, Content_Type=kind, **page))
        assert (status, b"access-control" in head) == (403, False), (host, path, page)
    for host, path in (("paged.ingest.localhost", "/"), ("localhost", "/cdn-cgi/ingest/paged")):
        [(status, head, body)] = await exchange(port, request(host=host, path=path, Origin="https://app.example"))
        assert (status, body) == (200, COMMITTED)
        assert b"access-control-allow-origin: https://app.example" in head


async def test_a_connection_goes_on_after_a_refusal(port: int) -> None:
    bad = [
        request(b"["),
        request(host="nope.ingest.localhost"),
        request(b"x" * 900, Content_Encoding="gzip"),
        request(Idempotency_Key="\xff"),
        request(b'[{"a":"' + b"x" * 2000 + b'"}]'),
    ]
    for one in bad:
        first, second = await exchange(port, one, request())
        assert first[0] in {400, 404, 413}
        assert json.loads(first[2])["success"] is False
        assert second[2] == COMMITTED


async def test_chunks_are_joined_and_limited(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: plain.ingest.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    small = head + b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\n\r\n"
    large = head + b"3e8\r\n" + b" " * 1000 + b"\r\n9\r\n" + GOOD + b"\r\n0\r\n\r\n"
    first, second = await exchange(port, small, large)
    assert (first[2], second[0]) == (COMMITTED, 413)


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(port: int) -> None:
    head = request(b"", Content_Length="5000000", Expect="100-continue")
    [(status, _, _)] = await exchange(port, head)
    assert status == 413


async def test_a_packed_body_over_a_socket(port: int) -> None:
    [(_, _, body)] = await exchange(port, request(gzip.compress(GOOD), Content_Encoding="gzip"))
    assert body == COMMITTED


async def test_an_oddly_framed_message_is_refused_and_nothing_behind_it_is_taken(port: int) -> None:
    smuggled = request()
    start = b"POST / HTTP/1.1\r\nHost: plain.ingest.localhost\r\n"
    odd = [
        start + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        start + b"Content-Length: 9\r\nContent-Length: 10\r\n\r\n" + GOOD,
        start + b"Content-Length: -1\r\n\r\n",
        start + b"Transfer-Encoding: gzip\r\n\r\n" + GOOD,
        start + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        start + b"Host: api.localhost\r\nContent-Length: 0\r\n\r\n",
    ]
    for one in odd:
        answers = await exchange(port, one, smuggled)
        assert [status for status, _, _ in answers] == [400], one
