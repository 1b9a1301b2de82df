"""Children that were created to be terminated with their parent. Source: decision 27."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.journal.records import NewInstance, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

T0 = 1_767_225_600_000
"""When a FakeHost begins."""


@pytest.mark.parametrize("how", ["terminate", "delete"])
async def test_children_that_cascade_end_with_their_parent(start: Callable[..., Any], how: str) -> None:
    """And theirs; those that do not go on."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.wait_for_event("w", "go")

    site = await start(run)
    parent = await site.create(id="parent")
    await site.reach(parent, "waiting")
    number = await site.journal.number_of("orders", "parent")
    await site.journal.create("orders", [child("child", number), child("free", number, is_cascading=False)], T0)
    grandparent = await site.journal.number_of("orders", "child")
    await site.journal.create("orders", [child("grandchild", grandparent)], T0)
    await getattr(parent, how)()
    statuses = {name: (await site.journal.find("orders", name)).status for name in ("child", "grandchild", "free")}
    assert statuses.pop("free") is not Status.TERMINATED
    assert set(statuses.values()) == {Status.TERMINATED}
    told = await site.journal.history("orders", "grandchild", after=0, count_max=100)
    assert (told[-1].type, told[-1].data) == ("workflow_terminated", {"source": "parent"})


def child(instance_id: str, parent: int, *, is_cascading: bool = True) -> Any:
    return NewInstance(instance_id, b"{}", 1000, 1000, parent=parent, is_cascading=is_cascading)


async def test_a_child_that_runs_stops_when_its_parent_is_terminated(start: Callable[..., Any], host: FakeHost) -> None:
    """It is held by a runner, which is told at once."""
    stopped: list[str] = []
    begun: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        if event["instanceId"] == "parent":
            await step.wait_for_event("w", "go")

        async def callback() -> None:
            begun.append(event["instanceId"])
            try:
                await host.sleep(10**9)
            finally:
                stopped.append(event["instanceId"])

        await step.do("long", callback, config={"timeout": "1 year"})

    site = await start(run)
    parent = await site.create(id="parent")
    await site.reach(parent, "waiting")
    number = await site.journal.number_of("orders", "parent")
    await site.journal.create("orders", [child("child", number)], T0)
    site.runner.tell(None)
    await site.until(lambda: begun)
    await parent.terminate()
    await site.until(lambda: stopped)
    assert stopped == ["child"]
