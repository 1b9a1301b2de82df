"""A child is one step of its parent for whoever looks: in detail, alone, and among the events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.inspection import instance_detail, step_detail
from edge.bindings.workflows.journal.records import InstanceFilter, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

PARENT = "kind: Workflow/v1\nsteps: {rest: {workflow: resting, with: {nap: 1 hour}, timeout: 2 hours}}"
REST = 'kind: Workflow/v1\nsteps: {nap: {sleep: "${params.nap}"}}\noutput: {rested: "${params.nap}"}'


class Family:
    """A parent that waits for its child."""

    def __init__(self, site: Any, parent: Any, child: Any) -> None:
        self.site = site
        self.parent = parent
        self.child = child
        self.shown = f"resting/{child.id}"

    async def step(self, **options: Any) -> dict[str, Any]:
        """The one step of the parent."""
        detail = await instance_detail(await self._found(), self.site.journal, **options)
        assert detail.step_count == len(detail.steps) == 1
        return dict(detail.steps[0])

    async def alone(self, kind: str = "step") -> tuple[str, Any, Any]:
        found = await step_detail(await self._found(), self.site.journal, "rest-1", kind, None)
        return found.status, found.output, found.error and found.error.message

    async def _found(self) -> Any:
        return await self.site.journal.find("orders", self.parent.id)


@pytest.fixture
async def family(serve: Callable[..., Any]) -> Family:
    site = await serve(PARENT, {"resting": REST})
    parent = await site.create(id="mine")
    await site.reach(parent, "waiting")
    async with asyncio.timeout(60):
        while not (await site.journal.counts("resting")).get(Status.WAITING):  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)
    page = await site.journal.list("resting", InstanceFilter(), after=None, offset=0, count_max=1)
    child = await type(site.workflow)(site.runner.definitions["resting"], site.workflow._tools).get(page.items[0].id)
    return Family(site, parent, child)


async def events_of(family: Family, **options: Any) -> list[dict[str, Any]]:
    """What is told of the child."""
    async with asyncio.timeout(60):
        events = [event async for event in family.parent.subscribe(**options)]
    assert "$ended" not in str(events)
    return [event for event in events if "stepName" in event]


async def test_a_child_that_is_waited_for_is_one_step_that_waits(family: Family) -> None:
    shown = await family.step()
    assert (shown["name"], shown["type"], shown["child"]) == ("rest-1", "step", family.shown)
    assert (shown["success"], shown["end"], shown["output"]) == (None, None, None)
    assert [(one["end"], one["success"], one["error"]) for one in shown["attempts"]] == [(None, None, None)]
    assert shown["config"]["retries"]["limit"] == 5, "wrangler needs it"
    assert await family.alone() == ("waiting", None, None)
    with pytest.raises(WorkflowError, match='There is no waitForEvent "rest-1"'):
        await family.alone("waitForEvent")


async def test_a_child_that_is_over_gives_its_output_as_the_steps(family: Family, host: FakeHost) -> None:
    began_ms = int(host.now() * 1000)
    await host.advance(3600)
    await family.site.output(family.parent)
    shown = await family.step()
    assert (shown["success"], shown["output"]) == (True, {"rested": "1 hour"})
    assert (shown["start"], shown["end"]) == (began_ms, began_ms + 3_600_000)
    assert [one["end"] for one in shown["attempts"]] == [shown["end"]]
    assert await family.alone() == ("complete", {"rested": "1 hour"}, None)
    assert (await family.step(output_bytes_max=9))["output"] == '{"rested"... (cut: it has 19 bytes)'
    assert (await family.step(output_bytes_max=19))["output"] == {"rested": "1 hour"}


async def test_a_child_that_failed_fails_the_step_with_its_reason(family: Family) -> None:
    await family.child.terminate()
    await family.site.error(family.parent)
    reason = f'Workflow "resting", instance "{family.child.id}", is terminated.'
    shown = await family.step()
    assert (shown["success"], shown["output"]) == (False, None)
    assert shown["attempts"][-1]["error"] == {"name": "ChildFailedError", "message": reason}
    assert await family.alone() == ("errored", None, reason)
    *_, last = await events_of(family)
    assert last["type"] == "step_errored"
    assert (last["child"], last["error"]["message"]) == (family.shown, reason)


async def test_a_child_that_takes_too_long_is_a_step_that_timed_out(family: Family, host: FakeHost) -> None:
    await family.child.pause()
    await host.advance(7200)
    await family.site.error(family.parent)
    assert await family.alone() == ("errored", None, "Execution timed out after 7200000ms")
    *_, last = await events_of(family)
    assert (last["type"], last["error"]["name"]) == ("step_errored", "WorkflowTimeoutError")


async def test_the_events_of_a_child_are_those_of_one_step(family: Family, host: FakeHost) -> None:
    await host.advance(3600)
    await family.site.output(family.parent)
    events = await events_of(family)
    assert {event["stepName"] for event in events} == {"rest-1"}
    types = ["step_started", "attempt_started", "attempt_completed", "wait_started", "step_completed"]
    assert [event["type"] for event in events] == types
    assert events[3]["child"] == events[4]["child"] == family.shown
    assert events[4]["output"] == {"rested": "1 hour"}
    for seen in range(1, 5):  # whoever goes on behind any of them is told the same
        assert await events_of(family, cursor=events[seen - 1]["eventId"]) == events[seen:]
    assert await events_of(family, filter=["step_completed"]) == events[4:]
    assert await events_of(family, filter=["wait_completed"]) == []
