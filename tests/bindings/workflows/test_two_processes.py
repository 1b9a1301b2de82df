"""Two processes on one state folder: one is stopped for longer than its lease, the other goes on, the first wakes."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHILD = Path(__file__).parent / "run_until_killed.py"
ORDERS = 3
LEASE_S = 0.6
WORK_S = 0.25
"""A step's work: long enough that a process is stopped in the middle of one."""
SECONDS_MAX = 300


@contextmanager
def process(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [str(folder / "state"), str(folder / "ledger"), str(ORDERS), *options]
    with subprocess.Popen(
        [sys.executable, str(CHILD), *arguments, "--lease-s", str(LEASE_S), "--work-s", str(WORK_S)]
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for(ledger: Path, is_told: Callable[[list[str]], bool], child: subprocess.Popen[bytes]) -> None:
    """Return once a line of the ledger says it; AssertionError when the process ended before."""
    while not (ledger.exists() and any(is_told(words) for words in Ledger(ledger).lines)):
        assert child.poll() is None, "it ended, and never said so"
        time.sleep(0.002)  # the processes that are waited for want the processor


def stop_outside_commits(child: subprocess.Popen[bytes], journal: Path) -> None:
    """Stop a process while somebody else has the turn to write and the file's lock, so that it has neither."""
    connection = sqlite3.connect(journal, timeout=SECONDS_MAX, isolation_level=None)
    with closing(connection), journal.with_name(f"{journal.name}-turn").open("ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        connection.execute("BEGIN IMMEDIATE")
        child.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)


def stall_one_of_two(folder: Path, *options: str) -> tuple[Ledger, int]:
    """The first process is stopped in the middle of a step, and goes on when the second has done all orders.

    What they told, and how many lines of it before that.

    It is stopped while it writes nothing: a process that is stopped inside a commit has the file's lock, and every
    other waits until it goes on or is killed.
    """
    ledger = folder / "ledger"
    with process(folder, *options) as first:
        wait_for(ledger, lambda words: words[1:] == ["halfway", f"o{ORDERS - 1}", "work1"], first)
        stop_outside_commits(first, folder / "state" / "workflows.sqlite")
        line_count = len(Ledger(ledger).lines)
        with process(folder, *options) as second:
            assert second.wait(timeout=SECONDS_MAX) == 0
        first.send_signal(signal.SIGCONT)
        assert first.wait(timeout=SECONDS_MAX) == 0
    return Ledger(ledger), line_count


def test_a_process_that_was_stalled_past_its_lease_cannot_write(tmp_path: Path) -> None:
    told, line_count = stall_one_of_two(tmp_path)
    assert told.broken(order_count=ORDERS, has_several_processes=True) == []
    first = told.lines[0][0]
    assert all(words[0] != first for words in told.lines[line_count:] if words[1] == "end")


def test_control_without_a_fence_it_does(tmp_path: Path) -> None:
    told, _ = stall_one_of_two(tmp_path, "--no-fence")
    broken = told.broken(order_count=ORDERS, has_several_processes=True)
    assert any(line.startswith("promise 1") for line in broken)


def test_two_processes_share_the_work_and_what_one_left_is_done_by_the_other(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with process(tmp_path) as first, process(tmp_path) as second:
        wait_for(ledger, lambda words: words[0] == str(first.pid) and words[1] == "placed", first)
        wait_for(ledger, lambda words: words[1] == "start", first)
        first.kill()
        assert second.wait(timeout=SECONDS_MAX) == 0
    assert Ledger(ledger).broken(order_count=ORDERS, has_several_processes=True) == []
