"""The head of an HTTP/1.1 answer, as bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAMING_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade"}
)
"""What a doorway says itself: a handler's own would contradict how the body is sent."""

EMPTY_STATUSES = frozenset({204, 205, 304})
"""Answers without a body, whatever the handler gave."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


def response_head(
    status: int, reason: str, pairs: Sequence[tuple[str, str]], framing: Sequence[str], date: str
) -> bytes:
    """Status line, the handler's headers, then ours; ends with the empty line.

    Args:
        reason: "" for the standard phrase.
        pairs: lower-case names; framing headers among them are left out.
        framing: whole lines such as "content-length: 5".
        date: the Date line, used when the handler gave none.

    Raises:
        ValueError: the status is no final one, or a header carries a line break or a NUL, which would let its value forge headers.
    """
    if status < 200:
        raise ValueError(f"A Worker cannot answer with status {status}: it is no final one.")
    lines = [f"HTTP/1.1 {status} {reason}" if reason else _STATUS_LINES.get(status) or f"HTTP/1.1 {status} "]
    has_date = False
    for name, value in pairs:
        if name not in FRAMING_HEADERS:
            lines.append(f"{name}: {value}")
            if name == "date":
                has_date = True
    if not has_date:
        lines.append(date)
    lines += framing
    lines.append("\r\n")
    head = "\r\n".join(lines)
    line_count = len(lines)
    if head.count("\n") != line_count or head.count("\r") != line_count or "\0" in head:
        raise ValueError("A response header contains a line break or a NUL character.")
    return head.encode("utf-8", "surrogateescape")


def declared_length(pairs: Sequence[tuple[str, str]]) -> int | None:
    """The content-length a handler gave for a body it streams; None when it gave none that is a number."""
    for name, value in pairs:
        if name == "content-length":
            return int(value) if value.isascii() and value.isdigit() else None
    return None


def asks_to_close(pairs: Sequence[tuple[str, str]]) -> bool:
    """True when the handler answered `connection: close`."""
    return any(name == "connection" and value.lower() == "close" for name, value in pairs)
