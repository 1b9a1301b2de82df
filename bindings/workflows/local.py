"""Workflows on this machine's disk. Where there are none, and never were, nothing is opened until there is one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..spec import Opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ..spec import Site
    from . import WorkflowEntry

FOLDER_NAME = "workflows"
"""Of the state folder."""
JOURNAL_FILE = f"{FOLDER_NAME}/workflows.sqlite"
DOORBELLS_NAME = "runners"
"""In that folder: the doorbells of all processes."""


@asynccontextmanager
async def open_binding(entries: Sequence[WorkflowEntry], site: Site) -> AsyncIterator[Opened]:
    """Open what `open_workflows` opens, raising as it does: now, or once somebody asks for workflows."""
    has_settings = any(site.config.settings.products.get(section) for section in ("workflows", "grpc"))
    if entries or has_settings or site.worker is None or (site.host.state_dir / JOURNAL_FILE).exists():
        from .open_workflows import open_workflows  # noqa: PLC0415 - costs the start of a Worker without workflows 50 ms

        async with open_workflows(entries, site) as opened:
            yield opened
        return
    from .late_workflows import LateWorkflows  # noqa: PLC0415 - as above

    late = LateWorkflows(site)
    try:
        yield Opened(env={}, sources=[late], admin=late)
    finally:
        await late.aclose()
