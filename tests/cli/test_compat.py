"""`--compat strict` of the real `edge dev`, `edge serve` and `edge check`; without it the same Worker works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.edge_only import EdgeOnly
from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

from .conftest import EDGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]
    Edge = Callable[..., subprocess.CompletedProcess[str]]

STRICT = ("--compat", "strict")
FUNCTION = "from workers import Response\n\nasync def fetch(request, env):\n    return Response('a function')\n"
STREAMING = """from workers import Response, WorkerEntrypoint

async def rows():
    yield b"row"

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("TEXT" if request.url.endswith("/text") else rows())
"""
WORKFLOW = """from workers import Response, WorkerEntrypoint, WorkflowEntrypoint

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("charge")
        async def charge(ctx):
            return ctx["config"]["retries"]["delay"]

        delay_ms = await charge()
        return [delay_ms, await step.do("ship", lambda: "shipped")]

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        if request.method == "POST":
            return Response((await self.env.ORDERS.create({"id": name})).id)
        return Response.json(await (await self.env.ORDERS.get(name)).status())
"""
WORKFLOWS = ', "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Order"}]'
SETTINGS = """[streams.clicks]
[sinks.disk]
type = "local"
path = "out"
[sinks.table]
type = "r2"
bucket = "clicks"
[[ingest.steps]]
type = "sample"
rate = 0.5
"""


def test_dev_shows_what_to_write_and_stays_strict_through_saves(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, FUNCTION)
    server = start(project, "dev", *STRICT)
    status, page = server.ask()
    assert status == 500
    assert EdgeOnly.MODULE_HANDLER.refusal in page
    worker.entry(project, STREAMING.replace("TEXT", "one"))
    server.wait_for("reloaded files=entry.py")
    assert server.ask("/text") == (200, "one")
    worker.config(project, ', "vars": {"MODE": "x"}')
    server.wait_for("reloaded files=.*wrangler.jsonc")
    status, page = server.ask()
    assert status == 500
    assert f"UnsupportedError: {EdgeOnly.ASYNC_ITERATOR.refusal}" in page
    worker.entry(project, FUNCTION)
    server.wait_for("reload_failed serving='the last good version'")
    server.wait_for("a handler at module level works on Edge only")
    assert server.ask("/text") == (200, "one")
    assert server.stop() == 0


def test_dev_takes_the_same_worker_otherwise(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, STREAMING)
    server = start(project, "dev")
    assert server.ask() == (200, "row")
    worker.entry(project, FUNCTION)
    server.wait_for("reloaded files=entry.py")
    assert server.ask() == (200, "a function")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_does_not_start_with_what_cloudflare_would_not_load(
    edge: Edge, start: Start, project: Path, worker: Any, workers: str
) -> None:
    worker.entry(project, FUNCTION)
    found = edge("serve", "--port", "0", "--workers", workers, *STRICT, cwd=project)
    assert found.returncode == 1
    assert f"entry.py, fetch(): {EdgeOnly.MODULE_HANDLER.refusal}" in found.stderr
    assert "Ready" not in found.stdout
    assert start(project, "serve", "--workers", workers).ask() == (200, "a function")


def ended(server: Server, name: str) -> dict[str, Any]:
    assert server.ask(f"/{name}", body=b"") == (200, name)
    while (found := json.loads(server.ask(f"/{name}")[1]))["status"] in {"queued", "running", "waiting"}:
        pass
    return dict(found)


def test_workflows_of_every_process_are_strict_or_not(start: Start, project: Path, worker: Any) -> None:
    worker.config(project, WORKFLOWS)
    worker.entry(project, WORKFLOW)
    strict = start(project, "serve", "--workers", "2", *STRICT)
    assert [ended(strict, name) for name in ("one", "two", "three")] == [
        {
            "status": "errored",
            "output": None,
            "error": {"name": "UnsupportedError", "message": EdgeOnly.STEP_AS_CALL.refusal},
        }
    ] * 3
    assert strict.stop(signal.SIGTERM) == 0
    assert ended(start(project, "serve", "--workers", "2"), "four")["output"] == [10_000, "shipped"]


def test_a_retry_waits_as_long_in_dev_as_on_cloudflare(start: Start, project: Path, worker: Any) -> None:
    worker.config(project, WORKFLOWS)
    worker.entry(project, WORKFLOW.replace("await step.do(", "str(").replace(', lambda: "shipped")', ")"))
    strict = start(project, "dev", *STRICT)
    assert ended(strict, "one")["output"] == [10_000, "ship"]
    assert strict.stop() == 0
    assert ended(start(project, "dev"), "two")["output"] == [1000, "ship"]


def test_the_api_of_a_strict_server_streams(start: Start, edge: Edge, project: Path, worker: Any) -> None:
    worker.config(project, WORKFLOWS)
    worker.entry(project, WORKFLOW)
    strict = start(project, "dev", *STRICT)
    ended(strict, "one")
    token = edge("token", "create", "--permission", "All Write", cwd=project).stdout.split()[-1]
    path = f"/cdn-cgi/api/client/v4/accounts/{LOCAL_ACCOUNT_ID}/workflows/orders/instances/one/subscribe"
    asked = urllib.request.Request(strict.url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked) as events:
        assert "workflow_errored" in events.read().decode()


def test_check_tells_every_place_and_exits_1(edge: Edge, project: Path, worker: Any) -> None:
    worker.entry(project, f"{FUNCTION}\ndef env_of(env):\n    return env['X']\n")
    assert edge("check", cwd=project).returncode == 0
    found = edge("check", *STRICT, cwd=project)
    assert found.returncode == 1
    warnings, errors = found.stderr.split("✘ [ERROR] Checking entry.py:\n")
    assert errors == f"    - entry.py:3:1: {EdgeOnly.MODULE_HANDLER.note}\n"
    assert "entry.py:7:12: env is no dict" in warnings
    worker.entry(project, worker.answering("one"))
    portable = edge("check", *STRICT, cwd=project)
    assert (portable.returncode, portable.stdout) == (0, "wrangler.jsonc: no problems found.\n")


def test_check_tells_the_places_in_edge_toml(edge: Edge, project: Path) -> None:
    (project / "edge.toml").write_text(SETTINGS)
    assert edge("check", cwd=project).returncode == 0
    found = edge("check", *STRICT, cwd=project)
    assert found.returncode == 1
    told = [line.strip(" -") for line in found.stderr.splitlines() if "--compat strict" in line]
    assert told == [
        f'edge.toml:3:1: Sink type "local": {EdgeOnly.SINK_TYPE.refusal}',
        f'edge.toml:8:10: Step type "sample": {EdgeOnly.INGEST_STEP.refusal}',
    ]


@pytest.mark.parametrize("command", ["dev", "serve", "check"])
def test_its_choices_are_in_the_help_and_completed(edge: Edge, tmp_path: Path, command: str) -> None:
    assert "--compat [edge|strict]" in edge(command, "--help").stdout
    refused = edge(command, "--compat", "no")
    assert refused.returncode == 2
    assert "'no' is not one of 'edge', 'strict'" in refused.stderr
    asked = {"_EDGE_COMPLETE": "bash_complete", "COMP_WORDS": f"edge {command} --compat ", "COMP_CWORD": "3"}
    found = subprocess.run(
        [EDGE], env={**os.environ, **asked}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == ["plain,edge", "plain,strict"]
