"""How a step that was cut off is shown: with the status of what cut it off, and with an error only where it failed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.inspection import OUTPUTS_BYTES_MAX, instance_detail, step_detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.testing.fake_host import FakeHost

INTERRUPTED = "Attempt failed due to internal workflows error"


class Busy:
    """A run with a step of each kind that goes on, side by side."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.begun = 0
        self.is_let_go = False

    async def run(self, workflow: Any, event: Any, step: Any) -> Any:
        return await asyncio.gather(
            step.do("work", self.work, config={"timeout": "1 year"}),
            step.do("again", self.fail, config={"retries": {"limit": 5, "delay": "1 day"}}),
            step.sleep("nap", "1 day"),
            step.wait_for_event("news", "news", timeout="2 days"),
        )

    async def work(self) -> str:
        self.begun += 1
        if not self.is_let_go:
            await self.host.sleep(10**9)
        return "worked"

    async def fail(self) -> None:
        raise ValueError("no")


class Shown:
    """An instance as the service shows it."""

    def __init__(self, site: Any, instance: Any) -> None:
        self._site = site
        self._id = instance.id

    async def steps(self) -> dict[str, dict[str, Any]]:
        detail = await instance_detail(await self._instance(), self._site.journal)
        return {one["name"]: dict(one) for one in detail.steps if "name" in one}

    async def alone(self, name: str, attempt: int | None = None) -> tuple[str, str | None]:
        kind = "waitForEvent" if name.startswith("news") else "step"
        found = await step_detail(await self._instance(), self._site.journal, name, kind, attempt)
        return str(found.status), found.error and found.error.message

    async def all_alone(self) -> dict[str, tuple[str, str | None]]:
        return {name: await self.alone(name) for name in ("work-1", "again-1", "news-1")}

    async def _instance(self) -> Any:
        return await self._site.journal.find("orders", self._id)


@pytest.fixture
def busy(host: FakeHost) -> Busy:
    return Busy(host)


@pytest.fixture
async def site(start: Callable[..., Any], busy: Busy) -> Any:
    async def run(self: Any, event: Any, step: Any) -> Any:
        return await busy.run(self, event, step)

    return await start(run)


async def begun(site: Any, busy: Busy) -> Any:
    """An instance whose steps have all begun."""
    instance = await site.create()

    async with asyncio.timeout(60):
        while len(await site.steps(instance)) < 4 or not busy.begun:  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)
    return instance


async def test_what_goes_on_has_no_error(site: Any, busy: Busy) -> None:
    shown = Shown(site, await begun(site, busy))
    assert await shown.all_alone() == {
        "work-1": ("running", None),
        "again-1": ("waiting", None),
        "news-1": ("waiting", None),
    }
    assert await shown.alone("again-1", attempt=1) == ("errored", "no")
    assert await shown.alone("work-1", attempt=1) == ("running", None)


@pytest.mark.parametrize("how", ["terminate", "fail"])
async def test_what_an_end_cuts_off_is_terminated_then(site: Any, busy: Busy, host: FakeHost, how: str) -> None:
    """However the instance ends: nothing of it says that it still runs."""
    instance = await begun(site, busy)
    shown = Shown(site, instance)
    if how == "terminate":
        await instance.terminate()
        ended_s = host.now()
    else:
        await host.advance(2 * 86_400)
        await site.error(instance)
        ended_s = host.now()
    alone = {"work-1": ("terminated", None), "again-1": ("terminated", None), "news-1": ("terminated", None)}
    if how == "fail":
        alone["news-1"] = ("errored", "Execution timed out after 172800000ms")
    assert await shown.all_alone() == alone
    assert await shown.alone("work-1", attempt=1) == ("terminated", None)
    work = (await shown.steps())["work-1"]
    assert (work["success"], work["end"]) == (False, int(ended_s * 1000))
    assert [(one["success"], one["end"], one["error"]) for one in work["attempts"]] == [(False, work["end"], None)]
    nap = (await shown.steps())["nap-1"]
    assert (nap["finished"], nap["end"] is None) == (how == "fail", False)


async def test_an_attempt_that_a_kill_cut_off_has_failed_and_the_step_has_not(site: Any, busy: Busy) -> None:
    instance = await begun(site, busy)
    shown = Shown(site, instance)
    await site.crash()
    assert await shown.alone("work-1") == ("running", None), "nobody knows yet"
    busy.is_let_go = True
    site.start()
    await site.until(lambda: busy.begun == 2)
    async with asyncio.timeout(60):
        while (await shown.alone("work-1"))[0] == "running":  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)
    assert await shown.alone("work-1") == ("complete", None)
    assert await shown.alone("work-1", attempt=1) == ("errored", INTERRUPTED)
    assert await shown.alone("work-1", attempt=2) == ("complete", None)


async def test_what_stands_still_with_its_instance_is_paused(site: Any, busy: Busy) -> None:
    """One that is parked for its crashes, so that its step was not let finish."""
    instance = await begun(site, busy)
    site.runner._crash_count_max = 1
    await site.crash()
    site.start()
    await site.reach(instance, "paused")
    shown = Shown(site, instance)
    assert await shown.all_alone() == {
        "work-1": ("paused", None),
        "again-1": ("paused", None),
        "news-1": ("paused", None),
    }
    assert (await shown.steps())["work-1"]["end"] is None


