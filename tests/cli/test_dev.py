"""`edge dev` as a child process: start, reload on save, errors, stopping."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import EDGE, SECONDS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]
    Edge = Callable[..., subprocess.CompletedProcess[str]]


def test_it_answers_and_says_what_it_has(start: Start, project: Path, worker: Any) -> None:
    worker.config(project, ', "vars": {"MODE": "x"}, "kv_namespaces": [{"binding": "KV", "id": "one"}], "made_up": 1')
    server = start(project, "dev", "--var", "EXTRA:a=b")
    assert server.ask() == (200, "one")
    server.wait_for(r"\[edge:info\] GET / 200 OK \(\d+ms\) [0-9a-f]{16}$")
    shown = "\n".join(server.lines)
    assert "▲ [WARNING] Processing wrangler.jsonc configuration:" in shown
    assert '"made_up"' in shown
    assert "env.KV (one)  KV Namespace" in " ".join(shown.split()).replace("(one) KV", "(one)  KV")
    assert "env.EXTRA" in shown
    assert f"State is in {project / '.edge'}" in shown
    folders = [project / ".edge", *(path for path in project.glob(".edge/**/*") if path.is_dir())]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert server.stop() == 0


def test_a_save_is_served_a_broken_one_is_shown_and_not_served(start: Start, project: Path, worker: Any) -> None:
    server = start(project, "dev")
    worker.entry(project, worker.answering("two"))
    server.wait_for("reloaded files=entry.py")
    assert server.ask() == (200, "two")
    worker.entry(project, "x = (1,\n")
    server.wait_for("reload_failed serving='the last good version'")
    server.wait_for(r"entry\.py\", line 1")
    server.wait_for(r"^ +\^$")
    server.wait_for("SyntaxError")
    assert server.ask() == (200, "two")
    worker.config(project, ', "vars": 1')
    server.wait_for("reload_failed")
    assert server.ask() == (200, "two")
    worker.config(project)
    worker.entry(project, worker.answering("three"))
    server.wait_for("reloaded files=.*wrangler.jsonc")
    assert server.ask() == (200, "three")
    assert server.stop() == 0


def test_a_broken_edge_toml_is_reported_without_a_traceback_and_mending_it_heals(
    start: Start, project: Path, worker: Any
) -> None:
    worker.save(project / "edge.toml", '[streams.flights]\nvalidation = "strict"\n')
    server = start(project, "dev")
    for broken, told in (
        ('[streams.flights]\nvalidation = "loose"\n', r"^    - edge\.toml:2:1: .*\"loose\""),
        ("[streams.flights\n", r"^    edge\.toml:1:\d+:$"),
    ):
        worker.save(project / "edge.toml", broken)
        server.wait_for("reload_failed serving='the last good version'$")
        server.wait_for(told)
        assert server.ask() == (200, "one")
    worker.entry(project, worker.answering("two"))
    server.wait_for("reload_failed")  # the module alone is fine, the config it belongs to is not
    assert server.ask() == (200, "one")
    worker.save(project / "edge.toml", "[streams.flights]\n")
    server.wait_for("reloaded files='edge.toml entry.py'")
    assert server.ask() == (200, "two")
    assert server.stop() == 0
    assert not [line for line in server.lines if "Traceback" in line or "ConfigError" in line or "File " in line]


def test_a_module_saved_by_renaming_and_one_that_was_missing_are_seen(start: Start, project: Path, worker: Any) -> None:
    words = "import words\n" + worker.answering("x").replace("'x'", "words.WORD")
    worker.entry(project, words)
    server = start(project, "dev")
    assert "No module named 'words'" in server.ask(accept="text/plain")[1]
    worker.save(project / "words.py", "WORD = 'made'")
    server.wait_for("reloaded")
    assert server.ask() == (200, "made")
    (project / "words.tmp").write_text("WORD = 'renamed'")
    (project / "words.tmp").rename(project / "words.py")
    server.wait_for("reloaded")
    assert server.ask() == (200, "renamed")


def test_limits_and_hosts_of_a_saved_edge_toml_hold_at_once(start: Start, project: Path, worker: Any) -> None:
    server = start(project, "dev", "--host-allow", "flag.test")
    assert server.ask(body=b"long", host="flag.test") == (200, "one")
    assert server.ask(host="file.test")[0] == 403
    worker.save(project / "edge.toml", "[limits]\nbody_bytes = 3\n[server]\nallowed_hosts = ['file.test']\n")
    server.wait_for("reloaded files=edge.toml")
    assert server.ask(body=b"long")[0] == 413
    assert server.ask(host="file.test") == (200, "one")
    assert server.ask(host="flag.test") == (200, "one")
    (project / "edge.toml").unlink()
    server.wait_for("reloaded files=edge.toml")
    assert server.ask(body=b"long") == (200, "one")
    assert server.ask(host="file.test")[0] == 403


def test_a_saved_address_is_said_to_need_a_restart(start: Start, project: Path, worker: Any) -> None:
    server = start(project, "dev")  # with --port 0, which wins over the file
    worker.config(project, ', "dev": {"ip": "127.0.0.1", "port": 18777}')
    server.wait_for("restart_needed to_apply=dev.ip$")
    server.wait_for("reloaded files=wrangler.jsonc")
    worker.config(project)
    server.wait_for("reloaded files=wrangler.jsonc")
    assert server.stop() == 0
    assert sum("restart_needed" in line for line in server.lines) == 1


def test_what_a_link_leads_to_is_watched_and_so_is_the_link(
    start: Start, project: Path, worker: Any, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    (shared / "package").mkdir(parents=True)
    worker.save(shared / "entry.py", "from package.words import WORD\n" + worker.answering("x").replace("'x'", "WORD"))
    worker.save(shared / "package" / "words.py", "WORD = 'two'\n")
    (project / "entry.py").unlink()
    (project / "entry.py").symlink_to(shared / "entry.py")
    (project / "package").symlink_to(shared / "package")
    linked = tmp_path / "linked"
    linked.symlink_to(project)
    server = start(linked, "dev")
    assert server.ask() == (200, "two")
    worker.save(shared / "package" / "words.py", "WORD = 'three'\n")
    server.wait_for("reloaded files=words.py")
    assert server.ask() == (200, "three")
    worker.entry(shared, worker.answering("four"))
    server.wait_for("reloaded files=entry.py")
    assert server.ask() == (200, "four")
    worker.save(linked / ".dev.vars", "A=1\n")
    server.wait_for("reloaded files=.dev.vars")
    worker.entry(linked, worker.answering("five"))  # in place of the link
    server.wait_for("reloaded files=entry.py")
    assert server.ask() == (200, "five")


@pytest.mark.parametrize("state", [".edge", "data"])
def test_the_state_folder_is_no_part_of_what_mends_a_broken_worker(
    start: Start, project: Path, worker: Any, state: str
) -> None:
    words = "import words\n" + worker.answering("x").replace("'x'", "words.WORD")
    worker.entry(project, words)
    server = start(project, "dev", "--persist-to", state)
    worker.entry(project, words + "# saved")
    server.wait_for("reload_failed")  # saves are watched now
    (project / "package").mkdir()
    server.wait_for("reload_failed")  # folders that may hold modules count
    (project / state).rename(project / ".away")
    (project / ".away").rename(project / state)
    (project / state / "state" / "folder").mkdir()
    worker.save(project / "words.py", "WORD = 'made'")
    server.wait_for("reloaded files='entry.py package words.py'")
    assert server.ask() == (200, "made")


def test_a_variable_with_a_secrets_name_is_not_shown(start: Start, project: Path, worker: Any) -> None:
    worker.config(project, ', "vars": {"API_TOKEN": "planted-secret", "COLOUR": "blue"}')
    server = start(project, "dev")
    server.stop()
    assert any("env.COLOUR ('blue')" in line for line in server.lines)
    assert any("env.API_TOKEN (hidden)" in line for line in server.lines)
    assert not any("planted-secret" in line for line in server.lines)


def test_the_files_of_values_are_named_and_their_values_are_not(start: Start, project: Path) -> None:
    (project / ".env").write_text("KEY=planted-secret\n")
    (project / "schema.json").write_text('{"fields": [{"name": "a", "type": "json"}]}')
    (project / "edge.toml").write_text("[streams.events]\nschema_file = 'schema.json'\n")
    server = start(project, "dev")
    server.stop()
    assert [line for line in server.lines if line.startswith("Using")] == ["Using secrets defined in .env"]
    assert any("env.KEY (hidden)" in line for line in server.lines)
    assert not any("planted-secret" in line for line in server.lines)


def test_new_secrets_are_hidden_from_the_next_line_on(start: Start, project: Path, worker: Any) -> None:
    server = start(project, "dev")
    worker.save(project / ".dev.vars", 'KEY = "planted-secret"\n')
    server.wait_for("reloaded files=.dev.vars")
    raising = "        raise ValueError(self.env.KEY)\n"
    worker.entry(project, worker.answering("x").replace("        return Response('x')\n", raising))
    server.wait_for("reloaded files=entry.py")
    for accept in ("text/html", "application/json", "*/*"):
        status, page = server.ask(accept=accept)
        assert status == 500
        assert "ValueError" in page
        assert "planted-secret" not in page
    server.stop()
    assert any("ValueError: [redacted]" in line for line in server.lines)
    assert not any("planted-secret" in line for line in server.lines)


def test_json_lines_are_json_and_what_the_worker_prints_is_not_touched(
    start: Start, project: Path, worker: Any
) -> None:
    worker.entry(project, worker.answering("x").replace("return", "print('\\x1bmine'); return"))
    server = start(project, "dev", "--log-format", "json")
    server.ask("/path?token=1")
    line = json.loads(server.wait_for(r"^\{.*request_answered.*"))
    assert {key: line[key] for key in ("level", "method", "path", "status")} == {
        "level": "info",
        "method": "GET",
        "path": "/path",
        "status": 200,
    }
    assert len(line["request_id"]) == 16
    server.stop()
    assert "\x1bmine" in server.lines


def test_a_second_one_on_the_same_state_says_who_holds_it(start: Start, edge: Edge, project: Path) -> None:
    server = start(project, "dev")
    second = edge("dev", "--port", "0", cwd=project)
    assert second.returncode == 1
    assert f"is in use by process {server.child.pid}" in second.stderr


def test_a_port_in_use_is_named_with_its_holder(start: Start, edge: Edge, project: Path, tmp_path: Path) -> None:
    server = start(project, "dev")
    port = server.url.rpartition(":")[2]
    second = edge("dev", "--port", port, "--persist-to", str(tmp_path / "other"), cwd=project)
    assert second.returncode == 1
    assert f"Port {port} on localhost is in use by " in second.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_lets_the_request_and_pending_work_finish(
    start: Start, project: Path, worker: Any, number: signal.Signals
) -> None:
    worker.config(project, ', "kv_namespaces": [{"binding": "KV"}]')
    worker.entry(project, SLOW)
    server = start(project, "dev")
    answers: list[tuple[int, str]] = []
    asking = threading.Thread(target=lambda: answers.append(server.ask("/slow")))
    asking.start()
    server.wait_for("^handling$")
    assert server.stop(number) == 0
    asking.join()
    assert answers == [(200, "slow")]
    assert "pending done" in server.lines


SLOW = """
import asyncio
from workers import Response, wait_until

