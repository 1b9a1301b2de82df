"""Parts of open pipelines that many Workers never need: each is loaded and made by whoever needs it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...runtime.core.host import LocalHost
    from ...runtime.core.request import Request
    from ...runtime.core.response import Response
    from ..spec import Door, Source
    from .catalogue import Catalogue

FOLLOW_SECONDS = 0.5
"""How often the catalogue is asked for the first pipeline."""
DELIVERY_FILE = "pipelines/delivery.sqlite3"
"""Below the state folder: what the runner keeps. Where it is, something was delivered, and may not be done."""


class LateRunner:
    """Source: the PipelineRunner, once there is something for it."""

    def __init__(self, host: LocalHost, catalogue: Catalogue, make: Callable[[], Source]) -> None:
        self._host = host
        self._catalogue = catalogue
        self._make = make

    async def run(self) -> None:
        while not self._is_needed():
            await self._host.sleep(FOLLOW_SECONDS)
        await self._make().run()

    def _is_needed(self) -> bool:
        """True too early does no harm: the runner itself waits until there is something to do."""
        has_checked = any(stream.schema is not None for stream in self._catalogue.streams())
        return bool(has_checked or self._catalogue.pipelines() or (self._host.state_dir / DELIVERY_FILE).exists())


class DoorOnDemand:
    """A door by its address, made by its first request."""

    def __init__(self, claims: Callable[[str, str], bool], make: Callable[[], Door]) -> None:
        self.claims = claims
        self._make = make
        self._door: Door | None = None

    async def fetch(self, request: Request) -> Response:
        if self._door is None:
            self._door = self._make()
        return await self._door.fetch(request)
