"""Who runs the pipelines, by a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from edge.bindings.pipelines.delivery import lease
from edge.bindings.pipelines.delivery.lease import STALL_S, RunnerLease
from edge.bindings.pipelines.delivery.store import DeliveryStore, FencedError
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Candidate:
    """A process that would lead; what it does in threads is done at once."""

    def __init__(self, folder: Path) -> None:
        self.host = FakeHost(folder)
        self.store = DeliveryStore(folder)
        self.lease = RunnerLease(self.store, folder, self.host)
        self.lease._open()

    def leads_now(self) -> bool:
        return self.lease._take()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Candidate, Candidate]]:
    """The first leads."""
    first, second = Candidate(tmp_path), Candidate(tmp_path)
    assert first.leads_now()
    first.lease.beat()
    yield first, second
    for one in (first, second):
        one.lease.close()
        one.store.close()


async def test_one_leads_and_the_other_waits_while_it_beats(two: tuple[Candidate, Candidate]) -> None:
    first, second = two
    for _ in range(20):
        assert not second.leads_now()
        first.lease.beat()
        await second.host.advance(STALL_S - 0.1)
    assert not second.leads_now()


async def test_a_leader_that_does_not_beat_is_taken_over_and_told(two: tuple[Candidate, Candidate]) -> None:
    first, second = two
    assert not second.leads_now()
    await second.host.advance(STALL_S - 0.01)
    assert not second.leads_now()
    await second.host.advance(0.01)
    assert second.leads_now()
    assert second.lease.fence == first.lease.fence + 1
    with pytest.raises(FencedError):
        first.lease.beat()


async def test_a_process_that_is_stopped_while_it_looks_takes_nothing_over(
    two: tuple[Candidate, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beats it read long ago say nothing of now."""
    _, second = two
    look = lease._beats_of_living
    assert not second.leads_now()

    def look_and_stall(path: Path) -> bytes | None:
        beats = look(path)
        second.host.jump(second.host.now() + STALL_S)
        return beats

    monkeypatch.setattr(lease, "_beats_of_living", look_and_stall)
    assert not second.leads_now()


def test_a_leader_that_died_is_taken_over_at_once(two: tuple[Candidate, Candidate]) -> None:
    first, second = two
    assert not second.leads_now()
    os.close(first.lease._descriptor)  # type: ignore[arg-type]  # what the kernel does
    first.lease._descriptor = None
    assert second.leads_now()


def test_a_leader_that_leaves_is_followed_at_once_and_leaves_nothing(
    two: tuple[Candidate, Candidate], tmp_path: Path
) -> None:
    first, second = two
    assert not second.leads_now()
    first.lease.release()
    assert second.leads_now()
    first.lease.close()
    second.lease.close()
    assert list(tmp_path.glob("runner-*")) == []


def test_files_of_dead_processes_go_and_those_of_the_living_stay(
    two: tuple[Candidate, Candidate], tmp_path: Path
) -> None:
    first, second = two
    (tmp_path / "runner-dead.lock").touch()
    first.lease.release()
    assert second.leads_now()
    assert {path.name for path in tmp_path.glob("runner-*")} == {first.lease._name, second.lease._name}


async def test_acquire_waits_and_keep_ends_with_the_lease(two: tuple[Candidate, Candidate]) -> None:
    first, second = two
    keeping = asyncio.ensure_future(first.lease.keep())
    await first.host.settle()
    first.lease.release()
    assert await second.lease.acquire() == 2
    await first.host.advance(1.0)
    with pytest.raises(FencedError):
        await keeping
