"""The unmodified wrangler against a real `edge dev`: what its commands print. Needs npx."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.wrangler_config.worker_config import LOCAL_ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Wrangler = Callable[..., str]

pytestmark = pytest.mark.oracle

WRANGLER = "wrangler@4.86.0"
SECONDS_MAX = 120
EDGE = Path(sys.executable).parent / "edge"
ENTRY = """
from workers import WorkflowEntrypoint

async def fetch(request):
    pass

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        @step.do("price")
        async def price():
            return {"eur": event["payload"].get("eur", 5)}

        paid = await price()
        approval = await step.wait_for_event("approval", "approved")
        return [paid, approval["payload"]]
"""
CONFIG = {
    "name": "demo",
    "main": "entry.py",
    "compatibility_flags": ["python_workers"],
    "workflows": [
        {"binding": "ORDERS", "name": "orders", "class_name": "Order"},
        {"binding": "DOOMED", "name": "doomed", "class_name": "Order"},
    ],
}
NOWHERE = "0" * 32


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "wrangler.jsonc").write_text(json.dumps(CONFIG))
    (folder / "entry.py").write_text(ENTRY)
    return folder


@pytest.fixture(scope="module")
def url(project: Path) -> Iterator[str]:
    """Where an `edge dev` answers."""
    server = subprocess.Popen(
        [EDGE, "dev", "--port", "0"], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watchdog = threading.Timer(SECONDS_MAX * 12, server.kill)
    watchdog.start()
    assert server.stdout is not None
    url = next(found[1] for line in server.stdout if (found := re.match(r"Ready on (http://\S+)$", line)))
    draining = threading.Thread(target=server.stdout.read, daemon=True)
    draining.start()
    yield url
    watchdog.cancel()
    server.terminate()
    server.wait(SECONDS_MAX)
    draining.join()
    server.stdout.close()


@pytest.fixture(scope="module")
def wrangler(project: Path, url: str) -> Wrangler:
    """Run wrangler, pointed at the server, to its end; what it printed."""
    create = [EDGE, "token", "create", "--permission", "All Write"]
    token = subprocess.run(create, cwd=project, capture_output=True, text=True, check=True).stdout.strip()
    environment = {
        **os.environ,
        "CI": "1",
        "NO_COLOR": "1",
        "FORCE_COLOR": "0",
        "WRANGLER_SEND_METRICS": "false",
        "WRANGLER_HIDE_BANNER": "true",
        "CLOUDFLARE_API_BASE_URL": f"{url}/cdn-cgi/api/client/v4",
        "CLOUDFLARE_API_TOKEN": token,
        "CLOUDFLARE_ACCOUNT_ID": LOCAL_ACCOUNT_ID,
    }

    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            ["npx", "--yes", WRANGLER, *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def id_in(text: str) -> str:
    found = re.search(r"with id '([0-9a-f]{32})'", text)
    assert found, text
    return found[1]


def test_whoami_names_the_account(wrangler: Wrangler) -> None:
    told = wrangler("whoami")
    assert "Edge on this machine" in told
    assert LOCAL_ACCOUNT_ID in told


def test_a_stream_from_create_to_delete(wrangler: Wrangler, project: Path) -> None:
    fields = (
        '[{"name": "carrier", "type": "string", "required": true}, {"name": "raw", "type": "bytes", "required": false}]'
    )
    (project / "schema.json").write_text(f'{{"fields": {fields}}}')
    created = wrangler("pipelines", "streams", "create", "made", "--schema-file", "schema.json", "--no-http-auth")
    stream = id_in(created)
    assert f"/cdn-cgi/ingest/{stream}" in created
    listed = wrangler("pipelines", "streams", "list")
    assert stream in listed
    assert "Yes (unauthenticated)" in listed
    shown = wrangler("pipelines", "streams", "get", stream)
    assert "carrier" in shown
    assert "binary" in shown
    assert "deleted" in wrangler("pipelines", "streams", "delete", stream, "-y").lower()
    assert stream not in wrangler("pipelines", "streams", "list")
    assert "[code: 1016]" in wrangler("pipelines", "streams", "get", NOWHERE, fails=True)


def test_a_sink_from_create_to_delete(wrangler: Wrangler) -> None:
    keys = ["--access-key-id", "planted-id", "--secret-access-key", "planted-secret"]
    sink = id_in(wrangler("pipelines", "sinks", "create", "made", "--type", "r2", "--bucket", "flights", *keys))
    catalog = ["--namespace", "ns", "--table", "t", "--catalog-token", "planted-token"]
    table = id_in(
        wrangler("pipelines", "sinks", "create", "ice", "--type", "r2-data-catalog", "--bucket", "flights", *catalog)
    )
    listed = wrangler("pipelines", "sinks", "list")
    assert sink in listed
    assert "ns.t" in listed
    shown = wrangler("pipelines", "sinks", "get", sink) + wrangler("pipelines", "sinks", "get", table, "--json")
    assert "flights" in shown
    assert "300s" in shown
    assert "planted" not in shown + listed
    for one in (sink, table):
        assert "deleted" in wrangler("pipelines", "sinks", "delete", one, "-y").lower()
    assert "[code: 1015]" in wrangler("pipelines", "sinks", "get", sink, fails=True)


def test_a_pipeline_from_create_to_delete(wrangler: Wrangler) -> None:
    stream = id_in(wrangler("pipelines", "streams", "create", "flights"))
    keys = ["--access-key-id", "a", "--secret-access-key", "b"]
    wrangler("pipelines", "sinks", "create", "far", "--type", "r2", "--bucket", "flights", *keys)
    created = wrangler("pipelines", "create", "p", "--sql", "INSERT INTO far SELECT * FROM flights")
    assert "SQL validated successfully. References tables: flights, far" in created
    pipeline = id_in(created)
    assert pipeline in wrangler("pipelines", "list")
    shown = wrangler("pipelines", "get", pipeline)
    assert "INSERT INTO far SELECT * FROM flights" in shown
    assert stream in shown
    assert "[code: 1030]" in wrangler("pipelines", "streams", "delete", stream, "-y", fails=True)
    assert "[code: 1014]" in wrangler("pipelines", "create", "q", "--sql", "INSERT INTO no SELECT 1 FROM a", fails=True)
    assert "[code: 1001]" in wrangler("pipelines", "create", "q", "--sql", "DROP TABLE flights", fails=True)
    assert "[code: 1000]" in wrangler("pipelines", "get", NOWHERE, fails=True)
    assert "deleted" in wrangler("pipelines", "delete", pipeline, "-y").lower()
    assert pipeline not in wrangler("pipelines", "list")


def shown(text: str) -> str:
    """Without the icons, and blanks as one."""
    return " ".join(text.split())


def until(wrangler: Wrangler, *arguments: str, says: str) -> str:
    """What a command prints, once it says something: what another one began takes a moment."""
    for _ in range(10):
        if says in (told := wrangler(*arguments)):
            return shown(told)
    raise AssertionError(told)


@pytest.mark.parametrize("where", ["account", "local"])
def test_a_workflow_from_trigger_to_delete(wrangler: Wrangler, url: str, where: str) -> None:
    local = ["--local", "--port", url.rpartition(":")[2]] if where == "local" else []

    def workflows(*arguments: str, fails: bool = False) -> str:
        return wrangler("workflows", *arguments, *local, fails=fails)

    def instance(action: str, *arguments: str) -> str:
        return workflows("instances", action, "orders", *arguments)

    one, other = f"{where}-1", f"{where}-2"
    assert "Order" in workflows("list")
    told = shown(workflows("describe", "orders"))
    assert "Script Name: demo" in told
    assert "Class Name: Order" in told
    assert one in workflows("trigger", "orders", '{"eur": 7}', "--id", one)
    assert other in workflows("trigger", "orders", "--id", other)
    listed = instance("list")
    assert one in listed
    assert other in listed
    assert one in instance("list", "--per-page", "1", "--page", "2")
    assert "No instances found on page 9" in instance("list", "--page", "9")
    describe = ["workflows", "instances", "describe", "orders", one, *local]
    told = until(wrangler, *describe, says="Waiting")
    for text in ("price-1", "Success", "eur", "approval-1", "Waiting for event"):
        assert text in told
    assert other in shown(instance("describe", "latest"))
    assert "paused" in instance("pause", one)
    assert one in instance("list", "--status", "paused")
    assert "resumed" in instance("resume", one)
    assert "sent" in instance("send-event", one, "--type", "approved", "--payload", '{"by": "ada"}')
    assert "ada" in until(wrangler, *describe, says="Completed")
    assert "restarted" in instance("restart", one)
    assert "terminated" in instance("terminate", "latest")
    assert other in instance("list", "--status", "terminated")
    if where == "local":
        assert "instances removed successfully" in workflows("delete", "orders")
        assert "There are no instances" in instance("list")


def test_a_workflow_is_terminated_and_deleted(wrangler: Wrangler) -> None:
    wrangler("workflows", "trigger", "doomed", "--id", "a")
    assert "has been started" in wrangler("workflows", "instances", "terminate-all", "doomed")
    until(wrangler, "workflows", "instances", "describe", "doomed", "a", says="Terminated")
    assert "[code: 10401]" in wrangler("workflows", "instances", "terminate", "doomed", "a", fails=True)
    assert "[code: 10405]" in wrangler("workflows", "trigger", "doomed", "--id", "a", fails=True)
    assert "removed successfully" in wrangler("workflows", "delete", "doomed")
    assert "[code: 10200]" in wrangler("workflows", "describe", "doomed", fails=True)
