"""One contract for every doorway: the same Worker answers the same way, whatever delivered the request."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

import pytest

from edge import Request
from edge.runtime.gateway import Gateway

ECHO = """
from workers import Response

async def fetch(request):
    body = await request.bytes()
    headers = [[name, value] for name, value in request.headers.items()]
    seen = {"method": request.method, "url": request.url, "headers": headers, "body": body.decode("latin-1")}
    return Response.from_json(seen)
"""


def worker(expression: str) -> str:
    """The text of a Worker that answers `expression`."""
    return f"from workers import Response\n\nasync def fetch(request):\n    return {expression}\n"


def values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in headers if key == name]


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b%2Fc",
        "/%E2%82%AC/x%20y",
        "/a//b/",
        "/.well-known/x",
        "/...",
        "/a+b;v=1",
        "/%00",
        "/~user/(x)!*'",
    ],
)
async def test_path_is_exactly_as_sent(answer, target):
    _, _, body = await answer(ECHO, "GET", target)
    assert json.loads(body)["url"] == f"http://worker.localhost{target}"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/a/../b/./c", "/b/c"),
        ("/a/%2e%2E/b/%2e", "/b/"),
        ("/../..", "/"),
        ("/a//b/./c/../d", "/a//b/d"),
        ("/\\evil.example/a|b", "//evil.example/a|b"),
        ('/a^b"<>`{}', "/a%5Eb%22%3C%3E%60%7B%7D"),
    ],
)
async def test_path_is_normalised_as_in_a_request_of_its_own(answer, target, url):
    _, _, body = await answer(ECHO, "GET", target)
    seen = json.loads(body)["url"]
    assert seen == f"http://worker.localhost{url}" == Request(seen).url


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("LOCALHOST:80", "http://localhost"),
        ("a.localhost:08080", "http://a.localhost:8080"),
        ("localhost.", "http://localhost."),
        ("[0:0::1]:81", "http://[::1]:81"),
    ],
)
async def test_host_is_normalised(answer, host, origin):
    _, _, body = await answer(ECHO, "GET", "/x", [("host", host)])
    assert json.loads(body)["url"] == f"{origin}/x"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:99999", ".localhost", "x..localhost", "a b", "localhost/x", "u@localhost", "[::g]", "localhost:"],
)
async def test_host_that_is_none_is_refused(answer, host):
    status, _, body = await answer(ECHO, "GET", "/", [("host", host)])
    assert (status, body) == (400, b"The Host header is malformed. Send a name or an address, and at most a port.\n")


async def test_dots_do_not_hide_a_reserved_path(answer, worker_from):
    """The path that is asked for is the one that is looked at."""
    fetcher = Gateway(worker_from(worker('Response("from the Worker")')))
    assert (await answer(fetcher, "GET", "/x/..%2fcdn-cgi/x"))[2] == b"from the Worker"
    assert (await answer(fetcher, "GET", "/x/%2e./cdn-cgi/x"))[0] == 404


QUERIES = ["q=1&q=2&empty=&flag", "path=%2Fa%2Fb&plus=a+b&pct=%25"]


@pytest.mark.parametrize("query", QUERIES)
async def test_query_keeps_its_names_values_and_order(answer, query):
    _, _, body = await answer(ECHO, "GET", f"/p?{query}")
    arrived = json.loads(body)["url"].removeprefix("http://worker.localhost/p?")
    assert parse_qsl(arrived, keep_blank_values=True) == parse_qsl(query, keep_blank_values=True)


@pytest.mark.parametrize("query", QUERIES)
async def test_query_is_exactly_as_sent(exact_query_answer, query):
    _, _, body = await exact_query_answer(ECHO, "GET", f"/p?{query}")
    assert json.loads(body)["url"] == f"http://worker.localhost/p?{query}"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_method_arrives_as_sent(answer, method):
    status, _, body = await answer(ECHO, method, "/")
    assert (status, json.loads(body)["method"]) == (200, method)


async def test_options_of_the_whole_server_reach_the_worker(server_answer):
    """Source: RFC 9112, 3.2.4."""
    status, _, body = await server_answer(ECHO, "OPTIONS", "*")
    assert (status, json.loads(body)["url"]) == (200, "http://worker.localhost/")
    assert (await server_answer(ECHO, "GET", "*"))[0] == 400


@pytest.mark.parametrize("method", ["PROPFIND", "PURGE", "REPORT"])
async def test_method_outside_the_enum_reaches_the_worker(answer, method):
    status, _, body = await answer(worker('Response("here")'), method, "/")
    assert (status, body) == (200, b"here")


async def test_repeated_request_headers_are_joined(answer):
    _, _, body = await answer(ECHO, "GET", "/", [("x-tag", "a"), ("X-Tag", "b")])
    assert dict(json.loads(body)["headers"])["x-tag"] == "a, b"


async def test_cookies_arrive(answer):
    _, _, body = await answer(ECHO, "GET", "/", [("cookie", "a=1; b=2")])
    assert dict(json.loads(body)["headers"])["cookie"] == "a=1; b=2"


async def test_non_ascii_header_value_makes_the_round_trip(answer):
    source = worker('Response("", headers={"x-greeting": request.headers.get("x-name")})')
    _, headers, _ = await answer(source, "GET", "/", [("x-name", "Grüße €")])
    assert values(headers, "x-greeting") == ["Grüße €"]


@pytest.mark.parametrize("body", [b"", b"text", "Grüße".encode(), bytes(range(256)), b"\0" * 70_000], ids=len)
async def test_request_body_arrives_unchanged(answer, body):
    _, _, echoed = await answer(ECHO, "POST", "/", [], body)
    assert json.loads(echoed)["body"].encode("latin-1") == body


async def test_request_json(answer):
    source = worker('Response.from_json((await request.json())["rows"])')
    status, headers, body = await answer(
        source, "POST", "/", [("content-type", "application/json")], b'{"rows": [1, 2]}'
    )
    assert (status, json.loads(body)) == (200, [1, 2])
    assert values(headers, "content-type") == ["application/json"]


async def test_text_answer(answer):
    status, headers, body = await answer(worker('Response("Grüße")'))
    assert (status, body) == (200, "Grüße".encode())
    assert values(headers, "content-type") == ["text/plain;charset=UTF-8"]
    assert values(headers, "content-length") == ["7"]


async def test_binary_answer_arrives_unchanged_and_gets_no_content_type(answer):
    _, headers, body = await answer(worker("Response(bytes(range(256)))"))
    assert body == bytes(range(256))
    assert values(headers, "content-type") == []


async def test_answer_without_body(answer):
    status, headers, body = await answer(worker("Response(None)"))
    assert (status, body) == (200, b"")
    assert values(headers, "content-type") == []


@pytest.mark.parametrize("status", [200, 201, 404, 418, 500, 503, 599])
async def test_status_arrives(answer, status):
    got, _, body = await answer(worker(f'Response("x", status={status})'))
    assert (got, body) == (status, b"x")


@pytest.mark.parametrize("status", [204, 304])
async def test_status_that_forbids_a_body_has_none(answer, status):
    got, headers, body = await answer(worker(f"Response(None, status={status})"))
    assert (got, body) == (status, b"")
    assert values(headers, "transfer-encoding") == []


async def test_head_has_the_length_and_no_body(answer):
    status, headers, body = await answer(worker('Response("0123456789")'), "HEAD", "/")
    assert (status, body) == (200, b"")
    assert values(headers, "content-length") == ["10"]


async def test_set_cookie_stays_repeated(answer):
    source = """
