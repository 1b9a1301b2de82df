"""What Lambda's front doors and mangum would do to a request or an answer, and does not happen."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from edge.runtime.adapters.aws_lambda import LambdaHandler
from edge.runtime.core.body import Body
from edge.runtime.core.context import PendingWork
from edge.runtime.core.errors import UnsupportedError
from edge.runtime.core.request import wire_headers
from edge.runtime.core.response import Response, replace_wire_body
from edge.runtime.testing.fake_host import RecordingLog
from edge.runtime.testing.lambda_events import FRONT_DOORS, InvocationContext, http_answer, http_event
from edge.wrangler_config.worker_config import Settings

MEBIBYTE = 1024 * 1024


class RealTimeHost:
    """The part of LambdaMachine that the doorway drives."""

    deadline_at = None

    def __init__(self):
        self.log = RecordingLog()

    def now(self):
        return 0.0

    async def thaw(self):
        pass

    def rest(self):
        pass


@pytest.fixture
def handler_of():
    """`handler_of(fetch)` is a Lambda handler over one async function."""
    handlers = []

    def make(fetch, **parts):
        host = RealTimeHost()
        app = SimpleNamespace(
            host=host,
            config=SimpleNamespace(settings=Settings()),
            events=(),
            handlers=(),
            live=None,
            pending=PendingWork(host),
            fetch=fetch,
        )
        app.__dict__.update(parts)

        @asynccontextmanager
        async def open_app(_path):
            yield app

        handlers.append(LambdaHandler(open_app, None))
        handlers[-1].app = app
        return handlers[-1]

    yield make
    for handler in handlers:
        handler.close()


def ask(handler, front_door, *request):
    return http_answer(handler(http_event(front_door, *request), InvocationContext()))


async def echo(request):
    headers = [[name.decode(), value.decode()] for name, value in wire_headers(request)]
    return Response.from_json({"url": request.url, "headers": headers})


def answering(*args, **options):
    async def fetch(_request):
        return Response(*args, **options)

    return fetch


# --- defect 1: %2F decoded, raw_path None


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_encoded_slash_survives(handler_of, front_door):
    _, _, body = ask(handler_of(echo), front_door, "GET", "/a%2Fb/%E2%82%AC", [("host", "w.example")])
    assert json.loads(body)["url"] == "https://w.example/a%2Fb/%E2%82%AC"


def test_query_of_payload_2_is_exactly_as_sent(handler_of):
    _, _, body = ask(handler_of(echo), "2.0", "GET", "/p?b=1&a=%20+&b=2&flag", [("host", "w.example")])
    assert json.loads(body)["url"] == "https://w.example/p?b=1&a=%20+&b=2&flag"


def test_path_that_arrives_decoded_is_made_a_legal_url(handler_of):
    event = http_event("2.0", "GET", "/a b/é%2F", [("host", "w.example")])
    _, _, body = http_answer(handler_of(echo)(event, InvocationContext()))
    assert json.loads(body)["url"] == "https://w.example/a%20b/%C3%A9%2F"


# --- defect 2: payload 2.0 adds a content type


@pytest.mark.parametrize("front_door", FRONT_DOORS)
@pytest.mark.parametrize(("body", "status"), [(b"raw", 200), (None, 204), (None, 304), (None, 200)])
def test_no_content_type_is_added(handler_of, front_door, body, status):
    got, headers, sent = ask(handler_of(answering(body, status=status)), front_door)
    assert (got, sent) == (status, body or b"")
    assert "content-type" not in dict(headers)


# --- defect 3: exclude_headers ignored for payload 2.0


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_headers_of_the_connection_are_left_out(handler_of, front_door):
    told = {"connection": "close", "transfer-encoding": "chunked", "content-length": "999", "x-kept": "1"}
    _, headers, _ = ask(handler_of(answering("four", headers=told)), front_door)
    assert dict(headers)["content-length"] == "4"
    assert dict(headers)["x-kept"] == "1"
    assert not {"connection", "transfer-encoding"} & set(dict(headers))


# --- defect 4: two Cookie lines joined by a comma, the query of 1.0 rebuilt


@pytest.mark.parametrize("front_door", ["1.0", "alb-multi-value"])
def test_two_cookie_lines_are_joined_by_a_semicolon(handler_of, front_door):
    _, _, body = ask(handler_of(echo), front_door, "GET", "/", [("cookie", "a=1"), ("Cookie", "b=2")])
    assert [v for n, v in json.loads(body)["headers"] if n == "cookie"] == ["a=1; b=2"]


@pytest.mark.parametrize("front_door", ["1.0", "alb-multi-value"])
def test_spaces_slashes_and_repeated_names_of_a_query_survive(handler_of, front_door):
    _, _, body = ask(handler_of(echo), front_door, "GET", "/p?q=a%20b&q=%2F%26", [("host", "w.example")])
    assert json.loads(body)["url"] == "https://w.example/p?q=a%20b&q=%2F%26"


# --- defect 5: header values outside UTF-8 and IPv6 hosts raise


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_ipv6_host_is_answered(handler_of, front_door):
    _, _, body = ask(handler_of(echo), front_door, "GET", "/x", [("host", "[2001:db8::1]:8443")])
    assert json.loads(body)["url"] == "https://[2001:db8::1]:8443/x"


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_broken_characters_in_headers_are_replaced(handler_of, front_door):
    handler = handler_of(echo)
    status, _, body = ask(handler, front_door, "GET", "/", [("x-name", "a\udcff")])
    assert status == 200
    assert dict(json.loads(body)["headers"])["x-name"] == "a?"


# --- defect 6: an app that answers nothing, or raises


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_failure_on_the_way_out_is_500_and_logged(handler_of, front_door):
    async def chunks():
        yield b"half"
        raise ZeroDivisionError

    handler = handler_of(lambda _request: streamed(chunks()))
    status, _, body = ask(handler, front_door)
    assert (status, body) == (500, b"Internal Server Error\n")
    assert handler.app.host.log.events("error") == ["answer_failed"]


async def streamed(chunks):
    response = Response("")
    replace_wire_body(response, Body(chunks=chunks))
    return response


# --- defect 7: Lambda@Edge


def test_lambda_at_edge_is_refused_with_a_sentence(handler_of):
    with pytest.raises(Exception, match="does not run as Lambda@Edge"):
        handler_of(echo)({"Records": [{"cf": {"request": {}}}]}, InvocationContext())


# --- defect 8: repeated response headers


@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_set_cookie_stays_apart(handler_of, front_door):
    async def fetch(_request):
        response = Response("")
        response.headers.append("set-cookie", "a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
        response.headers.append("set-cookie", "b=2")
        return response

    _, headers, _ = ask(handler_of(fetch), front_door)
    assert [v for n, v in headers if n == "set-cookie"] == ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"]


# --- sizes


@pytest.mark.parametrize("body", ["x" * (6 * MEBIBYTE + 1), bytes(range(256)) * 20 * 1024], ids=["text", "base64"])
def test_answer_that_cannot_leave_lambda_is_413(handler_of, body):
    status, _, text = ask(handler_of(answering(body)), "2.0")
    assert status == 413
    assert b"larger than the 6291456 bytes" in text


def test_answer_that_only_just_fits_is_sent(handler_of):
    status, _, body = ask(handler_of(answering("x" * (6 * MEBIBYTE - 1000))), "2.0")
    assert (status, len(body)) == (200, 6 * MEBIBYTE - 1000)


def test_load_balancer_takes_one_mebibyte(handler_of):
    assert ask(handler_of(answering("x" * MEBIBYTE)), "alb")[0] == 413


def test_request_that_is_too_large_is_413(handler_of):
    status, _, text = ask(handler_of(echo), "2.0", "POST", "/", [], b"x" * (6 * MEBIBYTE + 1))
    assert status == 413
    assert b"request body is larger" in text


def test_body_that_is_no_base64_is_400(handler_of):
    event = http_event("2.0", "POST", "/") | {"body": "a", "isBase64Encoded": True}
    assert http_answer(handler_of(echo)(event, InvocationContext()))[0] == 400


# --- text or base64


@pytest.mark.parametrize(
    ("content_type", "is_text"),
    [
        ("text/plain", True),
        ("image/svg+xml", True),
        ("application/yaml", True),
        ("application/ld+json", True),
        ("image/png", False),
    ],
)
def test_text_goes_as_text(handler_of, content_type, is_text):
    handler = handler_of(answering(b"abc", headers={"content-type": content_type}))
    assert handler(http_event("1.0"), InvocationContext())["isBase64Encoded"] is not is_text


# --- deadlines


def test_worker_that_does_not_answer_is_cut_before_the_deadline(handler_of):
    handler = handler_of(lambda _request: asyncio.Event().wait())
    event, context = http_event("2.0"), InvocationContext(timeout_s=1.0)
    assert http_answer(handler(event, context))[0] == 504
    assert handler.app.host.log.events("error") == ["invocation_cut"]


# --- hosts


@pytest.mark.parametrize("front_door", FRONT_DOORS)
@pytest.mark.parametrize("host", ["a b/@c", "a/b", "user@a", "a?b", "a#", "[::1", "a:b", "é.example", "a\n"])
def test_host_that_is_none_is_400(handler_of, front_door, host):
    handler = handler_of(echo)
    status, _, text = ask(handler, front_door, "GET", "/", [("host", host)])
    assert (status, text[:29]) == (400, b"The Host header is malformed.")


def test_scheme_is_one_of_http(handler_of):
    headers = [("host", "w.example"), ("x-forwarded-proto", "javascript")]
    _, _, body = ask(handler_of(echo), "2.0", "GET", "/", headers)
    assert json.loads(body)["url"] == "https://w.example/"


# --- events that are no HTTP request

PAYLOAD_2 = http_event("2.0")
REST = http_event("1.0")
HALF_EVENTS = {
    "http-null": {"requestContext": {"http": None}, "version": "2.0"},
    "no-raw-path": {name: value for name, value in PAYLOAD_2.items() if name != "rawPath"},
    "no-method": PAYLOAD_2 | {"requestContext": {"http": {"path": "/"}}},
    "method-5": REST | {"httpMethod": 5},
    "path-null": REST | {"path": None},
    "elb-null": REST | {"requestContext": {"elb": None}},
    "elb-null-method-5": {"requestContext": {"elb": None}, "httpMethod": 5},
    "headers-list": PAYLOAD_2 | {"headers": []},
    "cookies-text": PAYLOAD_2 | {"cookies": "a=1"},
    "body-dict": PAYLOAD_2 | {"body": {"a": 1}},
    "context-null": REST | {"requestContext": None},
}


@pytest.mark.parametrize("event", HALF_EVENTS.values(), ids=HALF_EVENTS)
def test_half_an_http_event_is_refused_with_a_sentence(handler_of, event):
    with pytest.raises(UnsupportedError, match=r"looks like an HTTP request, but it is not whole.*lambda_event"):
        handler_of(echo)(event, InvocationContext())


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"edge": "scheduled", "cron": "* * * * *"}, r'The Worker has no "scheduled" handler'),
        (
            {"source": "aws.events", "detail-type": "Scheduled Event"},
            r'`scheduled` handler let .* {"edge": "scheduled"',
        ),
        (
            {"Records": [{"eventSource": "aws:sqs", "body": ""}]},
            r'SQS queue, and Edge has no queues yet: "queue" is not',
        ),
        ({"Records": [{"EventSource": "aws:sns"}]}, r"takes this event from aws:sns \(keys seen: Records\)"),
        ({"requestContext": {"connectionId": "a"}}, r"WebSocket event of API Gateway"),
        ([1], r"invoked with list data"),
    ],
    ids=["scheduled", "rule", "sqs", "sns", "websocket", "list"],
)
def test_event_that_nobody_takes_is_refused_by_its_name(handler_of, event, text):
    with pytest.raises(UnsupportedError, match=text):
        handler_of(echo)(event, InvocationContext())
