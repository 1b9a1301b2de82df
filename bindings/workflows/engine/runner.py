"""Runs what the journal says is ready: claims instances, makes their passes, wakes them in time.

Nothing is kept in memory that the journal does not have, so a start after a crash is like any other turn: the owner
that died is forgotten, and what it held is ready again.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ....runtime.core.errors import BackendError
from ..journal.records import Pause, Status
from ..versions import Versions
from .doorbell import Heard
from .instance_pass import InstancePass, PassTools
from .lease_thread import BLOCKED_SECONDS_MAX, LeaseThread
from .loaded_code import LoadedCode, Readiness, missing_class
from .timers import Timers, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ....runtime.core.host import Host
    from ..definition import Definition, WorkflowWorker
    from ..journal.journal import Journal
    from ..journal.records import Acted, Claimed, Instance
    from .doorbell import Doorbells
    from .introspection import Introspection

LEASE_SECONDS = 15.0
RENEWALS_PER_LEASE = 3
LOOK_SECONDS = 30.0
"""The journal is looked at at least this often."""
LOAD_SECONDS = 1.0
"""How soon to look again for code that could not be loaded."""
CLAIM_COUNT_MAX = 256
RESIDENT_COUNT_MAX = 10_000
"""Passes in memory at once; what is ready beyond them waits in the journal."""
CRASH_COUNT_MAX = 10
"""An instance that ran at so many deaths of its process, and finished no step between, is parked as paused: it may be
what kills it."""
CLOSE_SECONDS_MAX = 10.0
"""How long user code may take to end when the runner is stopped."""
PURGE_COUNT_MAX = 256
SCHEDULED_FREE_MS = 60 * 60 * 1000
"""So long an instance that a schedule made runs without taking a slot of its workflow's concurrency."""


