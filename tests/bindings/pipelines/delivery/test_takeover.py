"""C3: two processes of one server. One runs the pipelines; when it dies or stalls, the other takes over, once."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.pipelines.delivery.faults import POINTS
from edge.bindings.pipelines.delivery.lease import STALL_S, WATCH_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Servers = tuple[Any, Any]


STALLED_S = 0.6
"""After which a process in these tests takes over from a leader that is stopped."""


async def until(is_so: Callable[[], object]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - there is no event across processes
            await asyncio.sleep(0.01)


async def test_another_process_takes_over_from_one_that_is_killed(tmp_path: Path, two_servers: Servers) -> None:
    first, second = two_servers
    pid = await first.start(tmp_path, 1, 5_000, slot=0)
    await until(lambda: first.hashes(tmp_path))
    await second.start(tmp_path, 10_000, 60, slot=1)
    os.kill(pid, signal.SIGKILL)
    assert await first.ended() == -signal.SIGKILL
    before = first.hashes(tmp_path)
    assert await second.ended() == 0
    assert second.problems(tmp_path, before) == []


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("stage:after", marks=pytest.mark.slow),
        "intent:before",
        "publish:before",
        pytest.param("publish:after", marks=pytest.mark.slow),
        "commit:before",
    ],
)
async def test_a_leader_that_was_stopped_and_wakes_changes_nothing(
    tmp_path: Path, two_servers: Servers, point: str
) -> None:
    first, second = two_servers
    pid = await first.stopped(tmp_path, point)
    assert await second.run(tmp_path, 10_000, 60, slot=1, stall_s=STALLED_S) == 0
    before = second.hashes(tmp_path)
    os.kill(pid, signal.SIGCONT)
    assert await first.ended() == 0
    assert first.problems(tmp_path, before) == []


async def kill_beside_a_sibling(folder: Path, two_servers: Servers, point: str, *, passes: int = 1) -> list[str]:
    """The leader dies at `point` while its sibling takes records too: what is wrong once that has delivered all?"""
    first, second = two_servers
    await first.start(folder, 1, 5_000, slot=0, fault=f"{point}#{passes}")
    await until(lambda: list(folder.glob("acknowledged.0")))
    await second.start(folder, 10_000, 60, slot=1)
    assert await first.ended() == -signal.SIGKILL
    before = first.hashes(folder)
    status = await second.ended()
    return second.problems(folder, before) + ([] if status == 0 else [f"not delivered, status {status}"])


@pytest.mark.parametrize("point", ["publish:file", "commit:before"])
async def test_a_roll_that_was_cut_short_is_finished_by_another_process(
    tmp_path: Path, two_servers: Servers, point: str
) -> None:
    assert await kill_beside_a_sibling(tmp_path, two_servers, point) == []


@pytest.mark.slow
@pytest.mark.parametrize("passes", range(1, 8))
@pytest.mark.parametrize("point", POINTS)
async def test_every_roll_that_was_cut_short_is_finished_by_another_process(
    tmp_path: Path, two_servers: Servers, point: str, passes: int
) -> None:
    assert await kill_beside_a_sibling(tmp_path, two_servers, point, passes=passes) == []


async def test_control_without_a_fence_the_old_leader_goes_on(tmp_path: Path, two_servers: Servers) -> None:
    first, second = two_servers
    pid = await first.stopped(tmp_path, "intent:before", control="no fence")
    assert await second.run(tmp_path, 10_000, 60, slot=1, stall_s=STALLED_S) == 0
    before = second.hashes(tmp_path)
    assert second.problems(tmp_path, before) == []
    os.kill(pid, signal.SIGCONT)
    await until(lambda: first.problems(tmp_path, before))


def test_a_stall_is_seen_in_time() -> None:
    assert STALL_S + 2 * WATCH_S < 5.0, "another process takes over within 5 s"
