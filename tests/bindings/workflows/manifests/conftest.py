"""Manifests on a real engine, with functions in a folder of their own."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.definition import Definition
from edge.bindings.workflows.manifests.children import Children
from edge.bindings.workflows.manifests.definitions import definition_of_manifest
from edge.bindings.workflows.manifests.read import read_manifest
from edge.bindings.workflows.workflow import Workflow

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
async def serve(start: Callable[..., Any]) -> Callable[..., Any]:
    """`await serve(steps, OTHER=manifest, **env)`: a site whose workflow "orders" is this manifest."""

    async def serve(text: str, others: dict[str, str] | None = None, **env: Any) -> Any:
        site = await start(None)
        site.live.current.env = type(site.live.current.env)(env)
        children = Children(site.runner.definitions, site.workflow._tools)

        def put(name: str, text: str) -> None:
            manifest = read_manifest(textwrap.dedent(text), name=name)
            made = definition_of_manifest(manifest, Definition(name, ""), children)
            site.runner.definitions[name] = made

        for name, other in (others or {}).items():
            put(name, other)
        put("orders", text)
        site.workflow = Workflow(site.runner.definitions["orders"], site.workflow._tools)
        return site

    return serve
