"""The workflows there are: those of the config, and those made at run time, which the journal keeps.

A row of the journal is what a workflow was last configured as; a Definition is what the runner does with it. Each
process makes its definitions of the rows, and looks at them again when another process rings, which may have changed
them. The config wins over what was put at run time whenever it is opened.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ...runtime.core.edge_only import EdgeOnly
from . import WorkflowEntry
from .definition import definition_of
from .durations import parse_retention_ms
from .engine.timers import now_ms
from .errors import WorkflowError
from .journal.records import WorkflowRow
from .schedules import good_schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...runtime.core.host import Host
    from ...wrangler_config.worker_config import WorkerConfig
    from .definition import Definition, WorkflowWorker
    from .journal.journal import Journal
    from .journal.records import Acted
    from .manifests.applied import AppliedManifests
    from .manifests.manifest import Manifest, ManifestSource

LOOK_SECONDS = 30.0
"""The rows are looked at at least this often: whoever changed them may have died before it rang."""


class Registry:
    """Source: keeps the definitions that a runner works by equal to the journal's rows."""

    def __init__(
        self,
        journal: Journal,
        host: Host,
        config: WorkerConfig,
        worker: WorkflowWorker | None,
        definitions: dict[str, Definition],
        *,
        manifests: AppliedManifests,
        is_dev: bool,
        on_change: Callable[[], None],
    ) -> None:
        """`definitions` is the runner's; `on_change` is called after it was changed."""
        self.script_name = config.name
        self._journal = journal
        self._host = host
        self._config = config
        self._worker = worker
        self._definitions = definitions
        self._manifests = manifests
        self._is_dev = is_dev
        self._on_change = on_change
        self._rows: dict[str, WorkflowRow] = {}
        self._declared: dict[str, str] = {}
        """Name -> class, of the config's workflows."""
        self._bell = asyncio.Event()

    async def run(self) -> None:
        looking = self._host.spawn(self._look_often(), name="workflow_registry")
        try:
            while True:
                await self._bell.wait()
                self._bell.clear()
                await self.refresh()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def look(self) -> None:
        """Somebody may have changed the rows."""
        self._bell.set()

    async def declare(self, entries: Iterable[WorkflowEntry]) -> None:
        """Put what the config says over what is there.

        Raises:
            ManifestError: a manifest that edge.toml names cannot be used.
            WorkflowError: a manifest has the name of a class that was put at run time.
        """
        declared = self._manifests.declared()
        for refusal in await self._manifests.endless(declared):  # what was applied can only be mended while this runs
            self._host.log.warning("workflow_manifests_endless", problem=refusal.report)
        for manifest in declared:
            await self._put_manifest(manifest)
        rows = {row.name: row for row in await self._journal.workflows()}
        for entry in entries:
            self._declared[entry.name] = entry.class_name
            row = self._row_of(entry)
            found = rows.get(entry.name)
            if found is not None and found.manifest is not None:
                remedy = "terminate what it began before, or delete the workflow"
                self._host.log.warning("workflow_was_a_manifest", workflow=entry.name, remedy=remedy)
            if found is None or row != replace(found, version="", created_ms=0, modified_ms=0):
                await self._put(row)
        await self.refresh()

    async def rows(self) -> list[WorkflowRow]:
        """Every workflow, newest first."""
        found = await self._journal.workflows()
        return sorted(found, key=lambda row: (-row.created_ms, row.name))

    async def require(self, name: str) -> WorkflowRow:
        """A workflow.

        Raises:
            WorkflowError: there is none of that name.
        """
        for row in await self._journal.workflows():
            if row.name == name:
                return row
        raise WorkflowError("workflow.not_found", f'There is no workflow "{name:.100}".')

    def definition_of(self, row: WorkflowRow) -> Definition:
        """What is run for a row, whether or not this process can."""
        made = definition_of(_entry_of(row), self._config, is_dev=self._is_dev)
        return made if row.manifest is None else self._manifests.definition_of(row, made)

    async def put(self, entry: WorkflowEntry) -> None:
        """Add a workflow, or change it, as if the config had this entry.

        Raises:
            WorkflowError: the entry is none that a config could have, the config has it with another class, or the
                workflow is a manifest, whose instances could not go on as a class.
            WorkflowFatalError: a retention is no duration.
        """
        for problem in entry.problems("workflow", repr(entry.name)):
            if problem.is_error or problem.field == "schedules":  # the config warns of one, and goes on without it
                raise WorkflowError("invalid_request", problem.text)
        declared = self._declared.get(entry.name, entry.class_name)
        if declared != entry.class_name:
            text = f'The config says that workflow "{entry.name}" is class "{declared}": change class_name there.'
            raise WorkflowError("invalid_request", text)
        if any(row.name == entry.name and row.manifest is not None for row in await self._journal.workflows()):
            text = f'Workflow "{entry.name}" is a manifest: give the class another name, or delete the workflow first.'
            raise WorkflowError("invalid_request", text)
        await self._put(self._row_of(entry))
        await self.refresh()

    async def apply_manifests(self, sources: Sequence[ManifestSource]) -> list[WorkflowRow]:
        """Put each manifest as the newest version of a workflow, which is made when it is not there.

        Raises:
            WorkflowError: with every problem of all of them (ManifestError where one alone has problems); nothing was
                changed.
            UnsupportedError: one is YAML, and PyYAML is not installed.
        """
        if self._config.is_strict:
            raise WorkflowError("invalid_request", EdgeOnly.MANIFEST.refusal)
        files: dict[str, str] = {}
        manifests: list[Manifest] = []
        refused: list[WorkflowError] = []
        for source in sources:
            try:
                manifest = self._manifests.read(source.text, source.file, name=source.name)
                if (other := files.setdefault(manifest.name, source.file)) != source.file:
                    text = f'{source.file} and {other} are both workflow "{manifest.name}": apply one of them.'
                    raise WorkflowError("invalid_request", text)
                await self._manifests.replaced_by(manifest)
                manifests.append(manifest)
            except WorkflowError as error:
                refused.append(error)
        refused += await self._manifests.endless(manifests)
        if len(refused) > 1:
            raise WorkflowError(refused[0].key, "\n".join(one.reason for one in refused))
        if refused:
            raise refused[0]
        for manifest in manifests:
            await self._put_manifest(manifest)
        await self.refresh()
        return [await self.require(manifest.name) for manifest in manifests]

    async def forget(self, name: str) -> Sequence[Acted]:
        """Forget a workflow with all it has; those to be told of it."""
        concerned = await self._journal.forget_workflow(name, now_ms(self._host))
        await self.refresh()
        return concerned

    async def refresh(self) -> None:
        """Take over what other callers and processes did to the rows."""
        rows = {row.name: row for row in await self._journal.workflows()}
        if rows == self._rows:
            return
        for name in self._rows.keys() - rows.keys():
            self._definitions.pop(name, None)
        for name, row in rows.items():
            if row != self._rows.get(name) and row.script_name == self.script_name and not self._is_refused(row):
                self._definitions[name] = self.definition_of(row)
        self._rows = rows
        self._on_change()

    def notes(self, row: WorkflowRow) -> Sequence[str]:
        """What keeps instances of a workflow from running, or a step from succeeding, as far as this can know it."""
        if self._is_refused(row):
            return (f"{EdgeOnly.MANIFEST.refusal} Its instances stay as they are.",)
        if row.manifest is not None and row.script_name == self.script_name:
            return self._manifests.missing_children(row)
        hindrance = self._hindrance(row)
        return () if hindrance is None else (hindrance,)

    def _is_refused(self, row: WorkflowRow) -> bool:
        """An instance of one that was applied before waits for a server that is not strict."""
        return self._config.is_strict and row.manifest is not None

    def _hindrance(self, row: WorkflowRow) -> str | None:
        if row.script_name != self.script_name:
            return (
                f'Its script "{row.script_name}" is not this Worker, "{self.script_name}": Edge cannot reach it yet, '
                f"and its instances stay queued."
            )
        if self._worker is None:
            return None
        code = self._worker.current
        if code is None:
            return "The Worker could not be loaded; instances stay queued until it is mended."
        if f"{row.class_name}.run" not in code.worker.handlers:
            return (
                f'The Worker has no "class {row.class_name}(WorkflowEntrypoint)" in its main file; '
                f"instances wait for it, and are paused when it stays away."
            )
        return None

    async def _look_often(self) -> None:
        while True:
            await self._host.sleep(LOOK_SECONDS)
            self.look()

    async def _put_manifest(self, manifest: Manifest) -> None:
        await self._manifests.put(manifest, self.script_name, now_ms(self._host))

    async def _put(self, row: WorkflowRow) -> None:
        now = now_ms(self._host)
        await self._journal.put_workflow(replace(row, created_ms=now, modified_ms=now))

    def _row_of(self, entry: WorkflowEntry) -> WorkflowRow:
        schedules = entry.schedules or ()
        retention = entry.default_retention or {}
        return WorkflowRow(
            name=entry.name,
            class_name=entry.class_name,
            script_name=entry.script_name or self.script_name,
            version="",
            steps_max=(entry.limits or {}).get("steps"),
            concurrency_max=(entry.concurrency or {}).get("limit"),
            success_retention_ms=_retention_ms(retention, "success_retention"),
            error_retention_ms=_retention_ms(retention, "error_retention"),
            schedules=good_schedules([schedules] if isinstance(schedules, str) else schedules),
        )


def _entry_of(row: WorkflowRow) -> WorkflowEntry:
    """The row as if it stood in a config."""
    retention = {"success_retention": row.success_retention_ms, "error_retention": row.error_retention_ms}
    return WorkflowEntry(
        binding="",
        name=row.name,
        class_name=row.class_name,
        limits=None if row.steps_max is None else {"steps": row.steps_max},
        concurrency=None if row.concurrency_max is None else {"limit": row.concurrency_max},
        default_retention={key: value for key, value in retention.items() if value is not None},
        schedules=row.schedules,
    )


def _retention_ms(retention: Mapping[str, object], key: str) -> int | None:
    return parse_retention_ms(retention[key], f"default_retention.{key}") if key in retention else None
