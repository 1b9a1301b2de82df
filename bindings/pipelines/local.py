"""Streams on this machine's disk. Where there are none, and never were, nothing is opened until there is one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..spec import Opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ..spec import Site
    from . import PipelineEntry

FOLDER_NAMES = ("pipelines", "streams")
"""Of the state folder: the catalogue and what delivery keeps; the logs."""
SECTIONS = ("streams", "sinks", "pipelines", "ingest")
"""Of edge.toml."""


@asynccontextmanager
async def open_binding(entries: Sequence[PipelineEntry], site: Site) -> AsyncIterator[Opened]:
    """Open what `open_pipelines` opens, raising as it does: now, or once somebody asks for streams."""
    is_declared = site.config is not None and any(site.config.settings.products.get(one) for one in SECTIONS)
    if entries or is_declared or site.worker is None or has_state(site.host.state_dir):
        from .open_pipelines import open_pipelines  # noqa: PLC0415 - costs the start of a Worker without streams 150 ms

        async with open_pipelines(entries, site) as opened:
            yield opened
        return
    from .late_pipelines import LatePipelines  # noqa: PLC0415 - as above

    late = LatePipelines(site)
    try:
        yield Opened(env={}, sources=[late], doors=late.doors, admin=late.admin)
    finally:
        await late.aclose()


def has_state(state_dir: Path) -> bool:
    """Whether there is, or was, a stream, a sink or a pipeline."""
    return any((state_dir / name).exists() for name in FOLDER_NAMES)