async def fetch(request, env, ctx):
    print("handling", flush=True)
    await asyncio.sleep(0.2)
    ctx.waitUntil(later())
    return Response("slow")

async def later():
    await asyncio.sleep(0.1)
    print("pending done", flush=True)
"""


def test_the_last_request_is_logged_before_the_end(start: Start, project: Path) -> None:
    server = start(project, "dev")
    assert server.ask("/last") == (200, "one")
    assert server.stop() == 0
    assert any("GET /last 200 OK" in line for line in server.lines)


@pytest.mark.parametrize("arguments", [["dev"], ["serve", "--workers", "2"]], ids=["dev", "serve"])
def test_a_closed_terminal_lets_pending_work_finish(project: Path, worker: Any, arguments: list[str]) -> None:
    worker.entry(project, LATER)
    here, there = os.openpty()
    run = [sys.executable, "-c", IN_TERMINAL, os.ttyname(there), EDGE, *arguments, "--port", "0"]
    child = subprocess.Popen(run, cwd=project, start_new_session=True)
    try:
        shown = b""
        while not (ready := re.search(rb"Ready on (\S+)\s", shown)):
            shown += os.read(here, 4096)
        with urllib.request.urlopen(ready[1].decode(), timeout=SECONDS_MAX) as answer:
            assert answer.status == 200
        os.close(there)
        os.close(here)
        assert child.wait(SECONDS_MAX) == 0
    finally:
        child.kill()
        child.wait()
    assert (project / "done").exists()


IN_TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may be under nohup
terminal = os.open(sys.argv[1], os.O_RDWR)  # who leads a session is controlled by the first one it opens
for descriptor in range(3):
    os.dup2(terminal, descriptor)
os.execv(sys.argv[2], sys.argv[2:])
"""


