"""C2: what a user may do with instances, in any order, against a plain model of what must come of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from edge.runtime.core.entrypoints import WorkflowEntrypoint
from edge.runtime.core.errors import BindingError

from .simulation_breaks import DroppingResumes, Forgetful, GivingTwice
from .simulation_world import SimulatedJournal, Site, World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

IDS = st.sampled_from(("a", "b"))
TURN_S = 1.5
"""What each rule takes. No time that is waited for ends near a multiple of it."""
NAP_S = 60.7
WAIT_S = 3000.4
FINAL = {"complete", "errored", "terminated"}

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
FAST = settings(max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=QUIET)


def entrypoint(effects: Counter[tuple[str, str]]) -> type[WorkflowEntrypoint]:
    """Each instance naps, and waits twice for an event; `effects` counts what its steps did."""

    class Order(WorkflowEntrypoint):
        async def run(self, event: dict[str, Any], step: Any) -> Any:
            async def effect(name: str) -> None:
                effects[event["instanceId"], name] += 1

            await step.do("first", lambda: effect("first"))
            await step.sleep("nap", NAP_S * 1000)
            got = [(await step.wait_for_event("wait", "go", timeout=WAIT_S * 1000))["payload"]]
            await step.do("second", lambda: effect("second"))
            return [*got, (await step.wait_for_event("wait", "go", timeout=WAIT_S * 1000))["payload"]]

    return Order


@dataclass
class Model:
    """One instance."""

    began_s: float
    """When its present stage began: the nap, the first wait, the second."""
    status: str = "waiting"
    stage: int = 0
    got: list[int] = field(default_factory=list)
    mailbox: list[int] = field(default_factory=list)
    paused_s: float = 0.0
    effects: Counter[str] = field(default_factory=lambda: Counter({"first": 1}))

    @property
    def has_ended(self) -> bool:
        return self.status in FINAL

    def goes_on(self, now_s: float) -> None:
        """What happens by itself until `now_s`."""
        while self.status == "waiting":
            due_s = self.began_s + (WAIT_S if self.stage else NAP_S)
            if self.stage == 0 and due_s <= now_s:
                self.stage, self.began_s = 1, due_s
            elif self.stage and self.mailbox:
                self._take(self.mailbox.pop(0))
            elif self.stage and due_s <= now_s:
                self._end("errored")
            else:
                return

    def _take(self, payload: int) -> None:
        self.got.append(payload)
        if self.stage == 1:
            self.effects["second"] += 1
            self.stage = 2
        else:
            self._end("complete")

    def send(self, payload: int, now_s: float) -> None:
        if not self.has_ended:
            self.mailbox.append(payload)
            if self.status == "waiting" and self.stage:
                self.began_s = now_s

    def pause(self, now_s: float) -> None:
        if self.status == "waiting":
            self.status, self.paused_s = "paused", now_s

    def resume(self, now_s: float) -> None:
        if self.status == "paused":
            self.status = "waiting"
            self.began_s = now_s if self.stage and self.mailbox else self.began_s + now_s - self.paused_s

    def terminate(self) -> None:
        self._end("terminated")

    def restart(self, now_s: float) -> None:
        self.status, self.stage, self.began_s = "waiting", 0, now_s
        self.got, self.mailbox = [], []
        self.effects["first"] += 1

    def restart_from_second(self, now_s: float) -> None:
        self.status, self.stage, self.began_s = "waiting", 2, now_s
        del self.got[1:]
        self.effects["second"] += 1

    def _end(self, status: str) -> None:
        self.status = status
        self.mailbox.clear()


class Workflows(RuleBasedStateMachine):
    """The real engine in a calm world, beside the model."""

    journal_type: type[SimulatedJournal] = SimulatedJournal

    def __init__(self) -> None:
        super().__init__()
        self.world = World(0)
        self.world.is_calm = True
        self.effects: Counter[tuple[str, str]] = Counter()
        self.models: dict[str, Model] = {}
        self.forgotten: dict[str, Counter[str]] = {}
        self.payload = 0
        self.sites: list[Site] = []
        self.crash()

    @property
    def now_s(self) -> float:
        return self.world.loop.time()

    @rule(instance_id=IDS)
    def create(self, instance_id: str) -> None:
        if instance_id in self.models:
            self.refused(lambda site: site.workflow.create(id=instance_id), "instance.already_exists")
        else:
            self.models[instance_id] = Model(self.now_s)
            self.do(lambda site: site.workflow.create(id=instance_id))

    @rule(instance_id=IDS)
    def send_event(self, instance_id: str) -> None:
        self.payload += 1
        payload = self.payload
        if (model := self.models.get(instance_id)) is not None:
            model.send(payload, self.now_s)
        self.on_handle(instance_id, lambda one: one.send_event(type="go", payload=payload))

    @rule(instance_id=IDS)
    def pause(self, instance_id: str) -> None:
        if (model := self.models.get(instance_id)) is not None:
            model.pause(self.now_s)
        self.on_handle(instance_id, lambda one: one.pause())

    @rule(instance_id=IDS)
    def resume(self, instance_id: str) -> None:
        if (model := self.models.get(instance_id)) is not None:
            model.resume(self.now_s)
        self.on_handle(instance_id, lambda one: one.resume())

    @rule(instance_id=IDS)
    def terminate(self, instance_id: str) -> None:
        model = self.models.get(instance_id)
        if model is not None and model.has_ended:
            self.on_handle(instance_id, lambda one: one.terminate(), "instance.cannot_terminate")
        else:
            self.on_handle(instance_id, lambda one: one.terminate())
            if model is not None:
                model.terminate()

    @rule(instance_id=IDS)
    def restart(self, instance_id: str) -> None:
        if (model := self.models.get(instance_id)) is not None:
            model.restart(self.now_s)
        self.on_handle(instance_id, lambda one: one.restart())

    @rule(instance_id=IDS)
    def restart_from_second(self, instance_id: str) -> None:
        model = self.models.get(instance_id)
        refusal = "instance.cannot_restart" if model is not None and not model.got else None
        if model is not None and model.got:
            model.restart_from_second(self.now_s)
        self.on_handle(instance_id, lambda one: one.restart({"from": {"name": "second"}}), refusal)

    @rule(instance_id=IDS)
    def delete(self, instance_id: str) -> None:
        self.on_handle(instance_id, lambda one: one.delete())
        if (model := self.models.pop(instance_id, None)) is not None:
            for name, count in model.effects.items():
                self.effects[instance_id, name] -= count

    @rule(turn_count=st.sampled_from((1, 10, 41, 2010)))
    def advance(self, turn_count: int) -> None:
        self.pass_time(turn_count)

    @rule()
    def crash(self) -> None:
        for site in self.sites:
            site.process.kill()
        made = Site(self.world, f"p{len(self.sites)}", entrypoint(self.effects), journal_type=self.journal_type)
        self.sites.append(made)
        self.pass_time(1)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        assert self.world.promises.broken == []
        for instance_id, model in self.models.items():
            told = self.call(lambda site, one=instance_id: _status(site, one))
            assert told["status"] == model.status, instance_id
            assert told["output"] == (model.got if model.status == "complete" else None), instance_id
            assert {name: self.effects[instance_id, name] for name in model.effects} == dict(model.effects), instance_id

    def teardown(self) -> None:
        def end() -> None:
            self.world.is_over = True
            for site in self.sites:
                site.process.go_on()

        self.world.loop.run(asyncio.sleep(0), end)
        self.world.connection.close()

    def do(self, call: Callable[[Site], Coroutine[Any, Any, Any]]) -> None:
        self.call(call)
        self.pass_time(1)

    def on_handle(
        self, instance_id: str, call: Callable[[Any], Coroutine[Any, Any, Any]], refusal: str | None = None
    ) -> None:
        """Call a method of a handle, which is refused for this reason, or since there is no such instance."""

        async def on_site(site: Site) -> None:
            await call(await site.workflow.get(instance_id))

        if instance_id not in self.models:
            refusal = "instance.not_found"
        if refusal is None:
            self.do(on_site)
        else:
            self.refused(on_site, refusal)

    def refused(self, call: Callable[[Site], Coroutine[Any, Any, Any]], key: str) -> None:
        with pytest.raises(BindingError) as told:
            self.call(call)
        assert key in str(told.value)
        self.pass_time(1)

    def call(self, call: Callable[[Site], Coroutine[Any, Any, Any]]) -> Any:
        """What a call gives, which takes a few milliseconds."""
        return self.world.loop.run_until_complete(self.sites[-1].process.spawn(call(self.sites[-1])))

    def pass_time(self, turn_count: int) -> None:
        """Let time pass to the end of a turn, that of the model too."""
        until_s = (self.now_s // TURN_S + turn_count) * TURN_S
        self.world.loop.run_until_complete(asyncio.sleep(until_s - self.now_s))
        for model in self.models.values():
            model.goes_on(self.now_s)


async def _status(site: Site, instance_id: str) -> Any:
    return await (await site.workflow.get(instance_id)).status()


TestWorkflows = Workflows.TestCase
TestWorkflows.settings = FAST


@pytest.mark.slow
def test_many_more_lives_of_instances() -> None:
    run_state_machine_as_test(Workflows, settings=settings(FAST, max_examples=10_000, stateful_step_count=50))


@pytest.mark.parametrize(
    ("journal_type", "does"),
    [
        (GivingTwice, lambda one: (one.send_event("a"), one.advance(41))),
        (Forgetful, lambda one: one.advance(41)),
        (DroppingResumes, lambda one: (one.pause("a"), one.resume("a"), one.advance(41))),
    ],
)
def test_control_a_broken_journal_differs_from_the_model(
    journal_type: type[SimulatedJournal], does: Callable[[Workflows], object]
) -> None:
    for made, differs in ((SimulatedJournal, False), (journal_type, True)):
        machine = type("Machine", (Workflows,), {"journal_type": made})()
        machine.create("a")
        does(machine)
        with pytest.raises(AssertionError) if differs else nullcontext():
            machine.everything_is_as_in_the_model()
        machine.teardown()
