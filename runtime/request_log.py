"""One line per request, and the request's id on every line that is logged while it runs."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING

from .core.context import request_id
from .core.request import wire_method

if TYPE_CHECKING:
    from .core.host import Logger
    from .core.request import Request
    from .core.response import Response
    from .core.worker import Fetcher

_ID_LIMIT = 1 << 64


class RequestLog:
    """A Fetcher around another one. The path is logged, never the query: it may hold secrets."""

    def __init__(self, fetcher: Fetcher, log: Logger, *, is_shown: bool = True) -> None:
        """`is_shown` False gives requests their ids without writing a line for each."""
        self._fetcher = fetcher
        self._log = log
        self._is_shown = is_shown
        # Counting on from a random number is unique enough for a log, and ten times cheaper than a new one each.
        self._next_id = int.from_bytes(os.urandom(8), "big")

    async def fetch(self, request: Request) -> Response:
        self._next_id = (self._next_id + 1) % _ID_LIMIT
        request_id.set(f"{self._next_id:016x}")
        if not self._is_shown:
            return await self._fetcher.fetch(request)
        began = perf_counter()
        response = await self._fetcher.fetch(request)
        self._log.info(
            "request_answered",
            method=wire_method(request),
            path=path_of(request.url),
            status=response.status,
            duration_ms=round((perf_counter() - began) * 1000, 2),
        )
        return response


def path_of(url: str) -> str:
    """The path of an absolute URL, as it came, without the query."""
    at = url.find("/", url.find("//") + 2)
    return url[at:].partition("?")[0].partition("#")[0] if at >= 0 else "/"
