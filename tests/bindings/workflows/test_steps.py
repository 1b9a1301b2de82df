"""`step`, through a real runner and journal."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import WorkflowFatalError, WorkflowTimeoutError
from edge.runtime.core.errors import BindingError
from edge.runtime.core.workflow_errors import NonRetryableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

QUICK = {"retries": {"limit": 2, "delay": 0}}


async def test_a_run_gets_its_event_and_its_return_value_is_the_output(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: dict[str, Any], step: Any) -> Any:
        return [event["payload"], event["instanceId"], event["workflowName"], event["timestamp"]]

    site = await start(run)
    created = datetime.fromtimestamp(site.host.now(), UTC)
    assert await site.output(await site.create({"n": 1}, id="a")) == [{"n": 1}, "a", "orders", created]


async def test_steps_of_both_forms_give_their_values(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do("first")
        async def first() -> int:
            return 1

        async def second() -> int:
            return 2

        third = await step.do("third", lambda ctx: [ctx["step"], ctx["attempt"], ctx["config"]["retries"]["limit"]])
        return [await first(), await step.do("second", second), third]

    site = await start(run)
    assert await site.output(await site.create()) == [1, 2, [{"name": "third", "count": 1}, 1, 5]]


async def test_a_tuple_comes_back_as_a_list_on_the_first_pass_too(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        return repr(await step.do("x", lambda: (1, {"at": datetime(2026, 1, 1, tzinfo=UTC)}, b"x", {3}, 2**70)))

    site = await start(run)
    expected = repr([1, {"at": datetime(2026, 1, 1, tzinfo=UTC)}, b"x", {3}, 2**70])
    assert await site.output(await site.create()) == expected


async def test_parameters_named_after_steps_are_their_results(start: Callable[..., Any]) -> None:
    calls: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do()
        async def left() -> int:
            calls.append("left")
            return 1

        @step.do()
        async def right(left: int) -> int:
            return left + 1

        @step.do("sum", concurrent=True)
        async def total(left: int, right: int, ctx: Any) -> list[Any]:
            return [left, right, ctx["step"]["name"]]

        return await total()

    site = await start(run)
    assert await site.output(await site.create()) == [1, 2, "sum"]
    assert calls == ["left"]


async def test_before_the_compatibility_date_dependencies_are_listed(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do("one")
        async def one() -> int:
            return 1

        @step.do("two", depends=[one])
        async def two(found: int) -> int:
            return found + 1

        @step.do("three")
        async def three(found: int) -> int:
            return found

        try:
            await three()
        except TypeError as error:
            return [await two(), str(error)]

    site = await start(run, has_implicit_dependencies=False)
    text = "Step has 1 non-ctx parameter(s) but no 'depends' list provided"
    assert await site.output(await site.create()) == [2, text]


async def test_an_unknown_parameter_is_a_type_error(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        @step.do()
        async def lonely(nobody: int) -> int:
            return nobody

        await lonely()

    site = await start(run)
    assert await site.error(await site.create()) == {
        "name": "TypeError",
        "message": "Received unexpected parameter nobody",
    }


async def test_a_failing_step_is_tried_again_after_its_delay(start: Callable[..., Any], host: FakeHost) -> None:
    attempts: list[tuple[int, float]] = []
    began = host.now()

    async def run(self: Any, event: Any, step: Any) -> Any:
        def flaky(ctx: Any) -> str:
            attempts.append((ctx["attempt"], host.now() - began))
            if ctx["attempt"] < 4:
                raise ValueError("not yet")
            return "done"

        return await step.do("flaky", flaky, config={"retries": {"limit": 5, "delay": "10 seconds"}})

    site = await start(run)
    instance = await site.create()
    for _ in range(3):
        await site.reach(instance, "waiting")
        attempt_count = len(attempts)
        await host.advance(10 * 2 ** (attempt_count - 1))
        await site.until(lambda: len(attempts) > attempt_count)  # noqa: B023 - called before the loop goes on
    assert await site.output(instance) == "done"
    assert [(n, round(at)) for n, at in attempts] == [(1, 0), (2, 10), (3, 30), (4, 70)]


async def test_the_last_error_is_raised_the_same_on_every_pass(start: Callable[..., Any], host: FakeHost) -> None:
    calls: list[int] = []
    seen: list[tuple[type, str]] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        for name, error in (("v", ValueError("bad")), ("k", KeyError("x"))):

            def fail(ctx: Any, error: Exception = error) -> None:
                calls.append(ctx["attempt"])
                raise error

            try:
                await step.do(name, fail, config=QUICK)
            except Exception as caught:  # noqa: BLE001 - what user code writes
                seen.append((type(caught), str(caught)))
        await step.sleep("then", "1 hour")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(3601)
    await site.output(instance)
    assert calls == [1, 2, 3, 1, 2, 3]
    assert seen == 2 * [(ValueError, "bad"), (BindingError, "KeyError: 'x'")]


class CardStolenError(NonRetryableError):
    """A user's own."""


