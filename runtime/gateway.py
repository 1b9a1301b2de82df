"""Host and path -> which Fetcher: a binding's door, Edge's reserved paths, or the user's Worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core.response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bindings.spec import Door
    from .core.request import Request
    from .core.worker import Fetcher

RESERVED_PATH = "/cdn-cgi"
"""Edge's own, as on Cloudflare: a Worker never sees it."""


class Gateway:
    """A Fetcher over all others. `doors` changes when a reload opens other bindings."""

    def __init__(self, worker: Fetcher) -> None:
        self._worker = worker
        self.doors: Sequence[Door] = ()

    async def fetch(self, request: Request) -> Response:
        url = request.url
        host_at = url.find("//") + 2
        path_at = url.find("/", host_at)
        if self.doors:
            host, path = url[host_at:path_at], url[path_at:].partition("?")[0]
            for door in self.doors:
                if door.claims(host, path):
                    return await door.fetch(request)
        if url.startswith(RESERVED_PATH, path_at) and url[path_at + len(RESERVED_PATH) : path_at + 9] in {"", "/", "?"}:
            return Response(f"Nothing is served here: {RESERVED_PATH}/ is reserved for Edge.\n", status=404)
        return await self._worker.fetch(request)
