"""How many instances may be created, where edge.toml sets a limit.

Source: spec "Workflows", 6: Cloudflare limits creations per second, and how many instances wait to begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import WorkflowError
from .journal.records import Status

if TYPE_CHECKING:
    from ...runtime.core.host import Host
    from .definition import Definition
    from .journal.journal import Journal


BATCH_COUNT_MAX = 100
"""Instances in one call. Source: spec "Workflows", 2."""


class Admission:
    """Of one process: a second's creations are counted here, what is queued is counted in the journal."""

    def __init__(self, journal: Journal, host: Host) -> None:
        self._journal = journal
        self._host = host
        self._left: dict[str, tuple[float, float]] = {}

    async def admit(self, definition: Definition, count: int) -> None:
        """Let `count` instances be created.

        Raises:
            WorkflowError: they are too many.
        """
        self._admit_rate(definition, count)
        limit = definition.queued_count_max
        if limit is None:
            return
        queued_count = (await self._journal.counts(definition.name)).get(Status.QUEUED, 0)
        if queued_count + count > limit:
            text = (
                f'Workflow "{definition.name}" has {queued_count:,} instances that have not begun, and may have '
                f"{limit:,}. Create more when some have begun, or raise workflow_engine.queued_count_max."
            )
            raise WorkflowError("workflow.queue_full", text)

    def _admit_rate(self, definition: Definition, count: int) -> None:
        """A bucket that holds a second's creations, a batch at least, and fills evenly."""
        rate = definition.created_per_second_max
        if rate is None:
            return
        now = self._host.now()
        most = float(max(rate, BATCH_COUNT_MAX))
        left, at = self._left.get(definition.name, (most, now))
        left = min(left + max(now - at, 0.0) * rate, most)
        if count > left:
            text = (
                f'Workflow "{definition.name}" may create {rate:,} instances per second. Create this one a second '
                f"later, or raise workflow_engine.created_per_second_max."
            )
            raise WorkflowError("workflow.rate_limited", text)
        self._left[definition.name] = (left - count, now)
