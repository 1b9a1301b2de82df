"""Host and path -> which Fetcher: a binding's door, the REST API, or the user's Worker.

Doors are asked only for what no Worker could be meant by: the reserved path, and names under `.localhost`. Everything
else pays for two looks at its URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core.context import current_invocation
from .core.reserved import API_PATH, OWN_HOSTS_END, RESERVED_PATH, explorer_path_of, is_api_host, is_below
from .core.response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bindings.spec import Door
    from .core.request import Request
    from .core.worker import Fetcher


class Gateway:
    """A Fetcher over all others. `doors` and `api` change when a reload opens other bindings."""

    def __init__(self, worker: Fetcher) -> None:
        self._worker = worker
        self.doors: Sequence[Door] = ()
        self.api: Fetcher | None = None
        """The REST API; None where there is none."""

    async def fetch(self, request: Request) -> Response:
        url = request.url
        host_at = url.find("//") + 2
        path_at = url.find("/", host_at)
        if url.startswith(RESERVED_PATH, path_at) or url.find(OWN_HOSTS_END, host_at, path_at) > 0:
            current_invocation.set(None)  # that of the Worker, which this connection called before, is not theirs
            return await self._fetcher_of(url[host_at:path_at], url[path_at:].partition("?")[0]).fetch(request)
        return await self._worker.fetch(request)

    def _fetcher_of(self, host: str, path: str) -> Fetcher:
        for door in self.doors:
            if door.claims(host, path):
                return door
        if self.api is not None and (
            is_api_host(host) or is_below(path, API_PATH) or explorer_path_of(path) is not None
        ):
            return self.api
        return _NOTHING if is_below(path, RESERVED_PATH) else self._worker


class _Nothing:
    async def fetch(self, _request: Request) -> Response:
        return Response(f"Nothing is served here: {RESERVED_PATH}/ is reserved for Edge.\n", status=404)


_NOTHING = _Nothing()