async def test_a_non_retryable_error_ends_the_step_at_once(start: Callable[..., Any]) -> None:
    calls: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def pay() -> None:
            calls.append(1)
            raise CardStolenError("stop")

        try:
            await step.do("pay", pay)
        except NonRetryableError as error:
            if event["payload"].get("catch"):
                return str(error)
            raise

    site = await start(run)
    assert await site.output(await site.create({"catch": True})) == "stop"
    assert await site.error(await site.create()) == {"name": "NonRetryableError", "message": "stop"}
    assert len(calls) == 2


async def test_an_attempt_that_takes_too_long_is_cancelled(start: Callable[..., Any], host: FakeHost) -> None:
    ended: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def slow() -> None:
            ended.append("began")
            try:
                await host.sleep(1000)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        config = {"retries": {"limit": 0, "delay": 0}, "timeout": "5 minutes"}
        try:
            await step.do("slow", slow, config=config)
        except WorkflowTimeoutError as error:
            return str(error)

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: ended)
    await host.advance(301)
    assert await site.output(instance) == "WorkflowTimeoutError: Execution timed out after 300000ms"
    assert ended == ["began", "cancelled"]


async def returns_late() -> str:
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        return "late"


async def fails_late() -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        raise ValueError("no cleanup")


@pytest.mark.parametrize("callback", [returns_late, fails_late])
async def test_an_attempt_that_is_cancelled_is_late_however_it_ends(
    start: Callable[..., Any], host: FakeHost, callback: Callable[..., Any]
) -> None:
    """And nothing of it is left over for the next one."""
    began: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def body() -> Any:
            began.append(1)
            return await callback()

        config = {"retries": {"limit": 1, "delay": 0}, "timeout": "1 second"}
        told = []
        for name in "ab":
            try:
                told.append(await step.do(name, body, config=config))
            except WorkflowTimeoutError as error:
                told.append(error.message)
        return told

    site = await start(run)
    instance = await site.create()
    for count in range(1, 5):
        await site.until(lambda: len(began) == count)  # noqa: B023 - called here
        await host.advance(1.1)
    assert await site.output(instance) == ["Execution timed out after 1000ms"] * 2


async def test_what_a_step_awaits_may_be_cancelled(start: Callable[..., Any]) -> None:
    attempts: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def work(ctx: Any) -> str:
            attempts.append(ctx["attempt"])
            elsewhere = asyncio.get_running_loop().create_future()
            if len(attempts) != 2:
                elsewhere.cancel()
                await elsewhere
            return "done"

        done = await step.do("again", work, config={"retries": {"limit": 1, "delay": 0}})
        try:
            await step.do("never", work, config={"retries": {"limit": 0, "delay": 0}})
        except BindingError as error:
            return [done, error.name, error.message]

    site = await start(run)
    told = 'Attempt 1 of step "never-1" awaited something that was cancelled.'
    assert await site.output(await site.create()) == ["done", "CancelledError", told]
    assert attempts == [1, 2, 1]


async def test_parallel_steps_of_one_name_overlap_and_are_told_apart(start: Callable[..., Any]) -> None:
    gate = asyncio.Event()
    running: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def work(ctx: Any) -> int:
            running.append(ctx["step"]["count"])
            await gate.wait()
            count: int = ctx["step"]["count"]
            return count

        return await asyncio.gather(*(step.do("same", work) for _ in range(3)))

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: len(running) == 3)
    gate.set()
    assert await site.output(instance) == [1, 2, 3]


