"""What `edge dev` says of workflows at its start: how long they keep what is finished, and what their schedules do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..hosts.logs import printable
from .startup import say
from .workflow_text import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...bindings.workflows.answers import ScheduleTime, WorkflowDetail

SHOWN_MAX = 20


async def say_workflows(admins: Mapping[str, Any]) -> None:
    """A line for each workflow; nothing where there are none."""
    found: Sequence[WorkflowDetail] = await admins["workflows"].workflows() if "workflows" in admins else ()
    if found:
        say("Workflows, and how long they keep finished instances:")
    width = max((len(one.name) for one in found[:SHOWN_MAX]), default=0)
    for one in sorted(found, key=lambda one: one.name)[:SHOWN_MAX]:
        say(printable(f"  {one.name:<{width}}  {_retention(one)}{_next_run(one.schedules)}"))
    if len(found) > SHOWN_MAX:
        say(f"  and {len(found) - SHOWN_MAX} more: edge workflows list")


def _retention(workflow: WorkflowDetail) -> str:
    success, error = duration_text(workflow.success_retention_ms), duration_text(workflow.error_retention_ms)
    return success if success == error else f"{success}, {error} after an error"


def _next_run(schedules: Sequence[ScheduleTime]) -> str:
    coming = [(one.next_ms, one.cron) for one in schedules if one.next_ms is not None]
    if not coming:
        return ""
    next_ms, cron = min(coming)
    return f'  next run {datetime.fromtimestamp(next_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC by "{cron}"'
