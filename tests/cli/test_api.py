"""The REST API of `edge dev`: loaded by the first call, which is told how clients are pointed here."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]
    Edge = Callable[..., subprocess.CompletedProcess[str]]

ACCOUNT = "c" * 32


def test_the_first_call_is_told_how_to_point_clients_here_and_the_lines_are_true(
    start: Start, edge: Edge, project: Path, worker: Any
) -> None:
    worker.config(project, f', "account_id": "{ACCOUNT}"')
    server = start(project, "dev")
    assert not any("CLOUDFLARE" in line for line in server.lines)
    assert json.loads(server.ask("/cdn-cgi/api/client/v4/user")[1])["errors"][0]["code"] == 9106
    base = server.wait_for(r"CLOUDFLARE_BASE_URL=(\S+)$")
    account = server.wait_for(r"CLOUDFLARE_ACCOUNT_ID=(\S+)$")
    command = server.wait_for(r"CLOUDFLARE_API_TOKEN=\$\(edge (.*)\)$")
    token = edge(*shlex.split(command), cwd=project)
    request = urllib.request.Request(
        f"{base}/accounts/{account}", headers={"authorization": f"Bearer {token.stdout.strip()}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["result"]["id"] == ACCOUNT
    server.ask("/cdn-cgi/api/client/v4/user")
    server.stop()
    assert sum("CLOUDFLARE_ACCOUNT_ID" in line for line in server.lines) == 1


def test_opening_a_worker_loads_nothing_of_the_api(project: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from edge.runtime.serve import ConfigChoice, load_config, open_local_app
from edge.runtime.testing.fake_host import FakeHost

async def main():
    choice = ConfigChoice(Path("wrangler.jsonc").absolute())
    async with open_local_app(choice, FakeHost(Path.cwd()), load_config(choice)):
        print(*(name for name in sys.modules if name.startswith(("edge.", "jwt", "pyarrow", "datafusion"))))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "edge.bindings.pipelines.local" in loaded  # the control: the section is open, so that the API could work
    assert [name for name in loaded if name.startswith("edge.runtime.rest")] == [
        "edge.runtime.rest",
        "edge.runtime.rest.door",
    ]
    assert not {"jwt", "pyarrow", "datafusion", "edge.bindings._shared.rest", "edge.bindings.pipelines.rest"} & {
        *loaded
    }
