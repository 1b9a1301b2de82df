"""`edge serve` as child processes: no reasons to clients, several processes, restarts, stopping."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from .conftest import Server

    Start = Callable[..., Server]
    Edge = Callable[..., subprocess.CompletedProcess[str]]

WHO = """
import os
from workers import Response

async def fetch(request, env):
    if request.url.endswith("/die"):
        os.kill(os.getpid(), 9)
    return Response(str(os.getpid()))
"""


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="children are seen in /proc, which is Linux's")


def test_a_failure_is_answered_without_its_reason_and_logged_with_it(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, "async def fetch(request, env):\n    raise ValueError('the reason')\n")
    server = start(project, "serve")
    status, page = server.ask(accept="text/html")
    assert status == 500
    assert "the reason" not in page
    current = page.removeprefix("Internal Server Error (request ").removesuffix(")\n")
    server.wait_for(f"handler_failed {current}")
    server.wait_for("ValueError: the reason")
    assert server.stop(signal.SIGTERM) == 0


def test_a_worker_that_cannot_be_loaded_ends_it_with_the_place(edge: Edge, project: Path, worker: Any) -> None:
    worker.entry(project, "import nothing_like_it\n")
    for workers in ("1", "2"):
        found = edge("serve", "--port", "0", "--workers", workers, cwd=project)
        assert found.returncode == 1
        assert 'entry.py", line 1' in found.stderr
        assert "No module named 'nothing_like_it'" in found.stderr
        assert "Ready" not in found.stdout


@needs_proc
def test_a_process_that_dies_is_replaced(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, WHO)
    server = start(project, "serve", "--workers", "2")
    before = children(server.child.pid)
    assert len(before) == 2
    with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as the system has it
        server.ask("/die")
    server.wait_for(r"process_died slot=\d pid=\d+ signal=SIGKILL")
    server.wait_for("process_restarted")
    after = children(server.child.pid)
    assert len(after) == 2
    assert len(after & before) == 1
    assert int(server.ask()[1]) in after
    assert server.stop(signal.SIGTERM) == 0


@needs_proc
def test_ctrl_c_in_a_terminal_stops_every_process_once(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, WHO)
    server = start(project, "serve", "--workers", "2")
    started = children(server.child.pid)
    os.killpg(server.child.pid, signal.SIGINT)
    assert server.wait() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
    assert not any("process_died" in line for line in server.lines)


@needs_proc
def test_processes_end_when_their_parent_was_killed(start: Start, project: Path, worker: Any) -> None:
    worker.entry(project, WHO)
    server = start(project, "serve", "--workers", "2")
    server.child.kill()
    # They hold the pipe: its end comes when the last of them is gone.
    assert server.wait() == -signal.SIGKILL
