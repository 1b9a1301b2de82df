"""Pipelines of a Worker that has none: they open when the first is made, over the API, by a command, or by its door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BackendError
from ...runtime.core.response import Response
from .._shared.late import LateOpening
from .addresses import is_of_events, is_of_metrics, is_of_otlp, is_of_stream
from .local import has_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ...runtime.core.host import LocalHost
    from ...runtime.core.request import Request
    from ..spec import Opened, Site
    from .admin import PipelinesAdmin

LOOK_SECONDS = 0.5
"""How often it is asked whether another process has made something; a running server follows the catalogue so, too."""
RETRY_AFTER_SECONDS = 1
_CLAIMS = (is_of_stream, is_of_events, is_of_otlp, is_of_metrics)
"""Of the doors that `open_pipelines` yields, in its order."""


class LatePipelines:
    """Source, and what stands for the doors and the PipelinesAdmin until they are needed."""

    def __init__(self, site: Site) -> None:
        self._host: LocalHost = site.host
        self._late = LateOpening(site.host, lambda: _opening(site), name="late_pipelines")
        self.doors = tuple(LateDoor(self._late, self._host, number) for number in range(len(_CLAIMS)))
        self.admin = LateAdmin(self._host.state_dir)

    async def run(self) -> None:
        """Wait until there is a stream, made here or by another process; then do the background work."""
        while not (self._late.has_begun or has_state(self._host.state_dir)):
            await self._host.sleep(LOOK_SECONDS)
        await self._late.run_sources()

    async def aclose(self) -> None:
        await self._late.aclose()
        self.admin.close()


class LateDoor:
    """A door by its address: its first request opens everything."""

    def __init__(self, late: LateOpening, host: LocalHost, number: int) -> None:
        self.claims: Callable[[str, str], bool] = _CLAIMS[number]
        self._late = late
        self._host = host
        self._number = number

    async def fetch(self, request: Request) -> Response:
        try:
            opened = await self._late.opened()
        except (BackendError, OSError) as error:
            self._host.log.error("pipelines_not_opened", exc_info=error)
            text = "The streams of this server cannot be opened; the log of Edge says why.\n"
            return Response(text, 503, headers={"retry-after": str(RETRY_AFTER_SECONDS)})
        return await opened.doors[self._number].fetch(request)


class LateAdmin:
    """Stands for the PipelinesAdmin: the first look at it loads what it is made of."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._admin: PipelinesAdmin | None = None

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()

    def __getattr__(self, name: str) -> Any:
        if self._admin is None:
            from .admin import PipelinesAdmin  # noqa: PLC0415 - what this class is there to delay

            self._admin = PipelinesAdmin.of(self._state_dir)
        return getattr(self._admin, name)


def _opening(site: Site) -> AbstractAsyncContextManager[Opened]:
    from .open_pipelines import open_pipelines  # noqa: PLC0415 - as above

    return open_pipelines((), site)
