"""A Worker's Response -> what Lambda returns, shaped by mangum for the front door the request came through.

mangum runs a small ASGI app here that has the whole answer already. What mangum would add, drop or get wrong is set
right before and after: a content type nobody asked for, headers a doorway says itself, repeated headers, the size.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from mangum import Mangum

from ..core.response import wire_body, wire_head
from .response_head import EMPTY_STATUSES, FRAMING_HEADERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from ..core.response import Response
    from .aws_lambda_request import FrontDoor

TEXT_TYPES = [
    "text/",
    "json",
    "xml",
    "yaml",
    "javascript",
    "application/x-www-form-urlencoded",
    "application/graphql",
]
"""Content types, by what they contain, that go into the answer as text; everything else goes as base64."""
NO_TYPE = "application/octet-stream"
"""Given to mangum where a Worker gave no content type, and taken away afterwards."""
JSON_BYTES_PER_CHARACTER_MAX = 12
"""A character outside the BMP as two escapes."""


class Answer(NamedTuple):
    """A whole response: status, header lines, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


async def whole_answer(response: Response, *, method: str) -> Answer:
    """Read a Response to its end; raises whatever a streamed body raises."""
    status, _, pairs = wire_head(response)
    headers = [pair for pair in pairs if pair[0] not in FRAMING_HEADERS]
    body = wire_body(response)
    if body is None or status in EMPTY_STATUSES:
        if status not in EMPTY_STATUSES:
            headers.append(("content-length", "0"))
        return Answer(status, headers, b"")
    if method == "HEAD":
        # The length of what GET would send; a body of unknown length is not run for it.
        if body.size_bytes is not None:
            headers.append(("content-length", str(body.size_bytes)))
        return Answer(status, headers, b"")
    content = await body.read()
    headers.append(("content-length", str(len(content))))
    return Answer(status, headers, content)


def plain_answer(status: int, text: str) -> Answer:
    content = f"{text}\n".encode()
    headers = [("content-type", "text/plain;charset=UTF-8"), ("content-length", str(len(content)))]
    return Answer(status, headers, content)


class AnswerShaper:
    """mangum, fed with answers that are known already. `close` it where the process lives on."""

    def __init__(self) -> None:
        self._loops = threading.local()
        self._opened: list[asyncio.AbstractEventLoop] = []
        self._enter_loop()
        self._mangum = Mangum(_send_answer, lifespan="off", text_mime_types=TEXT_TYPES)

    def shape(self, front_door: FrontDoor, answer: Answer) -> dict[str, Any]:
        """The dict Lambda returns for an answer; 413 when it would be too large, which ends the runtime's process."""
        self._enter_loop()
        result = self._shape(front_door, answer)
        if payload_bytes(result) > front_door.payload_bytes_max:
            limit = front_door.payload_bytes_max
            text = (
                f"The response is larger than the {limit} bytes that can leave this function "
                f"(as JSON, binary bodies grow by a third). Answer in parts, or redirect to a stored object."
            )
            result = self._shape(front_door, plain_answer(413, text))
        return result

    def _shape(self, front_door: FrontDoor, answer: Answer) -> dict[str, Any]:
        is_typed = any(name == "content-type" for name, _ in answer.headers)
        if not is_typed:
            headers = [*answer.headers, ("content-type", NO_TYPE)]
            answer = Answer(answer.status, headers, answer.body)
        result: dict[str, Any] = self._mangum(front_door.stand_in, cast("Any", answer))
        if not is_typed:
            for group in (result.get("headers"), result.get("multiValueHeaders")):
                if group:
                    group.pop("content-type", None)
        return result

    def close(self) -> None:
        for loop in self._opened:
            loop.close()

    def _enter_loop(self) -> None:
        """Give this thread the loop mangum takes; again each time, as any asyncio.run() in the thread drops it."""
        loop = getattr(self._loops, "loop", None)
        if loop is None:
            loop = self._loops.loop = asyncio.new_event_loop()
            self._opened.append(loop)
        asyncio.set_event_loop(loop)


def payload_bytes(result: dict[str, Any]) -> int:
    """How large awslambdaric's JSON of a result is; exact only where it could matter."""
    roughly = len(result["body"]) + sum(len(str(part)) for key, part in result.items() if key != "body")
    if result["isBase64Encoded"] or roughly * JSON_BYTES_PER_CHARACTER_MAX < 1024 * 1024:
        return roughly
    # awslambdaric escapes characters outside ASCII before Python 3.12.
    is_escaped = os.environ.get("AWS_EXECUTION_ENV") in {None, "AWS_Lambda_python3.10", "AWS_Lambda_python3.11"}
    return len(json.dumps(result, ensure_ascii=is_escaped).encode("utf-8", "replace"))


async def _send_answer(
    scope: MutableMapping[str, Any],
    receive: object,  # noqa: ARG001 - ASGI's signature; the request is known already
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI app: what mangum was called with as Lambda's context is the answer."""
    answer: Answer = scope["aws.context"]
    headers = [(name.encode(), value.encode("utf-8", "replace")) for name, value in _joined(answer.headers)]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _joined(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Repeated headers in one line each, as payload 2.0 can carry no other; Set-Cookie lines stay apart."""
    cookies = [pair for pair in headers if pair[0] == "set-cookie"]
    joined: dict[str, str] = {}
    for name, value in headers:
        if name != "set-cookie":
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return [*joined.items(), *cookies]
