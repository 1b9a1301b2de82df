"""Manifests on a real engine, with functions in a folder of their own."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows import WorkflowEntry
from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.manifests.applied import AppliedManifests
from edge.bindings.workflows.workflow import Workflow
from edge.runtime.core.env import Env
from edge.wrangler_config.worker_config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The Worker's import root."""
    folder = tmp_path / "src"
    folder.mkdir()
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name, module in tuple(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def write(root: Path) -> Callable[[str, str], None]:
    """`write("media.py", source)`."""

    def write(name: str, source: str) -> None:
        (root / name).write_text(textwrap.dedent(source))

    return write


@pytest.fixture
async def serve(start: Callable[..., Any], root: Path) -> Callable[..., Any]:
    """`await serve(text, {"other": text}, **env)`: a site whose workflow "orders" is this manifest."""

    async def serve(text: str, others: dict[str, str] | None = None, **env: Any) -> Any:
        site = await start(None)
        await site.stop()  # a turn that has begun would claim the first instance for the class, which is not there
        site.live.current.env = Env(env)
        site.config = config_of(root, env)
        site.manifests = AppliedManifests(site.workflow._tools, site.runner.definitions, site.config)

        async def put(name: str, text: str) -> None:
            manifest = site.manifests.read(textwrap.dedent(text), f"{name}.yaml", name=name)
            await site.manifests.put(manifest, "demo", 0)
            (row,) = [row for row in await site.journal.workflows() if row.name == name]
            site.runner.definitions[name] = site.manifests.definition_of(row, Definition(name, ""))

        site.put = put
        for name, other in (others or {}).items():
            await put(name, other)
        await put("orders", text)
        definitions = site.runner.definitions
        site.workflow = Workflow(definitions["orders"], site.workflow._tools, live=definitions)
        site.start()
        return site

    return serve


def config_of(root: Path, env: dict[str, Any]) -> WorkerConfig:
    """A config whose main file is in `root`, and whose bindings are called as the members of `env`."""
    entries = tuple(WorkflowEntry(name, name.lower(), name) for name in env)
    return WorkerConfig(
        path=root.parent / "wrangler.jsonc",
        name="demo",
        main=root / "entry.py",
        environment=None,
        compatibility_date="2026-09-08",
        compatibility_flags=(),
        vars={},
        secret_names=frozenset(),
        bindings={"workflows": entries},
        unsupported={},
    )
