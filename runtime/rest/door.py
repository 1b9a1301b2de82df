"""The way into the REST API. What is behind it is loaded by the first call: `edge dev` starts without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.request import Request
    from ..core.response import Response
    from .app import RestApi


class RestDoor:
    """A Fetcher: the API over one open environment."""

    def __init__(self, open_api: Callable[[], RestApi]) -> None:
        self._open_api = open_api
        self._api: RestApi | None = None

    async def fetch(self, request: Request) -> Response:
        if self._api is None:
            self._api = self._open_api()
        return await self._api.fetch(request)
