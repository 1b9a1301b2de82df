"""Code that blocks the event loop keeps its instances, for a time: nobody runs its steps at once with it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from itertools import count
from threading import Thread
from typing import TYPE_CHECKING, Any

from edge.bindings.workflows.engine.lease_thread import BLOCKED_SECONDS_MAX, LeaseThread
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.runtime.core.errors import BackendError
from edge.runtime.testing.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEASE_S = 12.0
SHORT_LEASE_S = 0.1
"""The thread waits in real time for half of it; whatever that takes, the clocks of the hosts stand still."""
LOOKS_PER_LEASE = 3
LOOK_COUNT = 5 * LOOKS_PER_LEASE
"""How often the other process looks while the loop is blocked: for several leases."""
PATIENCE_S = 60.0


class Blocked:
    """A thread that is not started, on a clock of its own, of a loop that went round at 0."""

    def __init__(self) -> None:
        self.host = FakeHost(now=0.0)
        self.renewed_at: list[float] = []
        self.failures = 0
        self.thread = LeaseThread(self._renew, self.host, lease_s=LEASE_S)

    def _renew(self) -> None:
        if self.failures:
            self.failures -= 1
            raise BackendError("the disk is full")
        self.renewed_at.append(self.host.now())

    def run_until(self, until: float) -> None:
        while (wait_s := self.thread.look()) + self.host.now() <= until:
            assert wait_s > 0, "it would look for ever"
            self.host.jump(self.host.now() + wait_s)
        self.host.jump(until)


def test_a_loop_that_goes_round_renews_its_lease_alone() -> None:
    one = Blocked()
    for second in range(4, 100, 4):
        one.run_until(second)
        one.thread.beat()
    assert one.renewed_at == []
    assert one.host.log.lines == []


def test_the_lease_of_a_blocked_loop_is_renewed_before_it_is_over_and_told_of_once() -> None:
    one = Blocked()
    one.run_until(32)
    assert one.renewed_at == [8, 14, 20, 26, 32]
    assert one.host.log.events() == ["workflows_blocked"]
    one.thread.beat()
    one.run_until(39)
    assert one.renewed_at[-1] == 32


def test_a_loop_that_is_blocked_for_too_long_loses_what_it_holds_until_it_goes_round() -> None:
    one = Blocked()
    one.run_until(BLOCKED_SECONDS_MAX + 100)
    assert BLOCKED_SECONDS_MAX - LEASE_S < one.renewed_at[-1] < BLOCKED_SECONDS_MAX
    one.thread.beat()
    one.run_until(one.host.now() + LEASE_S * 2 / 3)
    assert one.renewed_at[-1] == one.host.now()


def test_a_write_that_fails_is_tried_again_while_the_lease_holds() -> None:
    one = Blocked()
    one.failures = 1
    one.run_until(LEASE_S - 1)
    assert one.renewed_at == [10]
    assert one.host.log.events("error") == ["workflow_lease_not_renewed"]


def test_a_machine_that_wakes_gives_its_loop_the_time_to_renew() -> None:
    one = Blocked()
    one.run_until(1)
    one.host.jump(1000)
    one.run_until(1001)
    one.thread.beat()
    one.run_until(1006)
    assert one.renewed_at == []
    assert one.host.log.lines == []


class OtherProcess:
    """A site with a loop and a clock of its own, in a thread."""

    def __init__(self, folder: Path, opening: Callable[..., Any], run: Callable[..., Any]) -> None:
        self.host = FakeHost(folder)
        self.host._ids = count(1000)  # those of two processes differ
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._site = opening(self.host, run, limits={"lease_s": SHORT_LEASE_S})
        self._call(self._site.__aenter__())

    def see(self, now: float) -> None:
        """From another thread: its clock says that."""
        self._loop.call_soon_threadsafe(self.host.jump, now)

    def close(self) -> None:
        self._call(self._site.__aexit__(None, None, None))
        self._call(self.host.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


class Race:
    """One process whose step blocks its loop, and another one that looks for what is nobody's any more."""

    def __init__(self, host: FakeHost, opening: Callable[..., Any], *, blocked_s_max: float) -> None:
        self._host = host
        self._opening = opening
        self._blocked_s_max = blocked_s_max
        self.began: list[str] = []
        """Who began the step."""
        self._owner = ""

    async def run(self) -> None:
        limits = {"lease_s": SHORT_LEASE_S, "blocked_s_max": self._blocked_s_max}
        async with self._opening(self._host, self._run_blocked, limits=limits) as site:
            await site.until(lambda: site.runner._owner is not None)
            self._owner = site.doorbell.name
            await site.output(await site.create())

    async def _run_blocked(self, _: Any, step: Any) -> None:
        await step.do("work", self._block)

    async def _run_elsewhere(self, _: Any, step: Any) -> None:
        await step.do("work", lambda: self.began.append("elsewhere"))

    def _block(self) -> None:
        self.began.append("blocked")
        other = OtherProcess(self._host.state_dir, self._opening, self._run_elsewhere)
        try:
            with closing(sqlite3.connect(self._host.state_dir / "workflows.sqlite")) as connection:
                self._hold_up(other, connection)
        finally:
            other.close()

    def _hold_up(self, other: OtherProcess, connection: sqlite3.Connection) -> None:
        """Return when the other one has run the step, or has looked often enough."""
        patient_until = time.monotonic() + PATIENCE_S
        looks: set[int] = set()
        while len(looks) < LOOK_COUNT and "elsewhere" not in self.began:
            self._host.jump(self._host.now() + SHORT_LEASE_S / LOOKS_PER_LEASE)
            is_kept = False
            while not is_kept:
                assert time.monotonic() < patient_until, "nobody renewed the lease, or looked"
                time.sleep(0.001)  # it blocks the loop, and lets the other threads run
                alive_until = dict(connection.execute("SELECT name, alive_until_ms FROM owner").fetchall())
                left_s = alive_until.get(self._owner, 0) / 1000 - self._host.now()
                is_kept = not self._blocked_s_max or left_s > SHORT_LEASE_S / 2
            other.see(self._host.now())
            looks |= {until for name, until in alive_until.items() if name != self._owner}


async def test_a_process_whose_loop_is_blocked_keeps_its_instances(host: FakeHost, opening: Callable[..., Any]) -> None:
    race = Race(host, opening, blocked_s_max=PATIENCE_S)
    await race.run()
    assert race.began == ["blocked"]


async def test_control_without_the_thread_another_process_runs_the_step_meanwhile(
    host: FakeHost, opening: Callable[..., Any]
) -> None:
    race = Race(host, opening, blocked_s_max=0)
    await race.run()
    assert race.began == ["blocked", "elsewhere"]


async def test_what_was_taken_over_is_not_renewed(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "workflows.sqlite") as journal:
        await journal.renew("one", 1)
        await asyncio.to_thread(journal.renew_aside, "one", 2)
        assert await journal.owners() == [("one", 2)]
        await journal.take_over("one", 10, 3)
        await asyncio.to_thread(journal.renew_aside, "one", 4)
        assert await journal.owners() == []
