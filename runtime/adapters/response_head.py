"""What every doorway does to the head of an answer: which headers it sends, how long the body is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.body import Body

FRAMING_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade"}
)
"""What a doorway says itself: a handler's own would contradict how the body is sent."""

EMPTY_STATUSES = frozenset({204, 205, 304})
"""Answers without a body, whatever the handler gave."""

_LINE_BREAK = re.compile(r"[\r\n\0]")


def require_sendable(status: int, pairs: Iterable[tuple[str, str]]) -> None:
    """
    Raises:
        ValueError: the status is no final one, or a header carries a line break or a NUL, with which its value could
            forge other headers.
    """
    if status < 200:
        raise ValueError(f"A Worker cannot answer with status {status}: it is no final one.")
    for name, value in pairs:
        if _LINE_BREAK.search(name) or _LINE_BREAK.search(value):
            raise ValueError(f"The response header {name!r} contains a line break or a NUL character.")


def sendable_headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The handler's headers without those a doorway says itself."""
    return [pair for pair in pairs if pair[0] not in FRAMING_HEADERS]


def body_length(
    pairs: Iterable[tuple[str, str]], body: Body | None, whole: bytes | None, *, is_head: bool
) -> int | None:
    """What content-length says; None when the body's end is told otherwise.

    For a streamed body, and for an answer to HEAD without one, the handler's own content-length counts.
    """
    if whole or (whole is not None and not is_head):
        return len(whole)
    for name, value in pairs:
        if name == "content-length" and value.isascii() and value.isdigit():
            return int(value)
    if body is not None and body.size_bytes is not None:
        return body.size_bytes
    return None if whole is None else 0


def is_event_stream(pairs: Iterable[tuple[str, str]]) -> bool:
    """True for server-sent events: such an answer has no end, and clients come again when it is cut."""
    return any(name == "content-type" and value.lower().startswith("text/event-stream") for name, value in pairs)


def asks_to_close(pairs: Iterable[tuple[str, str]]) -> bool:
    """True when the handler answered `connection: close`."""
    return any(name == "connection" and value.lower() == "close" for name, value in pairs)
