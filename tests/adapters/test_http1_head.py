from __future__ import annotations

import pytest

from edge.runtime.adapters.http1_head import response_head

DATE = "date: Thu, 01 Jan 2026 00:00:00 GMT"


def test_head_is_status_headers_date_and_framing():
    head = response_head(201, "", [("x-a", "1"), ("set-cookie", "b"), ("set-cookie", "c")], ["content-length: 0"], DATE)
    assert head == (
        b"HTTP/1.1 201 Created\r\nx-a: 1\r\nset-cookie: b\r\nset-cookie: c\r\n"
        b"date: Thu, 01 Jan 2026 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [(200, "Fine", b"200 Fine"), (404, "", b"404 Not Found"), (299, "", b"299 ")],
)
def test_status_line(status, reason, line):
    assert response_head(status, reason, [], [], DATE).startswith(b"HTTP/1.1 " + line + b"\r\n")


def test_handlers_date_wins():
    assert response_head(200, "", [("date", "then")], [], DATE).count(b"date: ") == 1


@pytest.mark.parametrize("name", ["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"])
def test_framing_is_never_the_handlers(name):
    assert name.encode() not in response_head(200, "", [(name, "1")], [], DATE)


@pytest.mark.parametrize("value", ["a\r\nx-forged: 1", "a\nb", "a\rb", "a\0b"])
@pytest.mark.parametrize("where", ["name", "value", "reason"])
def test_header_that_would_forge_others_is_refused(value, where):
    pair = {"name": (value, "x"), "value": ("x", value), "reason": ("x", "x")}[where]
    with pytest.raises(ValueError, match="contains a line break or a NUL character"):
        response_head(200, value if where == "reason" else "", [pair], [], DATE)


def test_status_that_is_no_final_one_is_refused():
    with pytest.raises(ValueError, match="cannot answer with status 101"):
        response_head(101, "", [], [], DATE)
