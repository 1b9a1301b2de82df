"""From the log through SQL to a server on a socket, by processes that the server kills between its work and its
answer: what each sink promises holds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from edge.bindings.pipelines.delivery.store import DeliveryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHILD = Path(__file__).with_name("delivering.py")
COUNT = 200
CHUNK_ROWS = 40


class Target:
    """An Elasticsearch index or a webhook's receiver, which kills its client after the work of some requests."""

    def __init__(self) -> None:
        self.children: list[asyncio.subprocess.Process] = []
        self.killing: set[int] = set()
        self.request_count = 0
        self.documents: dict[str, int] = {}
        self.received: Counter[int] = Counter()
        self.keys: Counter[str] = Counter()
        self.is_open = True

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.is_open:
            return web.json_response({"error": "expired"}, status=401)
        lines = [json.loads(line) for line in body.splitlines()]
        if request.path == "/_bulk":
            answer = {"items": [{"create": self._create(*pair)} for pair in zip(lines[::2], lines[1::2], strict=True)]}
        else:
            self.received.update(line["n"] for line in lines)
            self.keys[request.headers["idempotency-key"]] += 1
            answer = {}
        self.request_count += 1
        if self.request_count in self.killing:
            self.children[-1].kill()
        return web.json_response(answer)

    def _create(self, action: dict[str, Any], document: dict[str, int]) -> dict[str, int]:
        name = action["create"]["_id"]
        if name in self.documents:
            return {"status": 409}
        self.documents[name] = document["n"]
        return {"status": 201}


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    yield target
    for child in target.children:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.fixture
async def start(target: Target, serve: Any, tmp_path: Path) -> Any:
    """Start a process that delivers to `target` with a sink of this type."""
    url = await serve(target.answer)
    configs = {
        "elasticsearch": {"url": url, "index": "all", "allow_private_network": True, "chunk_bytes": 1500},
        "webhook": {"url": url, "allow_private_network": True, "chunk_rows": CHUNK_ROWS},
    }

    async def run(kind: str, *control: str) -> asyncio.subprocess.Process:
        told = [str(CHILD), str(tmp_path), kind, json.dumps(configs[kind]), *control]
        child = await asyncio.create_subprocess_exec(sys.executable, *told)
        target.children.append(child)
        return child

    return run


async def to_the_end(start: Any, target: Target, kind: str, *control: str) -> int:
    """Start processes until one ends by itself; gives how many were killed."""
    while (status := await (await start(kind, *control)).wait()) != 0:
        assert status == -9, "a process ends well or is killed"
    return len(target.children) - 1


async def test_documents_are_there_once_although_processes_were_killed(start: Any, target: Target) -> None:
    target.killing = {1, 3}
    assert await to_the_end(start, target, "elasticsearch") == 2
    assert sorted(target.documents.values()) == list(range(COUNT))


async def test_random_ids_leave_documents_twice(start: Any, target: Target) -> None:
    """The control of the test above."""
    target.killing = {1}
    await to_the_end(start, target, "elasticsearch", "random ids")
    assert sorted(target.documents.values()) != list(range(COUNT))


async def test_a_webhook_gets_every_row_and_one_chunk_again_after_a_kill(start: Any, target: Target) -> None:
    target.killing = {3}
    assert await to_the_end(start, target, "webhook") == 1
    assert sorted(target.received) == list(range(COUNT))
    assert sum(target.received.values()) == COUNT + CHUNK_ROWS
    assert sorted(target.keys.values()) == [1, 1, 1, 1, 2], "the repeat has the key of the first"


async def test_expired_credentials_show_in_the_status_and_it_heals_by_itself(
    start: Any, target: Target, tmp_path: Path
) -> None:
    target.is_open = False
    child = await start("elasticsearch")
    with closing(DeliveryStore(tmp_path / "state")) as store:
        while not (failures := [one.failure for one in store.inserts() if one.failure]):
            assert child.returncode is None
            await asyncio.sleep(0.01)
        assert "answered 401" in failures[0]
        assert failures[0].endswith("Check the sink's credentials.")
        target.is_open = True
        assert await child.wait() == 0
        assert sorted(target.documents.values()) == list(range(COUNT))
        assert [one.failure for one in store.inserts()] == [""]
