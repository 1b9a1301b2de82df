"""Response, as `workers` has it."""

from __future__ import annotations

import json
from typing import Any

from .body import Body


class Response:
    """What a handler answers."""

    __slots__ = ("_body", "_pairs", "status", "status_text")

    def __init__(
        self, body: Any = None, status: int | None = None, status_text: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.status = status or 200
        self.status_text = status_text
        self._pairs = [(name.lower(), str(value)) for name, value in (headers or {}).items()]
        if isinstance(body, str):
            self._body: Body | None = Body(body.encode())
            if not any(name == "content-type" for name, _ in self._pairs):
                self._pairs.append(("content-type", "text/plain;charset=UTF-8"))
        else:
            self._body = None if body is None else Body(body)

    @classmethod
    def from_json(cls, data: Any, status: int = 200, status_text: str = "", headers: dict[str, str] | None = None) -> Response:
        return cls(json.dumps(data), status, status_text, {"content-type": "application/json", **(headers or {})})


def wire_head(response: Response) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, reason phrase ("" for the standard one) and header lines with lower-case names, Set-Cookie repeated."""
    return response.status, response.status_text, response._pairs


def wire_body(response: Response) -> Body | None:
    """The body a doorway has to send, None when there is none."""
    return response._body


def replace_wire_body(response: Response, body: Body) -> None:
    """Put another body in place of a streamed one, as the gateway does to know when it has been sent."""
    response._body = body
