"""A Worker with a workflow in its own file, in the whole app: found, run, reloaded, started again."""

from __future__ import annotations

import asyncio
import json
import textwrap
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.request import incoming_request
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import App, ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ENTRY = """
    from workers import Response, WorkerEntrypoint, WorkflowEntrypoint
    from workers.workflows import NonRetryableError

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            @step.do("price")
            async def price():
                return self.env.PRICE

            approval = await step.wait_for_event("wait for approval", "approved")
            if approval["payload"] == "no":
                raise NonRetryableError("refused")
            return {"price": await price(), "by": approval["payload"], "code": "CODE"}

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            what, instance_id = request.url.rsplit("/", 2)[1:]
            if what == "create":
                return Response((await self.env.ORDERS.create({"id": instance_id})).id)
            instance = await self.env.ORDERS.get(instance_id)
            if what == "approve":
                await instance.send_event({"type": "approved", "payload": "me"})
            return Response.json(await instance.status())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = {
        "name": "demo",
        "main": "src/entry.py",
        "compatibility_date": "2026-09-08",
        "compatibility_flags": ["python_workers"],
        "vars": {"PRICE": 5},
        "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}],
    }
    (tmp_path / "wrangler.jsonc").write_text(json.dumps(config))
    (tmp_path / "src").mkdir()
    write_entry(tmp_path, "one")
    return tmp_path


def write_entry(folder: Path, code: str) -> Path:
    path = folder / "src" / "entry.py"
    path.write_text(textwrap.dedent(ENTRY).replace("CODE", code))
    return path


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[App]:
    choice = ConfigChoice(folder / "wrangler.jsonc")
    log = RecordingLog()
    host = LocalMachine(prepare_state_folder(folder / ".edge"), log)
    try:
        async with open_local_app(choice, host, load_config(choice), is_dev=True) as app:
            yield app
    finally:
        await host.aclose()
    assert log.events("error") == []


async def ask(app: App, path: str) -> Any:
    response = await app.fetch(incoming_request("GET", f"http://localhost/{path}", []))
    text = await response.text()
    return json.loads(text) if text.startswith("{") else text


async def reach(app: App, instance_id: str, status: str) -> Any:
    async with asyncio.timeout(60):
        while (found := await ask(app, f"status/{instance_id}"))["status"] != status:
            assert found["status"] != "errored", found
    return found.get("output")


async def test_a_workflow_survives_a_reload_and_a_new_start(folder: Path) -> None:
    async with opened(folder) as app:
        for instance_id in ("a", "b"):
            assert await ask(app, f"create/{instance_id}") == instance_id
            await reach(app, instance_id, "waiting")
        await app.reload({write_entry(folder, "two")})
        await ask(app, "approve/a")
        assert await reach(app, "a", "complete") == {"price": 5, "by": "me", "code": "two"}
    async with opened(folder) as app:
        await reach(app, "b", "waiting")
        await app.reload({folder / "wrangler.jsonc"})
        await ask(app, "approve/b")
        assert await reach(app, "b", "complete") == {"price": 5, "by": "me", "code": "two"}
