"""A Worker without workflows: nothing is opened for them until somebody makes one, here or in another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.hosts.local import LocalMachine
from edge.runtime.hosts.state_folder import prepare_state_folder
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EDGE = Path(sys.executable).parent / "edge"
ENTRY = """
from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        return event["payload"]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("hello")
"""
MANIFEST = """
kind: Workflow/v1
name: greet
steps:
  rest: {sleep: 0}
output: {said: "${params.word}"}
"""
WITHOUT_A_WORKFLOW = """
import asyncio, sys
from pathlib import Path
from edge.runtime.hosts.local import LocalMachine
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import RecordingLog

async def main():
    choice = ConfigChoice(Path("wrangler.json"))
    host = LocalMachine(Path("state"), RecordingLog())
    async with open_local_app(choice, host, load_config(choice)) as app:
        assert await app.admins["workflows"].workflows() == ()
        print(*(name for name in sys.modules if name.endswith((".engine.runner", ".sqlite_journal"))))
    await host.aclose()

asyncio.run(main())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "entry.py").write_text(ENTRY)
    (tmp_path / "wrangler.json").write_text('{"name": "shop", "main": "entry.py", "compatibility_date": "2026-09-08"}')
    return tmp_path


@asynccontextmanager
async def open_app(project: Path) -> AsyncIterator[Any]:
    choice = ConfigChoice(project / "wrangler.json")
    host = LocalMachine(prepare_state_folder(project / ".edge"), RecordingLog())
    async with open_local_app(choice, host, load_config(choice)) as app:
        yield app
    await host.aclose()


async def output_of(service: Any, workflow: str, instance_id: str) -> Any:
    async with asyncio.timeout(60):
        async for event in await service.subscribe(workflow, instance_id):
            last = event
    assert last["type"] == "workflow_completed", last
    return (await service.instance(workflow, instance_id)).output


def test_a_worker_without_workflows_neither_loads_the_engine_nor_makes_a_journal(project: Path) -> None:
    (project / "state").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_WORKFLOW], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("\n", "")
    assert not list((project / "state").rglob("*.sqlite"))


async def test_a_workflow_that_is_put_at_run_time_runs_at_once_and_after_the_next_start(project: Path) -> None:
    async with open_app(project) as app:
        service = app.admins["workflows"]
        await service.put_workflow("orders", class_name="Order", script_name="shop")
        made = await service.create("orders", {"id": "one", "params": {"n": 1}})
        assert await output_of(service, "orders", made.id) == {"n": 1}
    async with open_app(project) as app:
        service = app.admins["workflows"]
        assert [one.name for one in await service.workflows()] == ["orders"]
        assert await output_of(service, "orders", "one") == {"n": 1}


async def test_a_manifest_that_a_command_applies_runs_in_the_server_that_had_no_workflows(project: Path) -> None:
    (project / "greet.yaml").write_text(MANIFEST)

    def edge(*arguments: str) -> str:
        done = subprocess.run([EDGE, *arguments], cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async with open_app(project):
        await asyncio.to_thread(edge, "workflows", "apply", "greet.yaml")
        told = await asyncio.to_thread(edge, "workflows", "trigger", "greet", '{"word": "hi"}', "--id", "one", "--json")
        assert json.loads(told)["id"] == "one"
        await asyncio.to_thread(edge, "workflows", "instances", "tail", "greet", "one")  # until it has ended
        told = await asyncio.to_thread(edge, "workflows", "instances", "describe", "greet", "one", "--json")
        assert json.loads(told)["output"] == {"said": "hi"}