async def test_a_step_that_lost_a_race_is_terminated_although_all_went_well(
    start: Callable[..., Any], host: FakeHost
) -> None:
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await host.sleep(10**9)

    async def run(self: Any, event: Any, step: Any) -> Any:
        late = host.spawn(step.do("late", never), name="late")
        await begun.wait()
        await step.do("first", lambda: 1)
        assert not late.done()
        return "won"

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    shown = Shown(site, instance)
    assert await shown.alone("first-1") == ("complete", None)
    assert await shown.alone("late-1") == ("terminated", None)


async def test_an_attempt_that_took_too_long_says_so(start: Callable[..., Any], host: FakeHost) -> None:
    busy = Busy(host)
    config = {"timeout": "1 second", "retries": {"limit": 1, "delay": "1 day"}}

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("slow", busy.work, config=config)

    site = await start(run)
    instance = await site.create()
    shown = Shown(site, instance)
    await site.until(lambda: busy.begun)
    await host.advance(2)
    await site.reach(instance, "waiting")
    timed_out = "Execution timed out after 1000ms"
    assert await shown.alone("slow-1") == ("waiting", None)
    assert await shown.alone("slow-1", attempt=1) == ("errored", timed_out)
    await host.advance(86_400)
    await site.until(lambda: busy.begun == 2)
    await host.advance(2)
    await site.error(instance)
    assert await shown.alone("slow-1") == ("errored", timed_out)


async def test_a_step_that_is_cut_off_by_a_rollback_ended_when_that_began(
    start: Callable[..., Any], host: FakeHost
) -> None:
    busy = Busy(host)
    undoing: list[int] = []

    async def undo(_: Any) -> None:
        undoing.append(1)
        await host.sleep(10**9)

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("charge", lambda: 1, rollback=undo)
        await step.do("work", busy.work)

    site = await start(run)
    instance = await site.create()
    await site.until(lambda: busy.begun)
    await host.advance(5)
    cut_off_ms = int(host.now() * 1000)
    await instance.terminate({"rollback": True})
    await site.until(lambda: undoing)
    shown = Shown(site, instance)
    work = (await shown.steps())["work-1"]
    assert (work["status"], work["end"]) == ("terminated", cut_off_ms)
    assert await shown.alone("charge-1") == ("complete", None)


async def test_who_asked_for_a_rollback_has_terminated_what_it_undid(start: Callable[..., Any]) -> None:
    """The end is the runner's own, so it is told with the beginning."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        await step.do("charge", lambda: 1, rollback=lambda _: None)
        await step.wait_for_event("news", "news")

    site = await start(run)
    instance = await site.create()
    await site.reach(instance, "waiting")
    await instance.terminate({"rollback": True})
    async with asyncio.timeout(60):
        while (await instance.status())["status"] != "terminated":  # noqa: ASYNC110 - the journal tells nobody
            await asyncio.sleep(0.001)
    detail = await instance_detail(await site.journal.find("orders", instance.id), site.journal)
    assert detail.steps[-1] == {"type": "termination", "trigger": {"source": "binding"}}


async def test_the_outputs_of_many_steps_are_cut_shorter(start: Callable[..., Any]) -> None:
    """So that an answer with all of them stays small; one alone is whole."""

    async def run(self: Any, event: Any, step: Any) -> Any:
        for number in range(40):
            await step.do(f"s{number}", lambda: "x" * 200_000)

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    found = await site.journal.find("orders", instance.id)
    detail = await instance_detail(found, site.journal, output_bytes_max=150_000)
    share_bytes = OUTPUTS_BYTES_MAX // 40
    lengths = {len(one["output"].partition("... (cut")[0]) for one in detail.steps}
    assert lengths == {share_bytes}
    assert (await step_detail(found, site.journal, "s0-1", "step", None)).output == "x" * 200_000
    whole = await instance_detail(found, site.journal)
    assert {one["output"] for one in whole.steps} == {"x" * 200_000}


async def test_one_step_is_read_without_the_others(start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_: Any, event: Any, step: Any) -> None:
        for name in ("a", "a", "a-1"):
            await step.do(name, lambda name=name: name, rollback=_undo)

    site = await start(run)
    instance = await site.create()
    await site.output(instance)
    for whole in ("steps", "history"):
        monkeypatch.delattr(type(site.journal), whole)
    found = await site.journal.find("orders", instance.id)
    for name, output in (("a-1", "a"), ("a-2", "a"), ("a-1-1", "a-1")):
        assert (await step_detail(found, site.journal, name, "step", None)).output == output
    for nothing in ("a", "a-3", "a-01", "a-1 ", "a-\u0661", "-1", "1", f"a-{10**40}", "a-1-2"):
        with pytest.raises(WorkflowError, match=r"step\.not_found"):
            await step_detail(found, site.journal, nothing, "step", None)


async def _undo() -> None: ...
