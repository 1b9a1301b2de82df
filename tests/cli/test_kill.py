"""D1 as a user runs it: `edge serve` killed with -9 under load; what HTTP acknowledged is there after a restart."""

from __future__ import annotations

import random
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from .ledger import BINDINGS, ENTRY, Clients, delivered_counts, missing_keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

    Start = Callable[..., Server]

ASKED_AT_ONCE = 20_000
"""Keys per server: a test's server lives for seconds only."""
ACKNOWLEDGES_EARLY = ENTRY.replace("    await keep(env, number)", "    ctx.waitUntil(keep(env, number))")


def acknowledged_over_kills(start: Start, folder: Path, kill_count: int) -> list[int]:
    """Serve, load and kill so many times on one state folder; every number that was acknowledged."""
    chance = random.Random(kill_count)
    numbers = count()
    acknowledged: list[int] = []
    for _ in range(kill_count):
        server = start(folder, "serve", "--log-level", "warning")
        with Clients(server.url, numbers) as clients:
            clients.wait_for_more(chance.randint(1, 300))
            assert clients.failures == []
            server.child.kill()
        assert server.wait() == -signal.SIGKILL
        server.close()
        acknowledged += clients.acknowledged
    return acknowledged


def lost_over_kills(start: Start, folder: Path, kill_count: int) -> tuple[list[int], list[int]]:
    """Acknowledged numbers without their record or with two of them, and those without their key."""
    acknowledged = acknowledged_over_kills(start, folder, kill_count)
    without_key: list[int] = []
    for first in range(0, len(acknowledged), ASKED_AT_ONCE):
        server = start(folder, "serve")
        without_key += missing_keys(server, acknowledged[first : first + ASKED_AT_ONCE])
        assert server.stop() == 0
    counts = delivered_counts(folder)
    assert {number for number, times in counts.items() if times > 1} == set(), "delivered twice"
    return [number for number in acknowledged if number not in counts], without_key


def test_ten_kills_lose_nothing_that_was_answered(start: Start, project: Path, worker: Any) -> None:
    worker.config(project, BINDINGS)
    worker.entry(project, ENTRY)
    assert lost_over_kills(start, project, 10) == ([], [])


@pytest.mark.slow
def test_a_thousand_kills_lose_nothing_that_was_answered(start: Start, project: Path, worker: Any) -> None:
    worker.config(project, BINDINGS)
    worker.entry(project, ENTRY)
    assert lost_over_kills(start, project, 1_000) == ([], [])


def test_control_answering_before_the_bindings_have_loses_records_and_keys(
    start: Start, project: Path, worker: Any
) -> None:
    worker.config(project, BINDINGS)
    worker.entry(project, ACKNOWLEDGES_EARLY)
    without_record, without_key = lost_over_kills(start, project, 5)
    assert without_record
    assert without_key
