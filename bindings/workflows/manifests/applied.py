"""Manifests among the workflows of the journal: put there, and made definitions of again, by every process.

The journal keeps the text of every version. An instance runs the version it was created for, whichever is the newest:
a pass that began under another one reads that from the journal.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....runtime.core.errors import BindingError
from ..errors import WorkflowError, WorkflowFatalError
from ..journal.records import Version, WorkflowRow
from ..settings import declared_manifest, surroundings
from .children import Children
from .dag_run import DagRun
from .descent import children_of, endless
from .graph import graph_json
from .manifest import NodeKind
from .node import is_yaml_file
from .problems import did_you_mean
from .read import read_manifest
from .uses import Callables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ....runtime.core.env import Env
    from ....wrangler_config.worker_config import WorkerConfig
    from ..definition import Definition
    from ..engine.steps import WorkflowStep
    from ..workflow import WorkflowTools
    from .manifest import Manifest
    from .problems import ManifestError
    from .read import Surroundings

KEPT_COUNT_MAX = 256
"""Manifests kept in memory as they were read."""


class AppliedManifests:
    """Reads, keeps and runs the manifests of one Worker."""

    def __init__(self, tools: WorkflowTools, definitions: Mapping[str, Definition], config: WorkerConfig) -> None:
        """`definitions` is the runner's, where children are found."""
        self._tools = tools
        self._definitions = definitions
        self._children = Children(definitions, tools)
        self._config = config
        self._kept: dict[tuple[str, str], Manifest] = {}

    def read(self, text: str, file: str, *, name: str | None) -> Manifest:
        """A manifest whose functions and bindings are those of this Worker.

        Raises:
            ManifestError: with every problem that was found.
            UnsupportedError: it is YAML, and PyYAML is not installed.
        """
        return read_manifest(text, file, name=name, surroundings=self._surroundings())

    def declared(self) -> list[Manifest]:
        """Those that edge.toml names; raises as `read`."""
        settings = self._config.settings.products.get("workflows", {})
        folder, around = self._config.path.parent, self._surroundings()
        return [
            declared_manifest(name, one, folder, around) for name, one in settings.items() if one.manifest is not None
        ]

    async def endless(self, manifests: Sequence[Manifest]) -> Sequence[ManifestError]:
        """What is wrong with those of them that make instances without end, with what this Worker has already."""
        rows = {row.name: row for row in await self._tools.journal.workflows() if row.script_name == self._config.name}
        found = {one.name: one for one in manifests}
        applied: dict[str, Manifest] = {}
        coming = [child for one in manifests for child in children_of(one)]
        while coming:  # only what they lead to is read
            name = coming.pop()
            row = rows.get(name)
            if name not in found and name not in applied and row is not None and row.manifest is not None:
                applied[name] = self._kept_manifest(name, row.version, row.manifest)
                coming += children_of(applied[name])
        return tuple(endless(manifests, applied.values()).values())

    async def replaced_by(self, manifest: Manifest) -> WorkflowRow | None:
        """The workflow of its name, when there is one.

        Raises:
            WorkflowError: the workflow is a class.
        """
        found = next((row for row in await self._tools.journal.workflows() if row.name == manifest.name), None)
        if found is not None and found.manifest is None:
            text = f'Workflow "{manifest.name}" is the class {found.class_name}: give the manifest another name.'
            raise WorkflowError("invalid_request", text)
        return found

    async def put(self, manifest: Manifest, script_name: str, now_ms: int) -> None:
        """Keep a manifest as the newest version of its workflow; raises as `replaced_by`."""
        name = manifest.name
        before = await self.replaced_by(manifest)
        if before is not None and (before.version, before.script_name) == (manifest.version, script_name):
            return
        language = "yaml" if is_yaml_file(manifest.file) else "json"
        version = Version(manifest.version, name, "", language, manifest.version, manifest.text)
        graph = json.dumps(graph_json(manifest), ensure_ascii=False)
        await self._tools.journal.put_version(replace(version, graph=graph, created_ms=now_ms))
        row = before or WorkflowRow(name, "", script_name, "", created_ms=now_ms)
        row = replace(row, script_name=script_name, version=manifest.version, manifest=manifest.text)
        await self._tools.journal.put_workflow(replace(row, modified_ms=now_ms))

    def definition_of(self, row: WorkflowRow, settings: Definition) -> Definition:
        """What is run for a workflow; `settings` has what no manifest says: limits, retention, retry delays."""
        assert row.manifest is not None, "asked for workflows that are manifests"
        manifest = self._kept_manifest(row.name, row.version, row.manifest)

        async def run(event: dict[str, Any], step: WorkflowStep, env: Env) -> Any:
            chosen = await self._of_version(manifest, step.instance_version)
            callables = Callables(env, folder_of(self._config))
            return await DagRun(chosen, event, step, callables, self._children).run()

        def check_params(params: object) -> None:
            schema = manifest.params
            if schema is not None and (problems := schema.problems(schema.with_defaults(params))):
                message = f'Workflow "{manifest.name}" does not take these params. {" ".join(problems)}'
                raise BindingError(message, name="TypeError", http_status=400)

        return replace(settings, run=run, version=manifest.version, check_params=check_params)

    def missing_children(self, row: WorkflowRow) -> list[str]:
        """The steps that make an instance of a workflow that is not there, a sentence each; one may come later."""
        assert row.manifest is not None, "asked for workflows that are manifests"
        return [
            f'The step "{step.name}" (line {step.place.line}) makes an instance of "{step.target}", and there is no '
            f"such workflow: it fails until one is applied.{did_you_mean(step.target, self._definitions)}"
            for step in self._kept_manifest(row.name, row.version, row.manifest).steps.values()
            if step.kind is NodeKind.CHILD and isinstance(step.target, str) and step.target not in self._definitions
        ]

    async def _of_version(self, newest: Manifest, version: str) -> Manifest:
        if version in {"", newest.version}:
            return newest
        if (kept := self._kept.get((newest.name, version))) is not None:
            return kept
        for one in await self._tools.journal.versions(newest.name):
            if one.id == version and one.manifest is not None:
                return self._kept_manifest(newest.name, version, one.manifest)
        text = (
            f'Version "{version}" of workflow "{newest.name}", which the instance began under, is not there any more.'
        )
        raise WorkflowFatalError(text)

    def _surroundings(self) -> Surroundings:
        config = self._config
        return surroundings(config.main, config.bindings, config.settings.products.get("workflows", {}))

    def _kept_manifest(self, name: str, version: str, text: str) -> Manifest:
        """As it was read when it was put: functions and bindings that are gone since are the steps' failure."""
        if (name, version) not in self._kept:
            if len(self._kept) >= KEPT_COUNT_MAX:
                self._kept.clear()
            self._kept[name, version] = read_manifest(text, _file_for(text), name=name)
        return self._kept[name, version]


def _file_for(text: str) -> str:
    """A name by which a text that was read before is read in the same grammar."""
    try:
        json.loads(text)
    except ValueError:
        return "manifest.yaml"
    return "manifest.json"


def folder_of(config: WorkerConfig) -> Path | None:
    """The Worker's import root."""
    return None if config.main is None else config.main.parent
