"""Options of the ASGI and WSGI bridges, and what both do with a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .core.request import Request

EncodeBody = Literal["automatic", "manual"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """`encode_body`: "manual" says the app has encoded its body already. Edge never encodes, so both do the same."""

    encode_body: EncodeBody = "automatic"

    def __post_init__(self) -> None:
        if self.encode_body not in {"automatic", "manual"}:
            msg = f"encode_body must be one of ('automatic', 'manual'), got {self.encode_body!r}"
            raise ValueError(msg)


BaseOptions = Options


def python_request(given: Any) -> Request:
    """The Request behind what a handler passes on: it, or its `js_object`."""
    request: Request = getattr(given, "wrapped_request", given)
    return request