from workers import Response

async def fetch(request):
    response = Response("")
    response.headers.append("set-cookie", "a=1; Path=/")
    response.headers.append("set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response
"""
    _, headers, _ = await answer(source)
    assert values(headers, "set-cookie") == ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]


async def test_redirect_is_not_followed(answer):
    status, headers, _ = await answer(worker('Response.redirect("https://example.com/x", 302)'))
    assert (status, values(headers, "location")) == (302, ["https://example.com/x"])


async def test_large_body_makes_the_round_trip(answer):
    source = worker("Response(await request.bytes())")
    body = bytes(range(256)) * 2400  # a load balancer in front of Lambda takes 1 MiB, in base64
    status, _, echoed = await answer(source, "POST", "/", [], body)
    assert status == 200
    assert echoed == body


async def test_streamed_answer_arrives_whole(answer):
    source = """
from workers import Response

async def chunks():
    for i in range(100):
        yield b"%d," % i

async def fetch(request):
    return Response(chunks())
"""
    status, _, body = await answer(source)
    assert (status, body) == (200, b"".join(b"%d," % i for i in range(100)))


async def test_raised_exception_answers_500_without_its_reason(answer):
    status, _, body = await answer(worker("1 / 0"))
    assert status == 500
    assert re.fullmatch(rb"Internal Server Error( \(request [\w-]+\))?\n", body)


@pytest.mark.parametrize("expression", ["None", "'text'", "{}"])
async def test_answer_of_a_wrong_type_is_500(answer, expression):
    status, _, body = await answer(worker(expression))
    assert status == 500
    assert re.fullmatch(rb"Internal Server Error( \(request [\w-]+\))?\n", body)


async def test_wait_until_work_finishes(answer, worker_from):
    live = worker_from("""
import asyncio
from workers import Response

done = []

async def later():
    for _ in range(5):
        await asyncio.sleep(0)
    done.append("work")

async def fetch(request, env, ctx):
    if request.url.endswith("/done"):
        return Response.from_json(done)
    ctx.waitUntil(later())
    return Response("started")
""")
    _, _, body = await answer(live)
    assert body == b"started"
    await live.current.drain()
    _, _, body = await answer(live, "GET", "/done")
    assert json.loads(body) == ["work"]


USED = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."


@pytest.mark.parametrize("make", ["'text'", "chunks()"], ids=["whole", "streamed"])
async def test_response_returned_twice_is_500_and_says_why(answer, worker_from, make):
    live = worker_from(f"""
from workers import Response

async def chunks():
    yield b"text"

kept = Response({make})

async def fetch(request):
    return kept
""")
    first, second = await answer(live), await answer(live)
    assert (first[0], first[2], second[0]) == (200, b"text", 500)
    assert [str(values["exc_info"]) for _, _, values in live._host.log.lines] == [f"TypeError: {USED}"]


async def test_response_that_the_handler_read_is_500(answer, worker_from):
    live = worker_from("""
from workers import Response

async def fetch(request):
    response = Response("text")
    await response.text()
    return response
""")
    assert (await answer(live))[0] == 500


async def test_status_cannot_be_set_afterwards(answer):
    source = """
from workers import Response

async def fetch(request):
    response = Response("text")
    response.status = 999
    return response
"""
    assert (await answer(source))[0] == 500


async def test_binding_error_that_nobody_catches_is_500_and_logged(answer, worker_from):
    live = worker_from("""
from edge.runtime.core.errors import BindingError

async def fetch(request):
    raise BindingError("the batch is over 5 MB", name="RangeError", http_status=413)
""")
    status, _, body = await answer(live)
    assert status == 500
    assert re.fullmatch(rb"Internal Server Error( \(request [\w-]+\))?\n", body)
    [(_, event, values)] = live._host.log.lines
    assert (event, str(values["exc_info"])) == ("handler_failed", "RangeError: the batch is over 5 MB")


CANCELLED = """
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task"""


@pytest.mark.parametrize(
    "code",
    [CANCELLED, "raise asyncio.CancelledError", "raise KeyboardInterrupt", "sys.exit(3)"],
    ids=["a cancelled task", "CancelledError", "KeyboardInterrupt", "sys.exit"],
)
async def test_what_would_end_more_than_the_handler_is_500_and_logged(answer, worker_from, handled_ctrl_c, code):
    live = worker_from(f"import asyncio, sys\n\nasync def fetch(request):\n    {code.strip()}\n")
    status, _, body = await answer(live)
    assert status == 500
    assert re.fullmatch(rb"Internal Server Error( \(request [\w-]+\))?\n", body)
    assert live._host.log.events("error") == ["handler_failed"]
    assert live.current.in_flight_count == 0
