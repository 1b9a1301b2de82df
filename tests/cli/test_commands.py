"""Commands that end: init, check, build, kv, streams, complete, and how errors look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.cli.init import worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

    Edge = Callable[..., subprocess.CompletedProcess[str]]


def test_version_and_help_import_no_command(edge: Edge, tmp_path: Path) -> None:
    assert edge("--version").stdout.startswith("edge 0.")
    assert "streams" in edge("--help").stdout
    code = (
        "import sys; from edge.runtime.cli.command_line import edge\n"
        "try: edge.main(['--help'], standalone_mode=False)\n"
        "finally: print([n for n in sys.modules if n.split('.')[0] in ('aiohttp', 'pydantic', 'structlog', 'asyncio')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert shown.splitlines()[-1] == "[]"


def test_ctrl_c_while_the_commands_are_loaded_is_no_traceback(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from edge.runtime.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting()); main(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_starting_loads_no_rich(tmp_path: Path) -> None:
    """structlog would load it for tracebacks that Edge writes itself; who draws with it finds it all the same."""
    code = (
        "import sys; import edge.runtime.cli.dev, edge.runtime.cli.serve, edge.runtime.cli.workflows\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'rich']); import rich.tree"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert shown == "[]\n"


def test_an_unknown_command_or_option_is_one_message(edge: Edge) -> None:
    for arguments in (["nope"], ["dev", "--nope"], ["dev", "--port", "70000"], ["dev", "--var", "novalue"]):
        found = edge(*arguments)
        assert found.returncode == 2
        assert "Error: " in found.stderr
        assert "Traceback" not in found.stderr


def test_a_missing_config_is_one_message(edge: Edge) -> None:
    for command in (["dev"], ["serve"], ["check"], ["streams", "list"], ["kv", "key", "list", "--binding", "KV"]):
        found = edge(*command)
        assert found.returncode == 1, command
        assert "wrangler.jsonc" in found.stderr
        assert "Traceback" not in found.stderr


def test_a_failure_of_edge_itself_shows_a_traceback_only_when_asked(edge: Edge, project: Path) -> None:
    (project / "wrangler.plan.json.new").mkdir()
    found = edge("build", "--plan", cwd=project)
    assert found.returncode == 1
    assert "EDGE_DEBUG=1" in found.stderr
    assert "Traceback" not in found.stderr
    assert "Traceback" in edge("--debug", "build", "--plan", cwd=project).stderr


@pytest.mark.parametrize("template", ["hello", "events", "counter", "orders"])
def test_init_writes_a_worker_that_checks_without_a_warning(edge: Edge, tmp_path: Path, template: str) -> None:
    assert edge("init", "My Worker_1", "--template", template).returncode == 0
    folder = tmp_path / "My Worker_1"
    assert {p.name for p in folder.iterdir()} - {"services.py"} == {
        "entry.py",
        "wrangler.jsonc",
        "README.md",
        ".gitignore",
    }
    assert '"name": "my-worker-1"' in (folder / "wrangler.jsonc").read_text()
    checked = edge("check", cwd=folder)
    assert (checked.returncode, checked.stdout) == (0, "wrangler.jsonc: no problems found.\n")


def test_init_refuses_a_folder_that_holds_something_and_a_bad_name(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "full is not empty" in edge("init", "full").stderr
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["file"]
    refused = edge("init", "new", "--name", "Not_Valid")
    assert "'Not_Valid' is no name for a Worker" in refused.stderr
    assert "'not-valid'" in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("demo", "demo"),
        ("My Worker_1", "my-worker-1"),
        ("--x--", "x"),
        ("Ünï", "n"),
        ("日本", "worker"),
        ("a" * 90, "a" * 63),
    ],
)
def test_a_name_is_made_valid(folder: str, name: str) -> None:
    assert worker_name(folder) == name


def test_check_reports_config_errors_with_their_place_and_exits_1(edge: Edge, project: Path, worker: Any) -> None:
    worker.config(project, ', "vars": "no"')
    found = edge("check", cwd=project)
    assert found.returncode == 1
    assert "✘ [ERROR] Processing wrangler.jsonc configuration:" in found.stderr
    assert "wrangler.jsonc:1:" in found.stderr


def test_check_reports_a_syntax_error_with_a_caret_and_runs_nothing(edge: Edge, project: Path, worker: Any) -> None:
    worker.entry(project, "open('ran', 'w')\nx = (1,\n")
    found = edge("check", cwd=project)
    assert found.returncode == 1
    assert "entry.py cannot be parsed" in found.stderr
    assert "line 2" in found.stderr
    assert "^" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (project / "ran").exists()


def test_check_fails_where_dev_could_load_no_handler(edge: Edge, project: Path, worker: Any) -> None:
    worker.entry(project, "from workers import Response\n\nx = 1\n")
    found = edge("check", cwd=project)
    assert found.returncode == 1
    assert "✘ [ERROR] Checking entry.py:\n    - entry.py:1:1: entry.py has no handler." in found.stderr


def test_check_notes_do_not_fail(edge: Edge, project: Path, worker: Any) -> None:
    worker.entry(project, "from workers import Response\nasync def fetch(request, env): return Response('')\n")
    found = edge("check", cwd=project)
    assert found.returncode == 0
    assert "entry.py:2:1: note: a handler at module level works on Edge only." in found.stderr


def test_build_writes_the_plan_beside_the_config(edge: Edge, project: Path) -> None:
    assert edge("build", "--plan", cwd=project).returncode == 0
    assert json.loads((project / "wrangler.plan.json").read_text())["name"] == "demo"
    assert "--plan" in edge("build", cwd=project).stderr


KV = ', "kv_namespaces": [{"binding": "KV", "id": "one"}, {"binding": "TWO", "id": "a", "preview_id": "b"}]'


def test_kv_values_come_back_as_they_were_put(edge: Edge, project: Path, worker: Any) -> None:
    worker.config(project, KV)
    (project / "value.bin").write_bytes("naïve".encode())
    kv = ("kv", "key")
    put = edge(*kv, "put", "a", "--path", "value.bin", "--binding", "KV", "--metadata", '{"n": 1}', cwd=project)
    assert put.returncode == 0, put.stderr
    assert edge(*kv, "get", "a", "--binding", "KV", cwd=project).stdout == "naïve"
    assert edge(*kv, "get", "a", "--namespace-id", "one", "--text", cwd=project).stdout == "naïve\n"
    assert edge(*kv, "put", "b", "x", "--binding", "KV", "--ttl", "60", cwd=project).returncode == 0
    listed = json.loads(edge(*kv, "list", "--binding", "KV", cwd=project).stdout)
    assert [key["name"] for key in listed] == ["a", "b"]
    assert listed[0]["metadata"] == {"n": 1}
    assert listed[1]["expiration"] > 0
    assert json.loads(edge(*kv, "list", "--binding", "KV", "--prefix", "b", cwd=project).stdout) == listed[1:]
    assert edge(*kv, "delete", "a", "--binding", "KV", cwd=project).returncode == 0
    missing = edge(*kv, "get", "a", "--binding", "KV", cwd=project)
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "error: Key 'a' was not found.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["put", "a", "x", "--binding", "KV", "--ttl", "5"], "Invalid expiration_ttl of 5."),
        (["put", "a", "--binding", "KV"], "Give the value, or --path with a file"),
        (["put", "a", "x", "--binding", "KV", "--metadata", "{"], "it is not JSON"),
        (["get", "a", "--binding", "NOPE"], "no KV namespace bound as 'NOPE' (there: KV, TWO)"),
        (["get", "a"], "--binding or with --namespace-id"),
        (["get", "a", "--binding", "TWO"], "--preview (edge dev) or --no-preview"),
    ],
    ids=["ttl", "no-value", "metadata", "binding", "no-namespace", "preview"],
)
def test_kv_says_what_is_wrong(edge: Edge, project: Path, worker: Any, arguments: list[str], message: str) -> None:
    worker.config(project, KV)
    found = edge("kv", "key", *arguments, cwd=project)
    assert found.returncode in {1, 2}
    assert message in found.stderr.replace("\n", " ")
    assert "Traceback" not in found.stderr


def test_an_unknown_stream_is_named_with_the_known_ones(edge: Edge, project: Path) -> None:
    assert "There is no stream yet." in edge("streams", "list", cwd=project).stderr
    found = edge("streams", "tail", "nope", "--no-follow", cwd=project)
    assert (found.returncode, found.stdout) == (1, "")
    assert "There is no stream 'nope'" in found.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_complete_prints_a_script_for_the_shell(edge: Edge, shell: str) -> None:
    assert "_EDGE_COMPLETE" in edge("complete", shell).stdout


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    def complete(words: str, count: int) -> list[str]:
        environment = {"_EDGE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
        told = subprocess.run(
            [Path(sys.executable).parent / "edge"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.partition(",")[2] for line in told.stdout.splitlines()]

    assert complete("edge s", 1) == ["serve", "streams", "sinks"]
    assert "--persist-to" in complete("edge dev --p", 2)
