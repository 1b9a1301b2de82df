"""D3, D7: a kill -9 at every numbered action of a roll. What a reader finds: each record once, no file ever changed."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.delivery.faults import POINTS

if TYPE_CHECKING:
    from pathlib import Path

    Servers = tuple[Any, Any]

COUNT = 40
NOT_DELIVERED = 3
"""Exit status in delivering.py of a process that ran out of patience."""


async def kill_at(run: Any, folder: Path, point: str, *, seed: int = 0, **job: Any) -> list[str]:
    """Die at `point`, possibly at a later pass of it, then deliver the rest: what is wrong then?"""
    chance = random.Random(f"{point}/{seed}")
    times = chance.randint(1, 9) if seed else 1
    status = await run.run(folder, 1, chance.randint(10, 90) if seed else COUNT, fault=f"{point}#{times}", **job)
    assert status == -signal.SIGKILL or (seed and status == 0), f"{point} ended with {status}"
    before = run.hashes(folder)
    if "control" in job:
        job = {"patience_s": 2.0}
    status = await run.run(folder, 1_000, 20, **job)
    return run.problems(folder, before) + ([] if status == 0 else [f"not delivered, status {status}"])


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_at_any_action_loses_nothing_doubles_nothing_and_changes_no_file(
    tmp_path: Path, two_servers: Servers, point: str
) -> None:
    run, _ = two_servers
    assert await kill_at(run, tmp_path, point) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 26))
async def test_more_kills_at_every_action(tmp_path: Path, two_servers: Servers, seed: int) -> None:
    run, _ = two_servers
    for point in POINTS:
        assert await kill_at(run, tmp_path / point.replace(":", "-"), point, seed=seed) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_kills_at_every_action_of_an_iceberg_table(tmp_path: Path, two_servers: Servers, seed: int) -> None:
    """`publish:file` is behind a file of a local sink; what a table's commit is made of has its own test."""
    run, _ = two_servers
    for point in POINTS:
        if point != "publish:file":
            assert await kill_at(run, tmp_path / point.replace(":", "-"), point, seed=seed, only=["iced"]) == []


async def test_control_without_an_intent_a_roll_is_made_anew_and_collides(tmp_path: Path, two_servers: Servers) -> None:
    """`rows` has random() in it: what SQL makes of the same records again is never the same."""
    run, _ = two_servers
    job: dict[str, Any] = {"control": "no intent", "only": ["rows"]}
    assert await run.run(tmp_path, 1, fault="publish:after", **job) == -signal.SIGKILL
    before = run.hashes(tmp_path)
    assert await run.run(tmp_path, 1_000, 20, patience_s=2.0, **job) == NOT_DELIVERED
    assert before
    assert before.items() <= run.hashes(tmp_path).items(), "what is there is never overwritten"


async def test_control_committing_before_publishing_loses_records(tmp_path: Path, two_servers: Servers) -> None:
    run, _ = two_servers
    wrong = await kill_at(run, tmp_path, "publish:before", control="commit before publish")
    assert any("is lost" in problem for problem in wrong)