async def test_a_step_inside_a_step_is_remembered(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        async def outer(ctx: Any) -> int:
            inner: int = await step.do("inner", lambda: 20)
            return inner + ctx["attempt"]

        return await step.do("outer", outer)

    site = await start(run)
    instance = await site.create()
    assert await site.output(instance) == 21
    assert list(await site.steps(instance)) == ["outer-1", "inner-1"]


async def test_except_exception_cannot_swallow_a_hibernation(start: Callable[..., Any], host: FakeHost) -> None:
    caught: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        try:
            await step.sleep("long", "2 days")
        except Exception as error:  # noqa: BLE001 - what user code writes
            caught.append(repr(error))
        return "woke"

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await site.until(lambda: not site.runner._passes)
    await host.advance(172_800)
    assert await site.output(instance) == "woke"
    assert caught == []


async def test_code_that_swallows_even_the_cancellation_gets_no_further_step(
    start: Callable[..., Any], host: FakeHost
) -> None:
    passes: list[str] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append("pass")
        try:
            await step.sleep("long", "1 day")
        except BaseException:  # noqa: BLE001 - what user code writes
            await step.do("after", lambda: passes.append("wrong"))
        return len(passes)

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await host.advance(86_401)
    assert await site.output(instance) == 2


async def test_a_non_retryable_error_may_have_a_name_beside_its_message(start: Callable[..., Any]) -> None:
    class Stop(NonRetryableError):
        pass

    async def run(self: Any, event: Any, step: Any) -> Any:
        def fail() -> None:
            raise Stop("stop", "Custom")

        try:
            await step.do("x", fail)
        except NonRetryableError as error:
            return [str(error), error.name]

    site = await start(run)
    instance = await site.create()
    assert await site.output(instance) == ["stop", "NonRetryableError"]
    assert (await site.steps(instance))["x-1"].attempt == 1
    assert NonRetryableError("stop", "Custom").name == "Custom"
    assert str(NonRetryableError()) == ""


async def test_sleep_until_is_not_in_the_past_on_a_replay(start: Callable[..., Any], host: FakeHost) -> None:
    """Both references fail here: their key holds the remaining time."""
    at = datetime.fromtimestamp(host.now() + 60, UTC)
    passes: list[int] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        passes.append(1)
        await step.sleep_until("first", at)
        await step.sleep("second", "1 hour")
        return "done"

    site = await start(run)
    instance = await site.create()
    for pass_count in (1, 2):
        await site.until(lambda: len(passes) == pass_count and not site.runner._passes)  # noqa: B023 - called here
        await host.advance(3700)
    assert await site.output(instance) == "done"


async def test_sleeping_until_the_past_is_refused(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.sleep_until("x", int(host.now()))

    site = await start(run)
    error = await site.error(await site.create())
    assert error["message"] == "You can't sleep until a time in the past, time-traveler"


@pytest.mark.parametrize(
    "at",
    [math.nan, math.inf, 2**70, 10**5000, datetime.max.replace(tzinfo=UTC), True, "soon"],
    ids=lambda at: f"{type(at).__name__}",
)
async def test_sleeping_until_what_is_no_time_is_refused(start: Callable[..., Any], at: object) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.sleep_until("x", at)

    site = await start(run)
    error = await site.error(await site.create())
    assert error["name"] == "WorkflowFatalError"
    assert error["message"].startswith('sleep_until("x") got ')
    assert error["message"].endswith(
        ": give a datetime, an ISO 8601 text, or Unix milliseconds, before the year 10000."
    )


async def test_sleeping_until_the_last_year_waits(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.sleep_until("x", "9999-12-31T23:59:59")

    site = await start(run)
    await site.reach(await site.create(), "waiting")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda step: step.do("a" * 257, print), f'Step name "{"a" * 257}" exceeds max length'),
        (lambda step: step.do("a\n", print), 'Step name "a\n" exceeds max length'),
        (lambda step: step.do("\ud800", print), 'Step name "\ud800" exceeds max length'),
        (lambda step: step.wait_for_event("w", "\ud800"), "The type of an event is a text of 1 to 100 characters"),
        (lambda step: step.do("a", print, config={"retries": {"limit": 1}}), 'Step config for "a" is in a invalid'),
        (lambda step: step.do("a", print, config={"other": 1}), 'Step config for "a" is in a invalid'),
        (lambda step: step.sleep("a", "soon"), "The duration of sleep \"a\" is 'soon'"),
        (lambda step: step.wait_for_event("a", ""), "The type of an event is"),
    ],
    ids=[
        "long name",
        "control character",
        "half a pair",
        "type with half a pair",
        "half a retry",
        "unknown key",
        "no duration",
        "no type",
    ],
)
async def test_a_wrong_call_is_told_and_can_be_caught(
    start: Callable[..., Any], call: Callable[..., Any], message: str
) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        try:
            await call(step)
        except WorkflowFatalError as error:
            return error.message

    site = await start(run)
    assert (await site.output(await site.create())).startswith(message)


