"""A small project on disk, and the kit that opens it."""

from __future__ import annotations

import json
import textwrap
from contextlib import AsyncExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.testing.project import ProjectUnderTest, open_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "name": "demo",
    "main": "src/entry.py",
    "compatibility_date": "2026-09-08",
    "compatibility_flags": ["python_workers"],
    "vars": {"PRICE": 5},
    "kv_namespaces": [{"binding": "KV", "id": "kv"}],
    "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}],
}


@pytest.fixture
def write_project() -> Callable[..., Path]:
    """`write_project(folder, entry)`: a project with this main file; its wrangler file."""

    def write_project(folder: Path, entry: str, **config: Any) -> Path:
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "entry.py").write_text(textwrap.dedent(entry))
        (folder / "wrangler.jsonc").write_text(json.dumps({**CONFIG, **config}))
        return folder / "wrangler.jsonc"

    return write_project


@pytest.fixture
async def opened(tmp_path: Path, write_project: Callable[..., Path]) -> AsyncIterator[Callable[..., Any]]:
    """`await opened(entry)`: a project with this main file, until the next one."""
    numbers = count(1)
    async with AsyncExitStack() as stack:

        async def opened(entry: str, *, vars: Any = None, replay: Any = None, **config: Any) -> ProjectUnderTest:  # noqa: A002
            await stack.aclose()  # one at a time
            folder = tmp_path / str(next(numbers))
            path = write_project(folder, entry, **config)
            return await stack.enter_async_context(open_project(path, state=folder, vars=vars, replay=replay))

        yield opened