class WorkflowRunner:
    """Source: advances the instances of some workflows while `run` runs."""

    def __init__(
        self,
        journal: Journal,
        definitions: Sequence[Definition],
        worker: WorkflowWorker,
        host: Host,
        doorbells: Doorbells,
        *,
        crash_count_max: int = CRASH_COUNT_MAX,
        lease_s: float = LEASE_SECONDS,
        blocked_s_max: float = BLOCKED_SECONDS_MAX,
        resident_count_max: int = RESIDENT_COUNT_MAX,
    ) -> None:
        """`doorbells` are those of all runners that share the journal."""
        self._crash_count_max = crash_count_max
        self._lease_s = lease_s
        self._blocked_s_max = blocked_s_max
        self._resident_count_max = resident_count_max
        self._journal = journal
        self.definitions = {definition.name: definition for definition in definitions}
        """By name. It may be changed while `run` runs; `tell(None)` has it looked at."""
        self.on_ring: Callable[[], None] = lambda: None
        """Called when another process rang."""
        self._worker = worker
        self.versions = Versions(worker)
        self._host = host
        self._doorbells = doorbells
        self._owner: str | None = None
        self._passes: dict[int, InstancePass] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()
        self.introspect: Callable[[Instance], Introspection | None] | None = None
        """Set before `run` by a test that looks into what runs."""
        self._ready_ms: list[int] = []
        self._code = LoadedCode(worker, self.versions, journal, host)

    async def run(self) -> None:
        owner = self._owner = f"{os.getpid()}-{self._host.new_id()}"
        timers = Timers(self._host)
        beside: list[asyncio.Task[None]] = []
        thread = self._lease_thread(owner)
        try:
            with self._doorbells.listen(owner, self._rung) as mend_doorbell:
                await self._renew(owner)
                await self._take_over_dead(owner)
                thread.start()
                beside = [self._spawn(self._keep_alive(owner, thread, mend_doorbell)), self._spawn(self._purge())]
                tools = PassTools(self._host, self._journal, timers, self._worker, self.introspect)
                while True:
                    await self._turn(owner, tools)
        finally:
            thread.stop()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._leave_all()
            await timers.aclose()
            self._owner = None
            with suppress(BackendError):  # else found dead by the next one
                await self._journal.take_over(owner, self._crash_count_max, self._now_ms())

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def passes(self) -> Sequence[InstancePass]:
        """What is in memory."""
        return tuple(self._passes.values())

    @property
    def next_ready_ms(self) -> int | None:
        """When something that hibernates is wanted next, as of the last look at the journal."""
        return min(self._ready_ms, default=None)

    def abandon(self) -> None:
        """Lose what is in memory, as a kill does: the journal is told nothing of it."""
        for one in self._passes.values():
            one.abandon()

    def tell(self, acted: Acted | None) -> None:
        """Somebody of this process changed the journal: wake who works on that instance, or would."""
        for child in () if acted is None else acted.also:
            self.tell(child)
        if acted is None or acted.owner is None:
            if self._owner is not None:
                self._bell.set()
            else:
                self._doorbells.ring_all()
        elif acted.owner != self._owner:
            self._doorbells.ring(acted.owner)
        elif acted.number in self._passes:
            self._passes[acted.number].look()

    def _rung(self) -> None:
        """Another process rang: for any instance that is held here, or for what workflows there are."""
        self.on_ring()
        self._bell.set()
        for one in self._passes.values():
            one.look()

    async def _turn(self, owner: str, tools: PassTools) -> None:
        """Claim what is ready, then wait until something else is."""
        self._bell.clear()
        look_at = self._host.now() + LOOK_SECONDS
        self._ready_ms.clear()
        for definition in tuple(self.definitions.values()):
            try:
                next_ready_ms = await self._claim(owner, definition, tools)
            except BackendError as error:
                self._host.log.error("workflows_not_claimed", workflow=definition.name, exc_info=error)
                look_at = min(look_at, self._host.now() + LOAD_SECONDS)
            else:
                if next_ready_ms is not None:
                    look_at = min(look_at, next_ready_ms / 1000)
        timer = tools.timers.at(look_at, self._bell.set)
        try:
            await self._bell.wait()
        finally:
            timer.cancel()

    async def _claim(self, owner: str, definition: Definition, tools: PassTools) -> int | None:
        """Start what is ready of a workflow; when to look for more (None: when a pass ends)."""
        readiness = self._code.readiness(definition)
        if readiness is not Readiness.READY:
            if readiness is Readiness.GONE:
                await self._park(definition)
            return self._now_ms() + int(LOAD_SECONDS * 1000)
        await self._code.keep_version(definition)
        while (room := await self._room(definition)) > 0:
            version = self.versions.current(definition).id
            claims = await self._journal.claim(owner, definition.name, room, self._now_ms(), version=version)
            for claimed in claims.claimed:
                self._start(claimed, definition, tools)
            if len(claims.claimed) < room:
                if claims.next_ready_ms is not None:
                    self._ready_ms.append(claims.next_ready_ms)
                return claims.next_ready_ms
        if definition.concurrency_max is not None:
            await self._claim_scheduled(owner, definition, tools)
        return None

    async def _claim_scheduled(self, owner: str, definition: Definition, tools: PassTools) -> None:
        """Every slot is taken: start what needs none."""
        room = min(CLAIM_COUNT_MAX, self._resident_count_max - len(self._passes))
        if room > 0:
            version = self.versions.current(definition).id
            claims = await self._journal.claim(
                owner, definition.name, room, self._now_ms(), version=version, only_scheduled=True
            )
            for claimed in claims.claimed:
                self._start(claimed, definition, tools)

    async def _room(self, definition: Definition) -> int:
        room = min(CLAIM_COUNT_MAX, self._resident_count_max - len(self._passes))
        if definition.concurrency_max is not None:
            free_until_ms = self._now_ms() - SCHEDULED_FREE_MS
            room = min(
                room, definition.concurrency_max - await self._journal.owned_count(definition.name, free_until_ms)
            )
        return room

    async def _park(self, definition: Definition) -> None:
        """Pause what is ready and cannot run."""
        reason = missing_class(definition)
        for instance_id in await self._journal.park(definition.name, reason, CLAIM_COUNT_MAX, self._now_ms()):
            about = {"workflow": definition.name, "instance": instance_id}
            self._host.log.error("workflow_parked", **about, reason=reason.message)

    def _start(self, claimed: Claimed, definition: Definition, tools: PassTools) -> None:
        number = claimed.lease.number
        definition = definition.of_version(claimed.instance.version)
        self._code.tell_of_other_code(claimed, definition)
        one = self._passes[number] = InstancePass(claimed, definition, tools)
        task = self._host.spawn(self._advance(one), name=f"workflow:{definition.name}/{claimed.instance.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _advance(self, one: InstancePass) -> None:
        number = one.lease.number
        try:
            await one.run()
        except Exception as error:  # a defect of ours: nothing of one instance may stop the others
            self._host.log.error("workflow_pass_failed", instance=one.instance.id, exc_info=error)
            pause = Pause(Status.RUNNING, self._now_ms() + int(LOOK_SECONDS * 1000))
            await one.record_end(pause)
        finally:
            if self._passes.get(number) is one:
                del self._passes[number]
            self._bell.set()
        if one.instance.parent is not None:  # it may have ended: who holds its parent looks for the word of that
            with suppress(BackendError):
                for parent in await self._journal.held_parent(number):
                    self.tell(parent)

    def _lease_thread(self, owner: str) -> LeaseThread:
        def renew() -> None:
            self._journal.renew_aside(owner, self._lease_until_ms())

        return LeaseThread(renew, self._host, lease_s=self._lease_s, blocked_s_max=self._blocked_s_max)

    async def _keep_alive(self, owner: str, thread: LeaseThread, mend_doorbell: Callable[[], None]) -> None:
        while True:
            await self._host.sleep(self._lease_s / RENEWALS_PER_LEASE)
            thread.beat()
            try:
                await self._renew(owner)
                await self._take_over_dead(owner)
            except BackendError as error:
                self._host.log.error("workflow_lease_not_renewed", exc_info=error)
            try:
                mend_doorbell()
            except OSError as error:
                self._host.log.error("workflow_doorbell_not_made", exc_info=error)

    async def _renew(self, owner: str) -> None:
        await self._journal.renew(owner, self._lease_until_ms())

    def _lease_until_ms(self) -> int:
        return self._now_ms() + int(self._lease_s * 1000)

    async def _take_over_dead(self, owner: str) -> None:
        """What a dead process held is ready again: at once when that is certain, else when its lease is over."""
        for other, alive_until_ms in await self._journal.owners():
            if other == owner:
                continue
            heard = self._doorbells.ring(other)
            if heard is not Heard.NOBODY and alive_until_ms > self._now_ms():
                continue
            for taken in await self._journal.take_over(other, self._crash_count_max, self._now_ms()):
                about = {"workflow": taken.workflow, "instance": taken.id, "crash_count": taken.crash_count}
                if taken.is_parked:
                    self._host.log.error("workflow_parked", **about, remedy="resume it once its code is mended")
                else:
                    self._host.log.info("workflow_taken_over", **about)
            if heard is Heard.NOBODY:  # one that was only stalled goes on
                self._doorbells.forget(other)
            self._bell.set()

    async def _purge(self) -> None:
        """Forget finished instances whose retention is over."""
        while True:
            try:
                count = await self._journal.purge(self._now_ms(), PURGE_COUNT_MAX)
            except BackendError as error:
                self._host.log.error("workflows_not_purged", exc_info=error)
                count = 0
            if count < PURGE_COUNT_MAX:
                await self._host.sleep(LOOK_SECONDS)

    async def _leave_all(self) -> None:
        for one in tuple(self._passes.values()):
            if steps := one.steps.running:  # they had their time; the next start runs them again
                one.warn("workflow_steps_cut", steps=", ".join(f"{it.key.name}-{it.key.occurrence}" for it in steps))
            one.leave()
        if self._tasks:
            _, unfinished = await asyncio.wait(set(self._tasks), timeout=CLOSE_SECONDS_MAX)
            for task in unfinished:
                self._host.log.warning("workflow_did_not_stop", task=task.get_name(), after_s=CLOSE_SECONDS_MAX)
                task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._host.spawn(work, name="workflow_runner")

    def _now_ms(self) -> int:
        return now_ms(self._host)
