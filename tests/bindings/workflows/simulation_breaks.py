"""Journals and clocks that break one promise each: what a simulation must notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.bindings.workflows.journal.records import Kind, Status, StepState

from .simulation_world import BEGINNING_S, SimulatedHost, SimulatedJournal, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.bindings.workflows.journal.records import (
        Acted,
        Claims,
        Finish,
        Lease,
        NewInstance,
        Progress,
        StepRecord,
        TakenOver,
    )
    from edge.bindings.workflows.journal.sqlite_journal import Call


class WithoutFence(SimulatedJournal):
    """Anybody who once had an instance may write to it."""

    async def save(self, lease: Lease, progress: Progress, now_ms: int) -> Status | None:
        return await super().save(self._current(lease), progress, now_ms)

    async def finish(self, lease: Lease, finish: Finish, now_ms: int) -> bool:
        return await super().finish(self._current(lease), finish, now_ms)

    async def held_status(self, lease: Lease) -> Status | None:
        return await super().held_status(self._current(lease))

    def _current(self, lease: Lease) -> Lease:
        query = "SELECT fence FROM instance WHERE number = ?"
        row = self._world.connection.execute(query, (lease.number,)).fetchone()
        return lease if row is None else lease._replace(fence=row[0])


class AnsweringEarly(SimulatedJournal):
    """Says that steps are kept before they are."""

    async def save(self, lease: Lease, progress: Progress, now_ms: int) -> Status | None:
        self._world.loop.create_task(super().save(lease, progress, now_ms))
        return Status.RUNNING


class Forgetful(SimulatedJournal):
    """Gives an instance without the results of its steps."""

    async def claim(self, *arguments: Any, **options: Any) -> Claims:
        claims = await super().claim(*arguments, **options)
        claimed = [
            one._replace(steps=[step for step in one.steps if step.key.kind is not Kind.DO]) for one in claims.claimed
        ]
        return claims._replace(claimed=claimed)


class StartingUnrecorded(SimulatedJournal):
    """Keeps no step that has only begun."""

    async def save(self, lease: Lease, progress: Progress, now_ms: int) -> Status | None:
        steps = [step for step in progress.steps if step.state is not StepState.RUNNING]
        return await super().save(lease, progress._replace(steps=steps), now_ms)


class GivingTwice(SimulatedJournal):
    """An event that was taken stays where it was."""

    def apply(self, job: Call) -> Any:
        if name_of(job) != "take_event":
            return super().apply(job)
        before = self._world.connection.execute("SELECT * FROM inbox").fetchall()
        taken = super().apply(job)
        for row in before:
            self._world.connection.execute(f"INSERT OR IGNORE INTO inbox VALUES ({','.join('?' * len(row))})", row)
        return taken


class NewestFirst(SimulatedJournal):
    """An event overtakes those that were sent before it."""

    def apply(self, job: Call) -> Any:
        done = super().apply(job)
        self._world.connection.execute("UPDATE inbox SET number = -number WHERE number > 0")
        return done


class LosingEvents(SimulatedJournal):
    """A wait times out although its event came."""

    async def take_event(
        self, lease: Lease, step: StepRecord, *, otherwise: StepRecord, **options: Any
    ) -> StepRecord | None:
        if otherwise.state is StepState.FAILED:
            step = step._replace(event_type="nothing of that type")
        return await super().take_event(lease, step, otherwise=otherwise, **options)


class CreatingAgain(SimulatedJournal):
    """An id that is there is begun anew."""

    async def create(self, workflow: str, instances: Sequence[NewInstance], now_ms: int) -> Sequence[bool]:
        for one in instances:
            await self.delete(workflow, one.id, now_ms)
        return await super().create(workflow, instances, now_ms)


class NeverTakingOver(SimulatedJournal):
    """What a dead process held stays its own."""

    async def take_over(self, owner: str, crash_count_max: int, now_ms: int) -> Sequence[TakenOver]:
        return []


class UnlistedOwners(SimulatedJournal):
    """An owner that claims is forgotten until it renews its lease: nobody knows of what it holds when it dies."""

    async def claim(self, owner: str, *arguments: Any, **options: Any) -> Claims:
        claims = await super().claim(owner, *arguments, **options)
        self._world.connection.execute("DELETE FROM owner WHERE name = ?", (owner,))
        return claims


class DroppingResumes(SimulatedJournal):
    """What was paused is not looked at again."""

    async def act(self, *arguments: Any) -> Acted | None:
        acted = await super().act(*arguments)
        self._world.connection.execute("UPDATE instance SET ready_ms = NULL WHERE status = 'running' AND owner IS NULL")
        return acted


class FastClock(SimulatedHost):
    """Runs half as fast again as everybody's clock."""

    def now(self) -> float:
        return BEGINNING_S + (super().now() - BEGINNING_S) * 1.5
