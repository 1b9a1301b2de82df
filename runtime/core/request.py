"""Request, as `workers` has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .body import Body


class Request:
    """What a handler is asked."""

    __slots__ = ("_body", "_decode_json", "_method", "_pairs", "cf", "url")

    _body: Body | None
    _decode_json: Callable[..., Any]
    _method: str
    _pairs: Sequence[tuple[bytes, bytes]]
    cf: Any
    url: str

    @property
    def method(self) -> str:
        return self._method

    async def text(self) -> str:
        return (await self.bytes()).decode()

    async def bytes(self) -> bytes:
        return b"" if self._body is None else await self._body.read()

    async def json(self, **kwargs: Any) -> Any:
        return self._decode_json(await self.text(), **kwargs)


def incoming_request(
    method: str,
    url: str,
    header_pairs: Sequence[tuple[bytes, bytes]],
    body: Body | None = None,
    *,
    decode_json: Callable[..., Any] = json.loads,
    cf: Any = None,
) -> Request:
    """A Request from the wire, made without checks and as cheaply as can be: a doorway has checked already.

    Args:
        method: as on the request line.
        url: absolute, the path exactly as received (`%2F` survives).
        header_pairs: raw names and values in wire order, repeated names kept.
        body: None when the message has no body.
        decode_json: what `request.json()` without arguments uses; must decode, and fail, as `json.loads` does.
    """
    request = Request.__new__(Request)
    request._method = method
    request.url = url
    request._pairs = header_pairs
    request._body = body
    request._decode_json = decode_json
    request.cf = cf
    return request


def wire_headers(request: Request) -> Sequence[tuple[bytes, bytes]]:
    """The raw header lines, for doorways and doors."""
    return request._pairs