async def test_a_result_that_cannot_be_stored_ends_the_instance_or_the_step(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        kind = event["payload"]["kind"]
        loop: list[Any] = []
        loop.append(loop)
        result = {"function": print, "class": object(), "large": "x" * 1024 * 1024, "cyclic": loop}[kind]
        try:
            await step.do("v", lambda: result, config=QUICK)
        except Exception as error:  # noqa: BLE001 - what user code writes
            return str(error)

    site = await start(run)
    assert await site.error(await site.create({"kind": "function"})) == {
        "name": "WorkflowFatalError",
        "message": 'The execution of the Workflow instance was terminated, as the step "v" returned a value which is '
        "not serialisable",
    }
    told = [await site.output(await site.create({"kind": kind})) for kind in ("class", "large", "cyclic")]
    assert "DataCloneError" in told[0]
    assert told[1:] == [
        "WorkflowFatalError: Step v-1 output is too large. Maximum allowed size is 1MiB.",
        "Converting circular structure to JSON",
    ]


async def test_the_step_after_the_last_allowed_one_ends_the_instance(start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        for _ in range(4):
            try:
                await step.do("x", lambda: 1)
            except Exception:  # noqa: BLE001 - what user code writes
                return "caught"
        return None

    site = await start(run, steps_max=3)
    assert (await site.error(await site.create()))["message"].startswith("The limit of 3 steps has been reached.")


async def test_a_failed_run_undoes_its_steps_in_reverse(start: Callable[..., Any]) -> None:
    undone: list[Any] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        def undo(found: Any) -> None:
            undone.append((found["stepName"], found["output"], str(found["error"])))

        await step.do("a", lambda: "A", rollback=undo)
        await step.do("b", lambda: "B")
        await step.do("c", lambda: 1 / 0, rollback=undo, config={"retries": {"limit": 0, "delay": 0}})

    site = await start(run)
    error = await site.error(await site.create())
    text = "ZeroDivisionError: division by zero"
    assert undone == [("c-1", None, text), ("a-1", "A", text)]
    assert error == {"name": "ZeroDivisionError", "message": "division by zero"}


async def test_an_at_most_once_step_is_told_of_its_interruption(start: Callable[..., Any]) -> None:
    calls: list[int] = []
    hold = asyncio.Event()

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def once(ctx: Any) -> None:
            calls.append(ctx["attempt"])
            await hold.wait()

        config = {"retries": {"limit": 0, "delay": 0}, "semantics": "at_most_once"}
        try:
            await step.do("once", once, config=config)
        except BindingError as error:
            return error.name

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: calls)
    await site.crash()
    site.start()
    assert await site.output(instance) == "StepInterruptedError"
    assert calls == [1]


async def test_a_delay_function_decides_the_wait(start: Callable[..., Any], host: FakeHost) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        def delay(found: Any) -> str:
            return f"{found['ctx']['attempt'] * 60} seconds"

        def fail(ctx: Any) -> int:
            if ctx["attempt"] == 1:
                raise ValueError("again")
            attempt: int = ctx["attempt"]
            return attempt

        return await step.do("x", fail, config={"retries": {"limit": 1, "delay": delay, "backoff": "constant"}})

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    assert (await site.steps(instance))["x-1"].due_ms == int(host.now() * 1000) + 60_000
    await host.advance(61)
    assert await site.output(instance) == 2


async def test_a_step_that_nobody_awaits_is_cut_at_the_end_and_told_of(start: Callable[..., Any]) -> None:
    told: list[str] = []
    tasks: list[asyncio.Future[Any]] = []

    async def run(self: Any, event: Any, step: Any) -> Any:
        async def endless() -> None:
            told.append("began")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                told.append("cut")

        tasks.append(asyncio.ensure_future(step.do("forgotten", endless)))
        await step.do("awaited", lambda: 1)
        return "done"

    site = await start(run)
    assert await site.output(await site.create()) == "done"
    assert told == ["began", "cut"]
    (warned,) = [values for _, event, values in site.host.log.lines if event == "workflow_steps_not_awaited"]
    assert warned["step_count"] == 1
