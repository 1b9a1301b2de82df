"""The examples answer the same behind every doorway, and `edge init` writes what the examples are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ("hello", "events", "counter", "orders")


async def test_hello(opened: Callable[[str], Any]) -> None:
    async with opened("hello") as ask:
        assert await ask("GET", "/") == (200, b"Hello from Edge!\n")
        assert await ask("GET", "/J%C3%BCrgen") == (200, "Hello, Jürgen!\n".encode())
        status, body = await ask("PUT", "/json")
        assert (status, json.loads(body)) == (200, {"hello": "Edge", "method": "PUT"})


async def test_events(opened: Callable[[str], Any]) -> None:
    async with opened("events") as ask:
        status, body = await ask("POST", "/", json.dumps([{"user": "ada"}, {"user": "bob"}]).encode())
        assert (status, json.loads(body)) == (202, {"kept": 2})
        assert await ask("POST", "/", b"{") == (400, b"The body is not JSON.\n")
        assert await ask("POST", "/", b"{}") == (400, b"The body is not a JSON array of events.\n")
        assert (await ask("GET", "/"))[1].startswith(b"Send events as a JSON array")


async def test_counter(opened: Callable[[str], Any]) -> None:
    async with opened("counter") as ask:
        await ask("DELETE", "/visits")
        for _ in range(2):
            await ask("POST", "/visits")
        status, body = await ask("GET", "/visits")
        assert (status, json.loads(body)) == (200, {"path": "/visits", "count": 2})
        assert await ask("DELETE", "/visits") == (204, b"")
        assert json.loads((await ask("GET", "/visits"))[1])["count"] == 0


@pytest.mark.parametrize("example", EXAMPLES)
def test_edge_init_writes_what_the_example_is(example: str) -> None:
    template = ROOT / "runtime/cli/templates" / example
    assert code_of(template) == code_of(ROOT / "handlers" / example)
    assert (template / "README.md").read_text().startswith(f"# {example}\n")


def code_of(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for pattern in ("*.py", "*.jsonc") for file in folder.glob(pattern)}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_imports_only_workers_and_the_standard_library(example: str) -> None:
    source = (ROOT / "handlers" / example / "entry.py").read_text()
    assert "from workers import" in source
    assert "edge" not in [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
