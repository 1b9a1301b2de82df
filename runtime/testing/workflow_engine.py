"""The workflow engine, held in a test's hand: is it still, what comes next, and a crash.

Time stands still until `advance` moves it, from one due time to the next, and lets everything that is due then run to
its end. So what a test sees does not depend on how fast the machine is. Only user code that waits for something real
(a socket, a thread) takes real time; it is given some before the clock moves on without it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from ...bindings.workflows.durations import parse_duration_ms
from ...bindings.workflows.engine.runner import WorkflowRunner
from ...bindings.workflows.engine.timers import now_ms
from ...bindings.workflows.schedules import WorkflowSchedules
from .workflow_modifier import Modifications, ModifiedInstance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...bindings.workflows.engine.instance_pass import InstancePass
    from ...bindings.workflows.journal.records import Instance, StepRecord
    from ...bindings.workflows.journal.sqlite_journal import SqliteJournal
    from ..serve import App
    from .fake_host import FakeHost

STILL_TURNS = 30
"""How often the event loop goes round without anything on its way before the engine is held to be still."""
SPIN_SECONDS = 0.01
LOOK_SECONDS = 0.002
"""User code that takes longer than SPIN_SECONDS is looked at this often."""
SETTLE_SECONDS_MAX = 60.0
ADVANCE_PATIENCE_S = 1.0
"""How long user code may do nothing that is seen, in real time, before the clock moves on (and times it out)."""


class HeldEngine:
    """The engine of one open App. `abandon` before the App is closed."""

    def __init__(self, app: App, host: FakeHost) -> None:
        self.host = host
        self._app = app
        self._runner = next((one for one in app.environment.sources if isinstance(one, WorkflowRunner)), None)
        self._schedules = next((one for one in app.environment.sources if isinstance(one, WorkflowSchedules)), None)
        self._modified: dict[tuple[str, str], ModifiedInstance] = {}
        self._of_all: dict[str, Modifications] = {}
        if self._runner is not None:
            self._runner.introspect = self._introspect

    @property
    def journal(self) -> SqliteJournal:
        assert self._runner is not None, "there is a workflow, so there is its runner"
        return cast("SqliteJournal", self._runner.journal)

    def now_ms(self) -> int:
        return now_ms(self.host)

    def of_all(self, workflow: str) -> Modifications:
        """What is changed of every instance of a workflow."""
        return self._of_all.setdefault(workflow, Modifications())

    def of_one(self, workflow: str, instance_id: str) -> ModifiedInstance:
        """What is changed of one instance, which need not exist yet."""
        key = (workflow, instance_id)
        if key not in self._modified:
            self._modified[key] = ModifiedInstance(self.of_all(workflow))
        return self._modified[key]

    def forget(self, workflow: str, instance_id: str | None = None) -> None:
        """Change nothing any more, of an instance or of all."""
        if instance_id is not None:
            self.of_one(workflow, instance_id).own = Modifications()
            return
        self._of_all.pop(workflow, None)
        for key in [key for key in self._modified if key[0] == workflow]:
            del self._modified[key]

    async def send_events(self, workflow: str, instance_id: str) -> None:
        """Send an instance the events that are kept for it, if it exists."""
        kept = self.of_one(workflow, instance_id).own.events
        if self._runner is not None and await self.journal.find(workflow, instance_id) is not None:
            events, kept[:] = tuple(kept), ()
            await self._send(workflow, instance_id, events)

    def running_steps(self, workflow: str, instance_id: str) -> Sequence[StepRecord]:
        """The steps of an instance whose functions run."""
        of_it = (one for one in self._passes if (one.instance.workflow, one.instance.id) == (workflow, instance_id))
        return [step for one in of_it for step in one.steps.running]

    def run_error(self, workflow: str, instance_id: str) -> BaseException | None:
        """What `run` of an instance raised last, with its traceback."""
        for _, event, about in reversed(self.host.log.lines):
            if event == "workflow_errored" and (about["workflow"], about["instance"]) == (workflow, instance_id):
                return cast("BaseException", about["exc_info"])
        return None

    async def settle(self, patience_s: float) -> None:
        """Return when nothing moves any more by itself, or when user code has not moved for `patience_s`.

        Raises:
            RuntimeError: it goes on and on.
        """
        still_count = 0
        began_at = moved_at = time.monotonic()
        while still_count < STILL_TURNS:
            if time.monotonic() - began_at > SETTLE_SECONDS_MAX:
                raise self._restless()
            await asyncio.sleep(0)
            if self._runner is None or not self.journal.is_busy:
                is_still = all(one.is_resting for one in self._passes)
                still_count = still_count + 1 if is_still else 0
            else:
                still_count = 0
                moved_at = time.monotonic()
            idle_s = time.monotonic() - moved_at
            if idle_s > patience_s:
                return
            if not still_count and idle_s > SPIN_SECONDS:
                await asyncio.sleep(LOOK_SECONDS)

    async def advance(self, seconds: float) -> None:
        """Move the clock, stopping at each time that something is due, in order."""
        until = self.host.now() + seconds
        await self.settle(ADVANCE_PATIENCE_S)
        while (due := self._next_due()) is not None and due <= until:
            self.host.jump(due)
            await self.settle(ADVANCE_PATIENCE_S)
        self.host.jump(until)
        await self.settle(ADVANCE_PATIENCE_S)

    async def crash(self) -> None:
        """End background work as a kill does, and start it again: what is not in the journal is lost."""
        self.abandon()
        await self._app.environment.stop_sources()
        self._app.environment.start_sources()
        await self.settle(ADVANCE_PATIENCE_S)

    def abandon(self) -> None:
        """Let nothing of what runs hold up the end of a test."""
        if self._runner is not None:
            self._runner.abandon()

    def _restless(self) -> RuntimeError:
        named = [f"{one.instance.workflow}/{one.instance.id}" for one in self._passes] or ["none is in memory"]
        return RuntimeError(
            f"The workflows did not come to rest within {SETTLE_SECONDS_MAX:g} s of real time. "
            f"Instances that run: {', '.join(named)}. Does one of them loop without an end?"
        )

    @property
    def _passes(self) -> Sequence[InstancePass]:
        return () if self._runner is None else self._runner.passes

    def _next_due(self) -> float | None:
        return min((due_ms / 1000 for due_ms in self._due_ms() if due_ms > self.now_ms()), default=None)

    def _due_ms(self) -> Iterator[int]:
        if self._runner is not None and self._runner.next_ready_ms is not None:
            yield self._runner.next_ready_ms
        if self._schedules is not None and self._schedules.next_fire_ms is not None:
            yield self._schedules.next_fire_ms
        for one in self._passes:
            yield from one.waits_until_ms
            for step in one.steps.running:
                if step.started_ms is not None and step.config is not None:
                    yield step.started_ms + parse_duration_ms(step.config["timeout"], "The timeout")

    def _introspect(self, instance: Instance) -> ModifiedInstance:
        found = self.of_one(instance.workflow, instance.id)
        events, found.own.events[:] = tuple(found.own.events), ()
        if found.generation != instance.generation:
            found.generation = instance.generation
            events += tuple(self.of_all(instance.workflow).events)
        if events:
            self.host.spawn(self._send(instance.workflow, instance.id, events), name="mocked_events")
        return found

    async def _send(self, workflow: str, instance_id: str, events: Sequence[tuple[str, bytes]]) -> None:
        assert self._runner is not None, "there is an instance, so there is who runs it"
        for event_type, payload in events:
            self._runner.tell(await self.journal.send_event(workflow, instance_id, event_type, payload, self.now_ms()))
