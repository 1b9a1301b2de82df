"""What a test writes wrongly is refused where it stands, with what was given and what is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.runtime.testing.workflow_introspectors import IntrospectionError

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = """
    from workers import WorkflowEntrypoint

    class Order(WorkflowEntrypoint):
        async def run(self, event, step):
            @step.do("charge")
            async def charge():
                return 7

            await charge()
            await step.sleep("cool off", "1 day")
            await step.wait_for_event("approval", "approved")
"""
CHARGE: Any = {"name": "charge"}
A_STEP = r'^A step is {"name": "charge"}, or {"name": "charge", "index": 2} for the second of that name, not '
WRONG_CHANGES: dict[str, tuple[Callable[[Any], object], type[Exception], str]] = {
    "step as text": (lambda m: m.mock_step_result("charge", 1), TypeError, A_STEP + r"'charge'\.$"),
    "step without a name": (lambda m: m.mock_step_result({}, 1), TypeError, A_STEP + r"{}\."),
    "unknown key": (lambda m: m.force_event_timeout({"name": "a", "idx": 1}), TypeError, A_STEP),
    "index as text": (lambda m: m.force_step_timeout({"name": "a", "index": "1"}), TypeError, A_STEP),
    "index 0": (
        lambda m: m.mock_step_result({"name": "charge", "index": 0}, 1),
        ValueError,
        "^Steps of one name are counted from 1; the index of step 'charge' is 0.$",
    ),
    "one step for several": (
        lambda m: m.disable_sleeps({"name": "cool off"}),
        TypeError,
        r'^Several steps are a list, as \[{"name": "charge"}\], not {\'name\': \'cool off\'}\.$',
    ),
    "text for several": (lambda m: m.disable_retry_delays("charge"), TypeError, "Several steps are a list, .*'charge'"),
    "texts for several": (lambda m: m.disable_sleeps(["charge"]), TypeError, A_STEP),
    "event without a type": (
        lambda m: m.mock_event({"typ": 1}),
        TypeError,
        r'^mock_event takes {"type": "approved", "payload": ...}, the payload if any, not {\'typ\': 1}\.$',
    ),
    "event as text": (lambda m: m.mock_event("approved"), TypeError, "mock_event takes .*, not 'approved'"),
    "event with more": (lambda m: m.mock_event({"type": "a", "data": 1}), TypeError, "mock_event takes"),
    "error as text": (
        lambda m: m.mock_step_error(CHARGE, "no card"),
        TypeError,
        r'^A step fails with an exception, as ValueError\("no card"\), not \'no card\'\.$',
    ),
    "error as class": (lambda m: m.mock_step_error(CHARGE, ValueError), TypeError, "not <class 'ValueError'>"),
    "no times": (
        lambda m: m.mock_step_error(CHARGE, ValueError(), 0),
        ValueError,
        "^`times` is how many attempts fail, 1 or more, or None for all of them, not 0.$",
    ),
    "negative times": (lambda m: m.force_step_timeout(CHARGE, times=-1), ValueError, "^`times` is .*, not -1"),
    "times as text": (lambda m: m.force_step_timeout(CHARGE, times="2"), ValueError, "^`times` is .*, not '2'"),
}


@pytest.mark.parametrize(("change", "error", "text"), WRONG_CHANGES.values(), ids=WRONG_CHANGES)
async def test_a_wrong_change_is_told_and_changes_nothing(
    opened: Callable[..., Any], change: Callable[[Any], object], error: type[Exception], text: str
) -> None:
    project = await opened(ORDER)
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    for modify in (order.modify, project.workflows.introspect_workflow(project.env.ORDERS).modify_all):
        with pytest.raises(error, match=text):
            await modify(change)
    await project.env.ORDERS.create(id="a")
    assert await order.wait_for_step_result(CHARGE) == 7


async def test_a_function_that_returns_a_tuple_modifies(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    await order.modify(lambda m: (m.disable_sleeps(), m.mock_event({"type": "approved"})))
    orders = project.workflows.introspect_workflow(project.env.ORDERS)
    await orders.modify_all(lambda m: (m.mock_step_result(CHARGE, 8), None))
    await project.env.ORDERS.create(id="a")
    await order.wait_for_status("complete")
    assert await order.wait_for_step_result(CHARGE) == 8
    for modify in (order.modify, orders.modify_all):
        with pytest.raises(TypeError, match=r"Give a function of the modifier, as lambda m: .*, not 'disable_sleeps'"):
            await modify("disable_sleeps")


async def test_what_is_waited_for_can_come(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    with pytest.raises(TypeError, match=A_STEP):
        await order.wait_for_step_result("charge")
    for status in ("done", 5):
        with pytest.raises(ValueError, match=rf"^No instance becomes {status!r}: wait for one of queued, .*, complete"):
            await order.wait_for_status(status)


@pytest.mark.parametrize("wrong", ["", None, "a b", "-a", "a" * 101, 5])
async def test_an_id_that_no_instance_has_is_refused(opened: Callable[..., Any], wrong: Any) -> None:
    project = await opened(ORDER)
    with pytest.raises(ValueError, match=r"The id of an instance is 1 to 100 letters, digits, .*, not (?s:.)*\."):
        project.workflows.introspect_workflow_instance(project.env.ORDERS, wrong)
    scheduled = project.workflows.introspect_workflow_instance(project.env.ORDERS, "0 * * * *-1767225600000")
    with pytest.raises(IntrospectionError, match="it was never created"):
        await scheduled.get_output()


@pytest.mark.parametrize("back", ["-1 day", -1, " -0.5 hours"])
async def test_the_clock_does_not_move_back(opened: Callable[..., Any], back: Any) -> None:
    project = await opened(ORDER)
    with pytest.raises(ValueError, match=rf"The clock moves forward only: .* as '2 hours', not {back!r}\."):
        await project.workflows.advance(back)


async def test_a_change_of_another_kind_of_step_is_told_with_the_wait_that_is_in_vain(
    opened: Callable[..., Any],
) -> None:
    project = await opened(ORDER)
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    await order.modify(lambda m: m.mock_step_result({"name": "cool off"}, None))
    await project.env.ORDERS.create(id="a")
    told = r'- mock_step_result is for step\.do, and "cool off" \(1\) is step\.sleep: it changed nothing'
    with pytest.raises(IntrospectionError, match=rf'it sleeps in "cool off" until .*\n{told}\nNothing else happens'):
        await order.wait_for_status("complete")


async def test_a_change_of_another_kind_of_step_fails_a_test_that_would_pass(opened: Callable[..., Any]) -> None:
    project = await opened(ORDER)
    orders = project.workflows.introspect_workflow(project.env.ORDERS)
    await orders.modify_all(
        lambda m: (
            m.mock_step_error({"name": "cool off"}, ValueError()),
            m.disable_retry_delays([{"name": "approval"}]),
            m.force_event_timeout(CHARGE),
            m.mock_step_result({"name": "nobody calls it"}, 1),
            m.mock_event({"type": "approved"}),
        )
    )
    await project.env.ORDERS.create(id="a")
    await project.workflows.advance("1 day")
    order = project.workflows.introspect_workflow_instance(project.env.ORDERS, "a")
    with pytest.raises(IntrospectionError) as raised:
        await order.wait_for_status("complete")
    assert str(raised.value).splitlines() == [
        'Instance "a" of workflow "orders" is changed where it cannot be:',
        '- mock_step_error or force_step_timeout is for step.do, and "cool off" (1) is step.sleep: it changed nothing',
        '- disable_retry_delays is for step.do, and "approval" (1) is step.wait_for_event: it changed nothing',
        '- force_event_timeout is for step.wait_for_event, and "charge" (1) is step.do: it changed nothing',
    ]
    await orders.dispose()
    await order.wait_for_status("complete")