LATER = """
import asyncio, pathlib
from workers import Response

async def fetch(request, env, ctx):
    ctx.waitUntil(later())
    return Response("now")

async def later():
    await asyncio.sleep(0.3)
    print("pending done", flush=True)
    pathlib.Path("done").touch()
"""


def test_work_that_does_not_end_is_cut_and_said(start: Start, project: Path, worker: Any) -> None:
    worker.save(project / "edge.toml", "[limits]\ndrain_seconds = 0.2\n")
    endless = "ctx.waitUntil(__import__('asyncio').sleep(3600))\n    return Response('x')\n"
    worker.entry(project, f"from workers import Response\nasync def fetch(request, env, ctx):\n    {endless}")
    server = start(project, "dev")
    assert server.ask() == (200, "x")
    assert server.stop() == 0
    assert any("work_cut_at_shutdown after_s=0.2" in line for line in server.lines)


def test_a_loop_that_is_held_does_not_keep_the_process(start: Start, project: Path, worker: Any) -> None:
    worker.save(project / "edge.toml", "[limits]\ndrain_seconds = 0.1\n")
    worker.entry(project, STUCK)
    server = start(project, "dev")
    asking = threading.Thread(target=ask_in_vain, args=(server,))
    asking.start()
    server.wait_for("^stuck$")
    assert server.stop() == 1
    assert "Stopped before everything had finished: something holds the event loop." in server.lines
    asking.join()


