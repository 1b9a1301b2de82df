"""What is told of one workflow: its settings, its versions, and how its instances are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from .._shared.cron import parse_cron
from .answers import ScheduleTime, WorkflowDetail, workflow_id
from .journal.records import Version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .journal.records import WorkflowRow
    from .registry import Registry
    from .workflow import WorkflowTools


async def workflow_detail(
    row: WorkflowRow, tools: WorkflowTools, registry: Registry, *, is_terminating_all: bool
) -> WorkflowDetail:
    """A workflow with its settings, defaults included, and figures of its instances."""
    journal = tools.journal
    definition = registry.definition_of(row)
    return WorkflowDetail(
        id=workflow_id(row.name),
        name=row.name,
        class_name=row.class_name,
        script_name=row.script_name,
        version=tools.version_of(definition).id or (await versions_of(row, tools, registry))[0].id,
        created_ms=row.created_ms,
        modified_ms=row.modified_ms,
        triggered_ms=await journal.last_created_ms(row.name),
        counts=await journal.counts(row.name),
        schedules=[ScheduleTime(cron, parse_cron(cron).next_ms(tools.now_ms())) for cron in row.schedules],
        steps_max=definition.steps_max,
        concurrency_max=definition.concurrency_max,
        success_retention_ms=definition.success_retention_ms,
        error_retention_ms=definition.error_retention_ms,
        is_terminating_all=is_terminating_all,
        notes=registry.notes(row),
    )


async def versions_of(row: WorkflowRow, tools: WorkflowTools, registry: Registry) -> Sequence[Version]:
    """Those that the journal knows, newest first; before them what is loaded now and did not run yet.

    There is one always: clients ask for the newest. While no code was loaded, one stands for the class.
    """
    known = await tools.journal.versions(row.name)
    loaded = tools.version_of(registry.definition_of(row))
    if known and loaded.id in {"", *(version.id for version in known)}:
        return known
    version_id = loaded.id or str(uuid5(NAMESPACE_URL, f"edge:workflow:{row.name}:{row.class_name}"))
    newest = Version(version_id, row.name, row.class_name, "python", loaded.code_hash, created_ms=row.modified_ms)
    return [newest, *known]
