"""docs/workflows.md, executed: its Worker is served, its commands run in order beside it, its test is run by pytest."""

from __future__ import annotations

import faulthandler
import os
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.engine.loaded_code import MISSING_SECONDS
from edge.bindings.workflows.engine.retries import read_config
from edge.bindings.workflows.engine_settings import EngineSettings
from edge.bindings.workflows.journal.history import TYPES
from edge.runtime.testing.project import open_project

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parent.parent / "docs/workflows.md").read_text()
BIN = Path(sys.executable).parent
EDGE = BIN / "edge"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def block(language: str, containing: str) -> str:
    (found,) = [text for text in blocks(language) if containing in text]
    return str(found)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The page's files where it says they are."""
    (tmp_path / "wrangler.jsonc").write_text(block("jsonc", '"main"'))
    (tmp_path / "entry.py").write_text(block("python", "class Default"))
    (tmp_path / "media.py").write_text(block("python", "def probe"))
    (tmp_path / "film.yaml").write_text(block("yaml", "kind: Workflow/v1"))
    return tmp_path


GRPC_PORT = "50051"
"""On the page."""


@pytest.fixture
def grpc_port(project: Path) -> str:
    """A free one, in edge.toml in place of the page's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    (project / "edge.toml").write_text(block("toml", "[grpc]").replace(GRPC_PORT, port))
    return port


@pytest.fixture
def served(project: Path, grpc_port: str) -> Iterator[str]:
    """`edge dev` on the project: its URL."""
    child = subprocess.Popen(
        [EDGE, "dev", "--port", "0"], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert child.stdout is not None
    told = ""
    while not (ready := re.search(r"Ready on (http://[\w.:]+)", told)):
        line = child.stdout.readline()
        assert line, told
        told += line
    yield ready[1]
    child.terminate()
    child.communicate()
    assert child.returncode == 0


def test_its_commands_do_what_it_says(project: Path, served: str, grpc_port: str) -> None:
    faulthandler.cancel_dump_traceback_later()  # pytest's guard would end the whole run after two minutes
    shell = "\n".join(blocks("sh")).replace("http://127.0.0.1:8787", served)
    clients = block("python", "from cloudflare import"), block("python", "import grpc").replace(GRPC_PORT, grpc_port)
    run = "".join(f"python3 - <<'END'\n{client}END\n" for client in clients)
    script = f"set -euo pipefail\n{shell}\n{run}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=project,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=600,  # only a guard: on a busy machine it takes minutes
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    for line in (
        r"Status +(running|waiting)",
        r"workflow_completed +output \{\"shipped\":\"lamp for 1900 cents\",\"by\":\"ada\"\}",
        r"cup-1 +.* waiting$",
        r'"type":"workflow_errored",.*"message":"refused"',
        r'"success":true,.*"trigger_source":"api"',
        r"^id: \d+\ndata: \{.*\"type\":\"workflow_completed\"",
        r"^1 +probe +\./media\.py:probe$",
        r"workflow_completed +output \{\"url\":\"films/heat-360\.mp4,films/heat-720\.mp4\"\}",
        r"^(queued|running|waiting|complete)$",
        r"^1 workflow_queued \{\"instanceId\":",
        r"^\d+ workflow_completed \{.*\"output\":\{\"shipped\":\"pot for 800 cents\",\"by\":\"eve\"\}",
    ):
        assert re.search(line, done.stdout, re.MULTILINE), f"{line} is not in\n{done.stdout}"
    assert (project / "film.svg").read_text().startswith("<svg")


async def test_its_calls_are_those_of_the_binding(project: Path, tmp_path: Path) -> None:
    body = textwrap.indent(block("python", "env.ORDERS.create_batch"), "    ")
    source = f"async def page(env):\n{body}\n    return instance, several, shown"
    names: dict[str, Any] = {}
    exec(source, names)
    async with open_project(project / "wrangler.jsonc", state=tmp_path / "state") as opened:
        instance, several, shown = await names["page"](opened.env)
        assert (instance.id, len(several), shown["output"]) == ("lamp-1", 3, None)
        await opened.workflows.advance("1 second")
        assert (await instance.status())["output"] == {"shipped": "lamp for 1900 cents", "by": "ada"}


async def test_its_rollbacks_run_last_step_first(project: Path, tmp_path: Path) -> None:
    run = textwrap.indent(block("python", "rollback=refund"), "    ")
    (project / "entry.py").write_text(f"""
from workers import WorkflowEntrypoint

undone = []

def charge(): return 5
def ship(): raise ValueError("no van")
def refund(undoing): undone.append((undoing["stepName"], undoing["output"]))
def call_back(undoing): undone.append((undoing["stepName"], undoing["output"]))

class Order(WorkflowEntrypoint):
{run}

class Default(WorkflowEntrypoint):
    pass
""")
    async with open_project(project / "wrangler.jsonc", state=tmp_path / "state") as opened:
        async with opened.workflows.introspect_workflow_instance(opened.env.ORDERS, "a") as order:
            await order.modify(lambda m: m.disable_retry_delays())
            await opened.env.ORDERS.create(id="a")
            assert await order.get_error() == {"name": "ValueError", "message": "no van"}
        import entry

        assert entry.undone == [("ship-1", None), ("charge-1", 5)]


def test_its_config_is_the_default() -> None:
    names: dict[str, Any] = {}
    exec(block("python", "config = {"), names)
    given, default = read_config("x", names["config"]), read_config("x", {})
    assert (given.limit, given.delay, given.backoff, given.timeout_ms) == (
        default.limit, default.delay, default.backoff, default.timeout_ms
    )  # fmt: skip


def test_it_says_how_long_instances_keep_their_status_without_their_class() -> None:
    assert f"for {MISSING_SECONDS:g} s its instances keep the status they have" in PAGE


def test_its_test_passes(project: Path) -> None:
    (project / "test_page.py").write_text(block("python", "async def test_"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "edge", "-p", "asyncio", "-o", "asyncio_mode=auto", "-c", os.devnull,
         "--rootdir", ".", "test_page.py"],
        cwd=project, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_settings_and_schedules_have_no_problem(project: Path) -> None:
    settings = block("toml", "[workflow_engine]")
    (project / "edge.toml").write_text(settings + '[workflows.film]\nmanifest = "film.yaml"\nbinding = "FILM"\n')
    fragment = block("jsonc", '"schedules"').strip()
    config = (project / "wrangler.jsonc").read_text()
    (project / "wrangler.jsonc").write_text(re.sub(r'"workflows": .*\]', lambda _: fragment, config))
    checked = subprocess.run([EDGE, "check"], cwd=project, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    named = set(re.findall(r"^(\w+) =", settings, re.MULTILINE))
    assert named == set(EngineSettings.__dataclass_fields__)


def test_every_event_has_its_row() -> None:
    """A row writes the first name in full, and of the others what is different."""
    table = PAGE.partition("| event | when |")[2].partition("\n\n")[0]
    told: set[str] = set()
    for row in table.splitlines():
        family, starts = "", []
        for word in re.findall(r"`(\w+)`", row.partition("|")[2].partition("|")[0]):
            if word.endswith("_"):
                starts.append(word)
            elif word.startswith("_"):
                told.add(family + word)
            elif starts:
                told |= {start + word for start in starts}
            else:
                family = word.partition("_")[0]
                told.add(word)
    assert told == TYPES
