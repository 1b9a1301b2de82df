"""Door: `GET /cdn-cgi/metrics`, for Prometheus. As every control route, it does not answer pages of other origins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ....runtime.core.errors import BackendError
from ....runtime.core.request import wire_method
from ....runtime.core.response import Response
from ..addresses import is_of_metrics
from .metrics import Figures, process_snapshot
from .prometheus import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from ....runtime.core.host import LocalHost
    from ....runtime.core.request import Request
    from ..admin import PipelinesAdmin
    from ..ingest.idempotency import IdempotencyKeys
    from ..open_streams import OpenStreams


class MetricsEndpoint:
    """Door: every figure as text."""

    def __init__(self, host: LocalHost, admin: PipelinesAdmin, streams: OpenStreams, keys: IdempotencyKeys) -> None:
        self._host = host
        self._streams = streams
        self._keys = keys
        self._figures = Figures(admin, host.now)
        self._taking = asyncio.Lock()

    def close(self) -> None:
        self._figures.close()

    def claims(self, host: str, path: str) -> bool:
        return is_of_metrics(host, path)

    async def fetch(self, request: Request) -> Response:
        if wire_method(request) not in {"GET", "HEAD"}:
            return Response("Metrics are read with GET.\n", 405, headers={"allow": "GET, HEAD"})
        try:
            async with self._taking:  # one at a time: whoever asks often waits, the server does not
                durable = await asyncio.to_thread(self._figures.durable)
        except (OSError, BackendError) as error:
            self._host.log.error("metrics_not_read", exc_info=error)
            return Response("The figures cannot be read; the log of Edge says why.\n", 503)
        taken = durable | process_snapshot(self._streams, self._keys, self._host.process_slot)
        return Response(exposition(taken), headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})
