"""A child instance of a manifest is one step for a test, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.core.errors import BindingError
from edge.runtime.testing.project import open_project
from edge.runtime.testing.workflow_introspectors import IntrospectionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge.runtime.testing.project import ProjectUnderTest
    from edge.runtime.testing.workflow_introspectors import WorkflowInstanceIntrospector

ENTRY = """
    from workers import WorkflowEntrypoint

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            await step.sleep("nap", "1 hour")
            if event["payload"]["fails"]:
                raise ValueError("no van")
            return "shipped"
"""
MANIFEST = {
    "kind": "Workflow/v1",
    "steps": {"order": {"workflow": "orders", "with": {"fails": "${params.fails}"}}},
    "output": "${steps.order.out}",
}
ORDER = {"name": "order"}


@pytest.fixture
async def project(tmp_path: Path, write_project: Callable[..., Path]) -> AsyncIterator[ProjectUnderTest]:
    path = write_project(tmp_path, ENTRY)
    (tmp_path / "parent.json").write_text(json.dumps(MANIFEST))
    (tmp_path / "edge.toml").write_text('[workflows.parent]\nmanifest = "parent.json"\nbinding = "PARENT"\n')
    async with open_project(path, state=tmp_path) as opened:
        yield opened


async def parent_of(project: ProjectUnderTest, modify: Any = None, **params: Any) -> WorkflowInstanceIntrospector:
    parent = project.workflows.introspect_workflow_instance(project.env.PARENT, "a")
    if modify is not None:
        await parent.modify(modify)
    await project.env.PARENT.create(id="a", params={"fails": False, **params})
    return parent


async def test_the_result_of_a_child_is_what_it_gave(project: ProjectUnderTest) -> None:
    parent = await parent_of(project)
    with pytest.raises(IntrospectionError, match=r'it waits in "order" for the end of orders/a-\w+ until '):
        await parent.wait_for_step_result(ORDER)
    await project.workflows.advance("1 hour")
    assert await parent.wait_for_step_result(ORDER) == "shipped"
    assert await parent.get_output() == "shipped"


async def test_a_child_that_fails_raises_its_reason(project: ProjectUnderTest) -> None:
    parent = await parent_of(project, fails=True)
    await project.workflows.advance("1 hour")
    with pytest.raises(BindingError, match="is errored: ValueError: no van"):
        await parent.wait_for_step_result(ORDER)


async def test_a_child_is_mocked_as_any_step(project: ProjectUnderTest) -> None:
    parent = await parent_of(project, lambda m: m.mock_step_result(ORDER, "mocked"))
    assert await parent.wait_for_step_result(ORDER) == await parent.get_output() == "mocked"
    async with project.workflows.introspect_workflow(project.env.ORDERS) as orders:
        assert await orders.get() == []


async def test_a_child_is_made_to_fail_or_to_be_late(project: ProjectUnderTest) -> None:
    parent = await parent_of(project, lambda m: m.force_event_timeout(ORDER))
    assert (await parent.get_error())["name"] == "WorkflowTimeoutError"
