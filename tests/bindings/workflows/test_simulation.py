"""Every promise holds in hundreds of lives in which everything goes wrong; a broken engine is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import simulation_breaks
from .simulation import FAULTS, broken_seeds, simulate
from .simulation_loop import StuckError
from .simulation_world import SimulatedHost

SEEDS = 500
SEEDS_SLOW = 100_000
BLOCK = 25
CONTROL_SEEDS = 500

CHOSEN = os.environ.get("EDGE_SEED")
BLOCKS = [range(int(CHOSEN), int(CHOSEN) + 1)] if CHOSEN else [range(at, at + BLOCK) for at in range(0, SEEDS, BLOCK)]


@pytest.mark.parametrize("seeds", BLOCKS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_no_promise_is_broken(seeds: range) -> None:
    assert broken_seeds(seeds) == []


@pytest.mark.slow
def test_no_promise_is_broken_in_a_hundred_thousand_lives() -> None:
    share = SEEDS_SLOW // (os.cpu_count() or 1)
    children = [in_child(str(at), str(min(at + share, SEEDS_SLOW))) for at in range(0, SEEDS_SLOW, share)]
    assert [child.communicate()[0].strip() for child in children] == [""] * len(children)


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        ("WithoutFence", 1),
        ("AnsweringEarly", 1),
        ("Forgetful", 1),
        ("StartingUnrecorded", 2),
        ("GivingTwice", 3),
        ("NewestFirst", 3),
        ("LosingEvents", 3),
        ("CreatingAgain", 4),
        ("FastClock", 5),
        ("NeverTakingOver", 6),
        ("DroppingResumes", 6),
        ("UnlistedOwners", 6),
    ],
)
def test_control_a_broken_engine_is_noticed(broken: str, promise: int) -> None:
    made: Any = getattr(simulation_breaks, broken)
    types = {"host_type": made} if issubclass(made, SimulatedHost) else {"journal_type": made}
    for seed in range(CONTROL_SEEDS):
        try:
            told = simulate(seed, **types).broken
        except StuckError:
            told = ["promise 6: stuck"]
        if any(line.startswith(f"promise {promise}:") for line in told):
            return
    pytest.fail(f"{broken} broke promise {promise} in none of {CONTROL_SEEDS} lives")


def test_every_fault_and_every_end_is_met() -> None:
    rows = [row for seed in range(40) for row in simulate(seed).trace]
    assert {row[2] for row in rows if row[1] == "fault"} == set(FAULTS)
    assert {row[3] for row in rows if row[1] == "ended"} == {"complete", "errored", "terminated"}
    assert {"take_over", "take_event", "release", "workflow_taken_over", "workflow_rolling_back"} <= {
        row[2] for row in rows if len(row) > 2
    }


def test_a_seed_lives_the_same_life_again() -> None:
    assert simulate(7).trace == simulate(7).trace


def test_a_seed_lives_the_same_life_in_another_process() -> None:
    told = "\n".join(str(row) for row in simulate(7).trace)
    assert in_child("7").communicate()[0].strip() == told


def in_child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workflows.simulation", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    folder = Path(__file__).parent.parent
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
