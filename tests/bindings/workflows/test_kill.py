"""kill -9 in the middle: every promise holds, counted in a file outside, and everything ends without outside help."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from .ledger import Ledger

CHILD = Path(__file__).parent / "run_until_killed.py"
SPIN_MAX = 300


def run_child(folder: Path, count: int, *options: str, kill_after: tuple[int, int] | None) -> None:
    """One process, killed when the ledger has so many lines more, and was looked at so often; None lets it finish."""
    ledger = folder / "ledger"
    ledger.touch()
    command = [sys.executable, str(CHILD), str(folder / "state"), str(ledger), str(count), *options]
    with subprocess.Popen(command) as child:
        if kill_after is None:
            assert child.wait(timeout=300) == 0
            return
        line_count, spin_count = kill_after
        with ledger.open("rb") as written:
            written.seek(0, 2)
            while line_count > 0 and child.poll() is None:
                line_count -= written.read().count(b"\n")
            for _ in range(spin_count):
                written.read()
        child.kill()


def kill_loop(folder: Path, kill_count: int, count: int, *options: str) -> Ledger:
    chance = random.Random(7)
    for _ in range(kill_count):
        run_child(folder, count, *options, kill_after=(chance.randint(1, 25), chance.randint(0, SPIN_MAX)))
    run_child(folder, count, *options, kill_after=None)
    return Ledger(folder / "ledger")


@pytest.mark.parametrize("kill_count", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_promise_is_broken_over_kills(tmp_path: Path, kill_count: int) -> None:
    count = kill_count // 2 + 3  # enough that the last kill still finds orders at work
    assert kill_loop(tmp_path, kill_count, count).broken(order_count=count) == []


def test_control_an_engine_that_forgets_breaks_promises(tmp_path: Path) -> None:
    broken = {line[:9] for line in kill_loop(tmp_path, 4, 7, "--forget").broken(order_count=7)}
    assert broken >= {"promise 1", "promise 4"}
