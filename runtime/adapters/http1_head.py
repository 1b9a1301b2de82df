"""The head of an answer as HTTP/1.1 bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .response_head import FRAMING_HEADERS, require_sendable

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        ValueError: as `require_sendable`.
    """
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
    # One break per line and no more: cheaper than looking into every value.
    line_count = len(lines)
    if status < 200 or head.count("\n") != line_count or head.count("\r") != line_count or "\0" in head:
        require_sendable(status, [("status", reason), *pairs])
    return head.encode("utf-8", "surrogateescape")