def test_a_second_signal_stops_at_once(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, STUCK)
    server = start(project, "dev")
    asking = threading.Thread(target=ask_in_vain, args=(server,))
    asking.start()
    server.wait_for("^stuck$")
    server.child.send_signal(signal.SIGINT)
    server.wait_for("Stopping")
    assert server.stop() == 128 + signal.SIGINT
    asking.join()


STUCK = """
async def fetch(request, env):
    print('stuck', flush=True)
    while True: pass
"""


def ask_in_vain(server: Server) -> None:
    with suppress(OSError):
        server.ask()


def test_breakpoint_reads_the_terminal(start: Start, project: Path, worker: Any) -> None:
    worker.entry(
        project,
        worker.answering("x").replace("        return", "        number = 41\n        breakpoint()\n        return"),
    )
    server = start(project, "dev")
    assert server.child.stdin is not None
    server.child.stdin.write("p number + 1\nc\n")
    server.child.stdin.flush()
    assert server.ask() == (200, "x")
    assert server.stop() == 0
    assert any("42" in line for line in server.lines)


def test_it_says_how_long_workflows_keep_instances_and_when_the_next_run_is(
    start: Start, project: Path, worker: Any
) -> None:
    workflow = {"binding": "ORDERS", "name": "orders", "class_name": "Order", "schedules": ["0 0 1 1 *", "0 0 30 1 *"]}
    plain = {"binding": "SHORT", "name": "s", "class_name": "Order", "default_retention": {"error_retention": 60_000}}
    worker.config(project, f', "workflows": {json.dumps([workflow, plain])}')
    server = start(project, "dev")
    shown = "\n".join(server.lines)
    assert "Workflows, and how long they keep finished instances:" in shown
    assert re.search(r'^  orders  30 d  next run \d{4}-01-(01|30) 00:00 UTC by "0 0 \d+ 1 \*"$', shown, re.MULTILINE)
    assert "\n  s       30 d, 1 min after an error\n" in shown
    assert server.stop() == 0
