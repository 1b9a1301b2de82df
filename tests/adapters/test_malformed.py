"""Malformed HTTP (catalogue H1): no 5xx, no hang, and never a second reading of the same bytes.

Every message is followed by a valid request for /next on the same connection. Either both are understood the way RFC
9112 says, or the connection is closed before /next is answered; a body that is taken for a request would show as a
path nobody asked for.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.runtime.adapters.aiohttp_connection import FRAMING_BYTES_MAX
from edge.runtime.core.response import Response
from edge.wrangler_config.worker_config import Limits

NEXT = b"GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Recorder:
    """Answers every request, and keeps which paths were asked for."""

    def __init__(self):
        self.paths = []

    async def fetch(self, request):
        self.paths.append(request.url.removeprefix("http://localhost"))
        await request.bytes()
        return Response("ok")


def head(line: bytes = b"GET / HTTP/1.1", *headers: bytes, host: bytes | None = b"Host: localhost") -> bytes:
    return b"\r\n".join([line, *([host] if host is not None else []), *headers, b"", b""])


def post(*headers: bytes, body: bytes = b"") -> bytes:
    return head(b"POST / HTTP/1.1", *headers) + body


def handshake(*headers: bytes, line: bytes = b"GET /cdn-cgi/x HTTP/1.1") -> bytes:
    """A WebSocket's, without version and key."""
    return head(line, b"Connection: Upgrade", b"Upgrade: websocket", *headers)


CHUNKED = b"Transfer-Encoding: chunked"
VERSION = b"Sec-WebSocket-Version: 13"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

