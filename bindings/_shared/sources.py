"""Background work that goes on: a source that fails is logged and started again, later each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...runtime.core.host import Host
    from ..spec import Source

RESTART_SECONDS_MAX = 30.0


async def keep_running(source: Source, host: Host) -> None:
    """Run a source to its end; what it works on is durable, so after a failure it goes on where it was."""
    pause_s = 1.0
    while True:
        try:
            await source.run()
        except Exception as error:  # the border of a background source
            host.log.error("source_failed", source=type(source).__name__, retry_in_s=pause_s, exc_info=error)
        else:
            return
        await host.sleep(pause_s)
        pause_s = min(pause_s * 2, RESTART_SECONDS_MAX)
