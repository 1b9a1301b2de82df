"""A manifest as the runner's Definition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....runtime.core.errors import BindingError
from .dag_run import DagRun

if TYPE_CHECKING:
    from ....runtime.core.env import Env
    from ..definition import Definition
    from ..engine.steps import WorkflowStep
    from .children import Children
    from .manifest import Manifest


def definition_of_manifest(manifest: Manifest, settings: Definition, children: Children) -> Definition:
    """`settings` has everything that a manifest does not say: limits, retention, retry delays."""

    async def run(event: dict[str, Any], step: WorkflowStep, env: Env) -> Any:
        return await DagRun(manifest, event, step, env, children).run()

    def check_params(params: object) -> None:
        schema = manifest.params
        if schema is not None and (problems := schema.problems(schema.with_defaults(params))):
            message = f'Workflow "{manifest.name}" does not take these params. {" ".join(problems)}'
            raise BindingError(message, name="TypeError", http_status=400)

    return replace(settings, name=manifest.name, run=run, version=manifest.version, check_params=check_params)