REFUSED = {
    # Request line.
    "no request line": b"\r\n\r\nHost: localhost\r\n\r\n",
    "only a method": b"GET\r\nHost: localhost\r\n\r\n",
    "no version": head(b"GET /"),
    "no target": head(b"GET HTTP/1.1"),
    "space in the target": head(b"GET /a b HTTP/1.1"),
    "tab as separator": head(b"GET\t/\tHTTP/1.1"),
    "trailing space after the version": head(b"GET / HTTP/1.1 "),
    "HTTP/0.9": head(b"GET / HTTP/0.9"),
    "HTTP/1.2": head(b"GET / HTTP/1.2"),
    "HTTP/2.0": head(b"GET / HTTP/2.0"),
    "HTTP/3": head(b"GET / HTTP/3"),
    "HTTP/11": head(b"GET / HTTP/11"),
    "HTTP/1.10": head(b"GET / HTTP/1.10"),
    "HTTP/1": head(b"GET / HTTP/1"),
    "HTTP/-1.1": head(b"GET / HTTP/-1.1"),
    "HTTP/1,1": head(b"GET / HTTP/1,1"),
    "HTTP/x.y": head(b"GET / HTTP/x.y"),
    "http lower case": head(b"GET / http/1.1"),
    "another protocol": head(b"GET / RTSP/1.0"),
    "ICE protocol": head(b"SOURCE / ICE/1.0"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
    "SSH banner": b"SSH-2.0-OpenSSH_9.7\r\n",
    "SMTP": b"EHLO localhost\r\n",
    "binary": bytes(range(256)),
    "NUL bytes": b"\x00" * 64,
    "a PROXY line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + head(),
    "method lower case": head(b"get / HTTP/1.1"),
    "unknown method": head(b"FOO / HTTP/1.1"),
    "method with a colon": head(b"GE:T / HTTP/1.1"),
    "method with NUL": head(b"GE\x00T / HTTP/1.1"),
    "method with high bytes": head(b"G\xc3\x89T / HTTP/1.1"),
    "space before the method": head(b" GET / HTTP/1.1"),
    "CONNECT": head(b"CONNECT localhost:80 HTTP/1.1"),
    "CONNECT without port": head(b"CONNECT localhost HTTP/1.1"),
    "CONNECT with a path": head(b"CONNECT / HTTP/1.1"),
    "TRACE": head(b"TRACE / HTTP/1.1"),
    # Target.
    "asterisk on GET": head(b"GET * HTTP/1.1"),
    "relative target": head(b"GET index.html HTTP/1.1"),
    "query only": head(b"GET ?a=1 HTTP/1.1"),
    "fragment": head(b"GET /a#b HTTP/1.1"),
    "fragment in the query": head(b"GET /a?b#c HTTP/1.1"),
    "NUL in the target": head(b"GET /a\x00b HTTP/1.1"),
    "DEL in the target": head(b"GET /a\x7fb HTTP/1.1"),
    "escape in the target": head(b"GET /a\x1bb HTTP/1.1"),
    "CR in the target": head(b"GET /a\rb HTTP/1.1"),
    "LF in the target": head(b"GET /a\nb HTTP/1.1"),
    "tab in the target": head(b"GET /a\tb HTTP/1.1"),
    "raw bytes in the target": head("GET /\u00e9 HTTP/1.1".encode()),
    "raw bytes in the query": head(b"GET /?a=\xff HTTP/1.1"),
    "absolute foreign": head(b"GET http://evil.example/ HTTP/1.1"),
    "absolute foreign by port trick": head(b"GET http://localhost@evil.example/ HTTP/1.1"),
    "absolute with user": head(b"GET http://user:pw@localhost/ HTTP/1.1"),
    "absolute https": head(b"GET https://localhost/ HTTP/1.1"),
    "absolute ftp": head(b"GET ftp://localhost/ HTTP/1.1"),
    "absolute file": head(b"GET file:///etc/passwd HTTP/1.1"),
    "absolute without host": head(b"GET http:///x HTTP/1.1"),
    "absolute without slashes": head(b"GET http:localhost/x HTTP/1.1"),
    "absolute with a bad port": head(b"GET http://localhost:x/ HTTP/1.1"),
    "absolute with a backslash": head(b"GET http://localhost\\@evil.example/ HTTP/1.1"),
    "authority on GET": head(b"GET localhost:80 HTTP/1.1"),
    "javascript target": head(b"GET javascript:alert(1) HTTP/1.1"),
    # Host.
    "no Host": head(host=None),
    "no Host in 1.0": head(b"GET / HTTP/1.0", host=None),
    "two equal Hosts": head(b"GET / HTTP/1.1", b"Host: localhost"),
    "two Hosts": head(b"GET / HTTP/1.1", b"Host: evil.example"),
    "empty Host": head(host=b"Host:"),
    "blank Host": head(host=b"Host:   "),
    "foreign Host": head(host=b"Host: evil.example"),
    "Host with a path": head(host=b"Host: localhost/evil"),
    "Host with a user": head(host=b"Host: a@localhost"),
    "Host with a scheme": head(host=b"Host: http://localhost"),
    "Host with a space": head(host=b"Host: localhost evil.example"),
    "Host with a comma": head(host=b"Host: localhost,evil.example"),
    "Host with a bad port": head(host=b"Host: localhost:http"),
    "Host with a long port": head(host=b"Host: localhost:123456"),
    "Host with two ports": head(host=b"Host: localhost:80:80"),
    "Host with NUL": head(host=b"Host: local\x00host"),
    "Host with high bytes": head(host=b"Host: localhost\xff"),
    "Host with percent": head(host=b"Host: %6cocalhost"),
    "Host unclosed bracket": head(host=b"Host: [::1"),
    "Host bracket junk": head(host=b"Host: [::1]evil"),
    "Host ends like ours": head(host=b"Host: notlocalhost"),
    "Host begins like ours": head(host=b"Host: localhost.evil.example"),
    "Host decimal address": head(host=b"Host: 2130706433"),
    "Host octal address": head(host=b"Host: 0177.0.0.1"),
    "Host hex address": head(host=b"Host: 0x7f.0.0.1"),
    "Host short address": head(host=b"Host: 127.1"),
    "Host unspecified": head(host=b"Host: 0.0.0.0"),
    "Host private": head(host=b"Host: 192.168.0.1"),
    "Host mapped": head(host=b"Host: [::ffff:192.168.0.1]"),
    # Header fields.
    "space before the colon": head(b"GET / HTTP/1.1", b"X-A : b"),
    "tab before the colon": head(b"GET / HTTP/1.1", b"X-A\t: b"),
    "space before Content-Length's colon": post(b"Content-Length : 5", body=b"hello"),
    "space before Transfer-Encoding's colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "no colon": head(b"GET / HTTP/1.1", b"X-A"),
    "empty name": head(b"GET / HTTP/1.1", b": value"),
    "name with a space": head(b"GET / HTTP/1.1", b"X A: b"),
    "name with NUL": head(b"GET / HTTP/1.1", b"X\x00A: b"),
    "name with parentheses": head(b"GET / HTTP/1.1", b"X(A): b"),
    "name with high bytes": head(b"GET / HTTP/1.1", b"X\xc3\xa4: b"),
    "name with a quote": head(b"GET / HTTP/1.1", b'X"A": b'),
    "value with NUL": head(b"GET / HTTP/1.1", b"X-A: a\x00b"),
    "value with a bare CR": head(b"GET / HTTP/1.1", b"X-A: a\rb"),
    "value with a bell": head(b"GET / HTTP/1.1", b"X-A: a\x07b"),
    "value with DEL": head(b"GET / HTTP/1.1", b"X-A: a\x7fb"),
    "folded with a space": head(b"GET / HTTP/1.1", b"X-A: a", b" b"),
    "folded with a tab": head(b"GET / HTTP/1.1", b"X-A: a", b"\tb"),
    "folded Transfer-Encoding": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "folded first line": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "bare LF in the headers": b"GET / HTTP/1.1\r\nHost: localhost\nX-A: b\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: localhost\r\n\n",
    "bare CR": b"GET / HTTP/1.1\rHost: localhost\r\r",
    "CR CR LF": b"GET / HTTP/1.1\r\r\nHost: localhost\r\r\n\r\r\n",
    "too many headers": head(b"GET / HTTP/1.1", *(b"X-%d: a" % i for i in range(200))),
    "one long header": head(b"GET / HTTP/1.1", b"X-A: " + b"a" * 20_000),
    "one long name": head(b"GET / HTTP/1.1", b"X" * 20_000 + b": a"),
    "many large headers": head(b"GET / HTTP/1.1", *(b"X-%d: " % i + b"a" * 4000 for i in range(20))),
    "long target": head(b"GET /" + b"a" * 20_000 + b" HTTP/1.1"),
    "repeated content-type": post(b"Content-Type: a/b", b"Content-Type: c/d"),
    # Content-Length.
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"),
    "two equal lengths": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "length list": post(b"Content-Length: 5, 5", body=b"hello"),
    "length list of two": post(b"Content-Length: 5,6", body=b"hello"),
    "length with plus": post(b"Content-Length: +5", body=b"hello"),
    "length negative": post(b"Content-Length: -1"),
    "length hex": post(b"Content-Length: 0x5", body=b"hello"),
    "length with underscore": post(b"Content-Length: 1_0", body=b"hello"),
    "length with a fraction": post(b"Content-Length: 5.0", body=b"hello"),
    "length with an exponent": post(b"Content-Length: 5e0", body=b"hello"),
    "length with a space inside": post(b"Content-Length: 1 0", body=b"hello"),
    "length quoted": post(b'Content-Length: "5"', body=b"hello"),
    "length of letters": post(b"Content-Length: five", body=b"hello"),
    "length empty": post(b"Content-Length:", body=b"hello"),
    "length beyond 64 bits": post(b"Content-Length: 99999999999999999999999"),
    "length wraps 64 bits": post(b"Content-Length: 18446744073709551621", body=b"hello"),
    "length with NUL": post(b"Content-Length: 5\x00", body=b"hello"),
    "length in Arabic digits": post("Content-Length: \u0665".encode(), body=b"hello"),
    "length over the limit": post(b"Content-Length: 999999999999"),
    # Transfer-Encoding.
    "length and chunked": post(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "chunked and length": post(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n"),
    "length and chunked hide a request": post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "chunked twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked, gzip": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", body=b"hello"),
    "identity and length": post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunkedx": post(b"Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "chunked quoted": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked with a comma": post(b"Transfer-Encoding: ,chunked", body=b"0\r\n\r\n"),
    "chunked with NUL": post(b"Transfer-Encoding: chunked\x00", body=b"0\r\n\r\n"),
    "chunked with vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "empty coding": post(b"Transfer-Encoding:", body=b"hello"),
    "chunked in 1.0": head(b"POST / HTTP/1.0", CHUNKED) + b"0\r\n\r\n",
    "identity on GET": head(b"GET / HTTP/1.1", b"Transfer-Encoding: identity"),
    # Chunks.
    "chunk size missing": post(CHUNKED, body=b"\r\nhello\r\n0\r\n\r\n"),
    "chunk size of letters": post(CHUNKED, body=b"xyz\r\nhello\r\n0\r\n\r\n"),
    "chunk size negative": post(CHUNKED, body=b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with plus": post(CHUNKED, body=b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size 0x": post(CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with underscore": post(CHUNKED, body=b"0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": post(CHUNKED, body=b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a space before": post(CHUNKED, body=b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a space after": post(CHUNKED, body=b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk line ends in LF": post(CHUNKED, body=b"5\nhello\r\n0\r\n\r\n"),
    "chunk line ends in CR": post(CHUNKED, body=b"5\rhello\r\n0\r\n\r\n"),
    "chunk data ends in LF": post(CHUNKED, body=b"5\r\nhello\n0\r\n\r\n"),
    "chunk data too long": post(CHUNKED, body=b"5\r\nhello world\r\n0\r\n\r\n"),
    "chunk data too short": post(CHUNKED, body=b"9\r\nhello\r\n0\r\n\r\n"),
    "chunk extension with LF": post(CHUNKED, body=b"5;a\nhello\r\n0\r\n\r\n"),
    "chunk extension with NUL": post(CHUNKED, body=b"5;a=\x00\r\nhello\r\n0\r\n\r\n"),
    "last chunk ends in LF": post(CHUNKED, body=b"0\n\n"),
    "trailer without colon": post(CHUNKED, body=b"0\r\nX-A\r\n\r\n"),
    "trailer with a space before the colon": post(CHUNKED, body=b"0\r\nX-A : b\r\n\r\n"),
    # Expectations and upgrades.
    "unknown expectation": post(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello"),
    "WebSocket without version": handshake(KEY),
    "WebSocket of version 8": handshake(b"Sec-WebSocket-Version: 8", KEY),
    "WebSocket of version 013": handshake(b"Sec-WebSocket-Version: 013", KEY),
    "WebSocket of two versions": handshake(VERSION, b"Sec-WebSocket-Version: 8", KEY),
    "WebSocket of a list of versions": handshake(b"Sec-WebSocket-Version: 13, 8", KEY),
    "WebSocket without key": handshake(VERSION),
    "WebSocket of two keys": handshake(VERSION, KEY, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    "WebSocket with a short key": handshake(VERSION, b"Sec-WebSocket-Key: c2hvcnQ="),
    "WebSocket with a long key": handshake(VERSION, b"Sec-WebSocket-Key: YSBrZXkgb2YgMTcgYnl0ZXM="),
    "WebSocket with loose bits in its key": handshake(VERSION, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="),
    "WebSocket with an empty key": handshake(VERSION, b"Sec-WebSocket-Key:"),
    "WebSocket by POST": handshake(VERSION, KEY, line=b"POST /cdn-cgi/x HTTP/1.1"),
    "WebSocket with a body": handshake(VERSION, KEY, b"Content-Length: 5") + b"hello",
    "WebSocket with chunks": handshake(VERSION, KEY, CHUNKED) + b"0\r\n\r\n",
    "WebSocket from another origin": handshake(VERSION, KEY, b"Origin: http://evil.example"),
    "WebSocket of a foreign host": handshake(VERSION, KEY, line=b"GET http://evil.example/cdn-cgi/x HTTP/1.1"),
}

UNDERSTOOD = {
    "plain": head(),
    "two spaces before the version": head(b"GET /  HTTP/1.1"),
    "empty lines before": b"\r\n\r\n" + head(),
    "1.0 keeps alive when asked": head(b"GET / HTTP/1.0", b"Connection: keep-alive"),
    "OPTIONS of the server": head(b"OPTIONS * HTTP/1.1"),
    "absolute to an allowed host": head(b"GET http://localhost/ HTTP/1.1"),
    "value with spaces around": head(b"GET / HTTP/1.1", b"X-A:  b\t "),
    "empty value": head(b"GET / HTTP/1.1", b"X-A:"),
    "value with high bytes": head(b"GET / HTTP/1.1", b"X-A: \xff\xfe"),
    "odd but printable target": head(b'GET /a|b^c`d\\e{f}[g]"h"<i>?\\|^ HTTP/1.1'),
    "length with zeros": post(b"Content-Length: 005", body=b"hello"),
    "body of a length": post(b"Content-Length: 5", body=b"hello"),
    "a request inside a body": post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    "a request inside a chunk": post(CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    "CHUNKED in capitals": post(b"TRANSFER-ENCODING: Chunked", body=b"0\r\n\r\n"),
    "chunk extension": post(CHUNKED, body=b"5;a=b\r\nhello\r\n0\r\n\r\n"),
    "chunk size with zeros": post(CHUNKED, body=b"0005\r\nhello\r\n0\r\n\r\n"),
    "trailer": post(CHUNKED, body=b"5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"),
    "body on GET": head(b"GET / HTTP/1.1", b"Content-Length: 5") + b"hello",
    "body on DELETE": head(b"DELETE / HTTP/1.1", b"Content-Length: 5") + b"hello",
    "compressed body is not touched": post(b"Content-Encoding: gzip", b"Content-Length: 5", body=b"hello"),
    "expectation nobody waits for": post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
}


async def talk(serving, exchange, sent: bytes) -> tuple[list[int], list[str]]:
    """Statuses that came back until the server closed, and paths the Worker saw."""
    recorder = Recorder()
    async with serving(recorder) as server:
        raw = await exchange(server, sent)
    return [int(status) for status in STATUS.findall(raw)], recorder.paths


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED)
async def test_malformed_message_is_refused_and_nothing_after_it_is_read(serving, exchange, message):
    statuses, paths = await talk(serving, exchange, message + NEXT)
    assert "/next" not in paths
    assert "/smuggled" not in paths
    assert all(400 <= status < 500 for status in statuses), statuses
    assert len(statuses) == 1


@pytest.mark.parametrize("limits", [Limits(), Limits(url_bytes=8190), Limits(header_bytes=8190)], ids=str)
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("long target", "HTTP/1.1 414 "),
        ("one long header", "HTTP/1.1 431 "),
        ("one long name", "HTTP/1.1 431 "),
        ("many large headers", "HTTP/1.1 431 "),
    ],
)
async def test_what_is_too_long_is_told(serving, exchange, limits, name, answer):
    async with serving(Recorder(), limits=limits) as server:
        raw = (await exchange(server, REFUSED[name])).decode()
    assert raw.startswith(answer)
    if name == "long target":
        assert f"longer than {limits.url_bytes} bytes (url_bytes under [limits] in edge.toml)." in raw


@pytest.mark.parametrize("message", UNDERSTOOD.values(), ids=UNDERSTOOD)
async def test_unusual_message_is_understood_and_so_is_the_next(serving, exchange, message):
    statuses, paths = await talk(serving, exchange, message + NEXT)
    assert [path.partition("a|")[0] for path in paths] == ["/", "/next"]
    assert [status for status in statuses if status != 100] == [200, 200]


@pytest.mark.parametrize("message", UNDERSTOOD.values(), ids=UNDERSTOOD)
async def test_message_means_the_same_when_it_comes_byte_by_byte(serving, exchange, message):
    recorder = Recorder()
    async with serving(recorder) as server:
        await exchange(server, *(bytes([byte]) for byte in message + NEXT))
    assert [path.partition("a|")[0] for path in recorder.paths] == ["/", "/next"]


FRAMED = head(b"POST / HTTP/1.1", CHUNKED, b"Connection: close")


@pytest.mark.parametrize(
    "framing",
    [b"3;" + b"a" * 60_000 + b"\r\nabc\r\n", b"1;b\r\na\r\n" * 9 + b"1;" + b"x" * 9_000 + b"\r\na\r\n"],
    ids=["long extensions", "extensions of some chunks"],
)
async def test_body_hidden_in_framing_is_413(serving, exchange, framing):
    """Extensions are not part of the body, so its limit does not see them."""
    pieces = [framing] * (2 * FRAMING_BYTES_MAX // len(framing))
    async with serving(Recorder()) as server:
        raw = await exchange(server, FRAMED, *pieces)
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert raw.endswith(b"The request's body is hidden in framing: send larger chunks.\n")


async def test_body_of_the_smallest_chunks_is_taken(serving, exchange):
    async with serving(Recorder()) as server:
        raw = await exchange(server, FRAMED, *[b"1\r\na\r\n" * 9_000] * 20, b"0\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 ")


async def test_upgrade_that_is_not_spoken_ends_the_connection(serving, exchange):
    """What follows might be meant in the other protocol."""
    sent = head(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: h2c") + NEXT
    assert await talk(serving, exchange, sent) == ([200], ["/"])


async def read_to_the_end(server, reader) -> bytes:
    """What comes until the server closes; a message left incomplete is ended by the server's own limits."""
    raw = b""
    with suppress(ConnectionResetError):
        while not reader.at_eof():
            try:
                raw += await asyncio.wait_for(reader.read(65536), 0.02)
            except TimeoutError:
                server.tick(server.now + 100)
    return raw


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["insert", "delete", "replace"]), st.binary(max_size=3))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.sampled_from([*UNDERSTOOD.values(), *REFUSED.values()]), mutations=MUTATIONS)
def test_mutated_message_never_breaks_the_server(serving, message, mutations):
    """Whatever is changed: no 5xx, no error of ours, and the server goes on to serve others."""
    sent = bytearray(message + NEXT)
    for at, kind, inserted in mutations:
        sent[at : at if kind == "insert" else at + 1] = b"" if kind == "delete" else inserted

    async def run() -> None:
        async with serving(Recorder()) as server, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(bytes(sent))
            raw = await read_to_the_end(server, reader)
            assert all(int(status) < 500 for status in STATUS.findall(raw))
            writer.close()
            assert server.host.log.events("error") == []
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(NEXT)
            assert (await reader.read()).endswith(b"ok")
            writer.close()

    asyncio.run(run())


async def test_control_a_smuggled_request_would_be_noticed(serving, exchange):
    assert await talk(serving, exchange, SMUGGLED + NEXT) == ([200, 200], ["/smuggled", "/next"])


def test_corpus_is_as_large_as_promised():
    assert len(REFUSED) + len(UNDERSTOOD) >= 150
