"""kill -9 in the middle: finished steps never run again, and everything finishes without outside help."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

CHILD = Path(__file__).parent / "run_until_killed.py"
STEPS = 5


def run_child(folder: Path, count: int, *options: str, kill_after_lines: int | None) -> None:
    """One process, killed once the ledger has that many lines more; None lets it finish."""
    ledger = folder / "ledger"
    ledger.touch()
    command = [sys.executable, str(CHILD), str(folder / "state"), str(ledger), str(count), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        if kill_after_lines is None:
            assert child.wait(timeout=60) == 0
            return
        with ledger.open("rb") as written:
            written.seek(0, 2)
            seen = 0
            while seen < kill_after_lines and child.poll() is None:
                seen += written.read().count(b"\n")
        child.kill()


def rerun_after_done(ledger: Path) -> list[str]:
    """Steps that began again although user code had their result."""
    done: set[str] = set()
    again = []
    for line in ledger.read_text().splitlines():
        what, _, step = line.partition(" ")
        if what == "start" and step in done:
            again.append(step)
        if what == "done":
            done.add(step)
    return again


def kill_loop(folder: Path, kill_count: int, count: int, *options: str) -> Path:
    chance = random.Random(7)
    for _ in range(kill_count):
        run_child(folder, count, *options, kill_after_lines=chance.randint(1, 8))
    run_child(folder, count, *options, kill_after_lines=None)
    return folder / "ledger"


@pytest.mark.parametrize("kill_count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_every_order_ends_once_and_no_finished_step_runs_again(tmp_path: Path, kill_count: int) -> None:
    count = kill_count // 2 + 3  # enough that the last kill still finds orders at work
    ledger = kill_loop(tmp_path, kill_count, count)
    assert rerun_after_done(ledger) == []
    lines = Counter(ledger.read_text().splitlines())
    assert {line for line in lines if line.startswith("end")} == {f"end o{n}" for n in range(count)}
    assert all(lines[f"start o{n} {step}"] >= 1 for n in range(count) for step in range(STEPS))


def test_the_control_that_forgets_runs_finished_steps_again(tmp_path: Path) -> None:
    assert rerun_after_done(kill_loop(tmp_path, 3, 8, "--forget"))
