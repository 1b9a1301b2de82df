"""Schedules start instances at their times: once, in time, and after what nobody saw."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings._shared.cron import parse_cron
from edge.bindings.spec import Site as BindingSite
from edge.bindings.workflows import SCHEDULES_MAX, WorkflowEntry, values
from edge.bindings.workflows.journal.records import Fire, InstanceFilter, NewInstance, Status, Trigger
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.bindings.workflows.local import open_binding
from edge.bindings.workflows.manifests.applied import AppliedManifests
from edge.bindings.workflows.registry import Registry
from edge.bindings.workflows.schedules import MISSED_COUNT_MAX, Missed, WorkflowSchedules, due_times
from edge.bindings.workflows.workflow import WorkflowTools
from edge.runtime.core.errors import BackendError
from edge.runtime.testing.fake_host import FakeHost
from edge.wrangler_config.worker_config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge.bindings.workflows.journal.sqlite_journal import SqliteJournal

START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
MINUTE_S, HOUR_S, DAY_S, YEAR_S = 60, 3600, 86_400, 365 * 86_400
HOURLY = "0 * * * *"
PATIENCE_S = 60.0


def ms(hour: int, minute: int = 0, day: int = 1) -> int:
    return START_MS + ((day - 1) * DAY_S + hour * HOUR_S + minute * MINUTE_S) * 1000


CONFIG = WorkerConfig(
    path=Path("wrangler.toml"),
    name="shop",
    main=None,
    environment=None,
    compatibility_date=None,
    compatibility_flags=(),
    vars={},
    secret_names=frozenset(),
    bindings={},
    unsupported={},
)


class Site:
    """One process that fires the schedules of a state folder."""

    def __init__(self, host: FakeHost, journal: SqliteJournal, missed: Missed) -> None:
        self.host = host
        self.journal = journal
        self.told: list[Any] = []
        tools = WorkflowTools(journal, host, self.told.append)
        manifests = AppliedManifests(tools, {}, CONFIG)
        self.registry = Registry(
            journal, host, CONFIG, None, {}, manifests=manifests, is_dev=False, on_change=self._look_again
        )
        self.schedules = WorkflowSchedules(tools, self.registry, missed=missed)
        self._task: asyncio.Task[None] | None = None
        self.looks_begun = self.looks = 0
        self._look = self.schedules._fire_due
        self.schedules._fire_due = self._counted  # type: ignore[method-assign]

    def _look_again(self) -> None:
        self.schedules.look()

    async def _counted(self) -> int:
        self.looks_begun += 1
        try:
            return await self._look()
        finally:
            self.looks += 1

    async def declare(self, *schedules: str, name: str = "orders") -> None:
        await self.registry.declare([WorkflowEntry("ORDERS", name, "Order", schedules=list(schedules))])

    async def start(self) -> None:
        looks = self.looks
        self._task = self.host.spawn(self.schedules.run(), name="schedules")
        await self.until(lambda: self.looks > looks)

    async def stop(self) -> None:
        assert self._task is not None, "it runs"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def advance(self, seconds: float) -> None:
        """Move the clock as a machine that is awake sees it: a look at least every half minute."""
        until = self.host.now() + seconds
        while self.host.now() < until:
            await self.host.advance(min(30.0, until - self.host.now()))
            await self.until(lambda: self.looks == self.looks_begun)

    async def jump(self, seconds: float) -> None:
        """Move the clock at once."""
        looks = self.looks
        self.host._now += seconds
        self.schedules.look()
        await self.until(lambda: self.looks > looks)

    async def until(self, is_so: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110 - the parts under test tell nobody
                await asyncio.sleep(0.001)
        await self.host.settle()

    async def fired(self, name: str = "orders") -> list[int]:
        """Times whose instance was made, in the order they were made."""
        page = await self.journal.list(name, InstanceFilter(is_ascending=True), after=None, offset=0, count_max=10_000)
        assert all(instance.fire is not None for instance in page.items)
        return [instance.fire.at_ms for instance in page.items if instance.fire is not None]


@asynccontextmanager
async def open_site(folder: Path, missed: Missed = Missed.LATEST, now: float | None = None) -> AsyncIterator[Site]:
    host = FakeHost(folder, now=START.timestamp() if now is None else now)
    async with open_journal(folder / "workflows.sqlite") as journal:
        yield Site(host, journal, missed)
        await host.aclose()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as site:
        yield site


async def test_each_time_starts_one_instance_that_knows_its_time(site: Site) -> None:
    await site.declare(HOURLY)
    await site.start()
    await site.advance(2 * HOUR_S + MINUTE_S)
    assert await site.fired() == [ms(1), ms(2)]
    made = await site.journal.find("orders", f"{HOURLY}-{ms(1)}")
    assert made is not None
    assert (made.trigger, made.fire, made.created_ms) == (Trigger.CRON, (HOURLY, ms(1)), ms(1))
    assert site.told == [None, None]


async def test_a_time_is_fired_at_its_millisecond(site: Site) -> None:
    await site.declare("*/20 * * * *")
    await site.start()
    await site.advance(HOUR_S)
    page = await site.journal.list("orders", InstanceFilter(), after=None, offset=0, count_max=10)
    assert [one.created_ms for one in page.items] == [ms(1), ms(0, 40), ms(0, 20)]


async def test_several_schedules_and_workflows_fire_side_by_side(site: Site) -> None:
    await site.declare(HOURLY, "30  *\t* * *", HOURLY)
    await site.declare("0 2 * * *", name="reports")
    await site.start()
    await site.advance(2 * HOUR_S)
    assert await site.fired() == [ms(0, 30), ms(1), ms(1, 30), ms(2)]
    assert await site.fired("reports") == [ms(2)]


async def test_a_schedule_that_is_added_fires_from_then_on_and_one_that_is_removed_does_not(site: Site) -> None:
    await site.declare()
    await site.start()
    await site.advance(HOUR_S + 10)
    await site.declare(HOURLY)
    await site.advance(HOUR_S)
    await site.declare()
    await site.advance(2 * HOUR_S)
    await site.declare(HOURLY)
    await site.advance(HOUR_S)
    assert await site.fired() == [ms(2), ms(5)]


async def test_a_restart_within_the_same_minute_fires_nothing_again(site: Site) -> None:
    await site.declare(HOURLY)
    await site.start()
    await site.advance(HOUR_S)
    await site.stop()
    await site.start()
    await site.advance(MINUTE_S)
    assert await site.fired() == [ms(1)]


@pytest.mark.parametrize(
    ("missed", "times"),
    [(Missed.LATEST, [ms(4)]), (Missed.NONE, []), (Missed.ALL, [ms(1), ms(2), ms(3), ms(4)])],
)
async def test_what_was_missed_while_nothing_ran_is_made_up_for_as_configured(
    tmp_path: Path, missed: Missed, times: list[int]
) -> None:
    async with open_site(tmp_path, missed) as site:
        await site.declare(HOURLY)
        await site.start()
        await site.stop()
        await site.host.advance(4 * HOUR_S + 10 * MINUTE_S)
        await site.start()
        assert await site.fired() == times
        await site.advance(HOUR_S)
        assert await site.fired() == [*times, ms(5)]


async def test_a_time_of_the_last_minute_was_not_missed(tmp_path: Path) -> None:
    async with open_site(tmp_path, Missed.NONE) as site:
        await site.declare(HOURLY)
        await site.host.advance(HOUR_S + 59)
        await site.start()
        assert await site.fired() == [ms(1)]


async def test_a_clock_that_jumps_ahead_makes_up_for_the_latest_and_goes_on(site: Site) -> None:
    await site.declare(HOURLY)
    await site.start()
    await site.jump(5 * HOUR_S + 90)
    await site.advance(HOUR_S)
    assert await site.fired() == [ms(5), ms(6)]
    assert site.host.log.events("info") == ["workflow_schedule_made_up_for"]


@pytest.mark.parametrize("seconds", [HOUR_S, 5 * HOUR_S], ids=["an hour", "beyond its start"])
async def test_a_clock_that_jumps_back_fires_no_time_twice(site: Site, seconds: int) -> None:
    await site.declare(HOURLY)
    await site.start()
    await site.advance(3 * HOUR_S + 60)
    await site.jump(-seconds)
    await site.advance(seconds + HOUR_S)
    fired = await site.fired()
    assert len(fired) == len(set(fired))
    assert sorted(at for at in fired if at > ms(0)) == [ms(1), ms(2), ms(3), ms(4)]


@pytest.mark.parametrize("years", [1, 12, -1, -56], ids=["+1", "2038", "-1", "1970"])
async def test_a_clock_that_was_wrong_by_years_and_is_put_right_goes_on(site: Site, years: int) -> None:
    await site.declare(HOURLY)
    await site.start()
    await site.advance(HOUR_S + 60)
    await site.jump(years * YEAR_S)
    await site.advance(60)
    await site.jump(-years * YEAR_S)
    await site.advance(2 * HOUR_S)
    fired = await site.fired()
    assert [at for at in sorted(fired) if ms(0) < at < ms(6)] == [ms(1), ms(2), ms(3)]
    assert len(fired) == len(set(fired))


async def test_several_processes_start_one_instance_per_time(tmp_path: Path) -> None:
    async with open_site(tmp_path) as one, open_site(tmp_path) as other:
        await one.declare("*/10 * * * *")
        await one.start()
        await other.start()
        for _ in range(12):
            await asyncio.gather(one.advance(5 * MINUTE_S), other.advance(5 * MINUTE_S))
        assert await one.fired() == [ms(0, minute) for minute in range(10, 61, 10)]
        assert len(one.told) + len(other.told) == 6


@pytest.mark.parametrize(("options", "times"), [([], [ms(1)]), (["--commit-first"], [])], ids=["", "control"])
async def test_a_kill_between_taking_a_time_and_making_its_instance_loses_nothing(
    site: Site, options: list[str], times: list[int]
) -> None:
    """Both are one commit. The control commits between them, and the time is lost."""
    await site.declare(HOURLY)
    await site.host.advance(HOUR_S + 30)
    command = [sys.executable, Path(__file__).parent / "die_while_firing.py", site.host.state_dir, HOURLY, str(ms(1))]
    child = await asyncio.create_subprocess_exec(*command, *options)
    assert await child.wait() == -signal.SIGKILL
    await site.start()
    assert await site.fired() == times


async def test_storage_that_fails_is_tried_again_and_the_time_is_not_lost(site: Site) -> None:
    await site.declare(HOURLY)
    await site.start()
    works, site.journal.fire = site.journal.fire, _full  # type: ignore[method-assign]
    await site.advance(HOUR_S)
    assert site.host.log.events("error")[0] == "workflow_schedules_not_fired"
    site.journal.fire = works  # type: ignore[method-assign]
    await site.advance(2)
    assert await site.fired() == [ms(1)]


async def _full(*_: object) -> bool:
    raise BackendError("disk full")


async def test_a_scheduled_instance_runs_and_sees_its_schedule(host: FakeHost, start: Callable[..., Any]) -> None:
    async def run(self: Any, event: Any, step: Any) -> Any:
        return [event["payload"], event["schedule"], event["instanceId"]]

    worker = (await start(run)).live  # only its code: the binding has a runner of its own
    entry = WorkflowEntry("ORDERS", "orders", "Order", schedules=[HOURLY, "never * * * *"])
    async with open_binding([entry], BindingSite(host, CONFIG, worker)) as opened:
        running = [host.spawn(source.run(), name="source") for source in opened.sources]
        await host.advance(HOUR_S)
        async with asyncio.timeout(PATIENCE_S):
            while not (made := await opened.admin.instances("orders", InstanceFilter(Status.COMPLETE))).items:
                await host.settle()
        instance_id = f"{HOURLY}-{ms(1)}"
        assert [one.id for one in made.items] == [instance_id]
        assert await (await opened.env["ORDERS"].get(instance_id)).status() == {
            "status": "complete",
            "output": [{}, {"cron": HOURLY, "scheduledTime": ms(1)}, instance_id],
        }
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_scheduled_instance_takes_no_slot_for_an_hour(host: FakeHost, start: Callable[..., Any]) -> None:
    entered: list[str] = []
    doors: dict[str, asyncio.Event] = {}

    async def run(self: Any, event: Any, step: Any) -> None:
        name = event["instanceId"]
        entered.append(name)
        await doors.setdefault(name, asyncio.Event()).wait()

    async def fire(name: str, at_ms: int) -> None:
        made = Fire(HOURLY, at_ms)
        instance = NewInstance(name, values.encode({}), DAY_S, DAY_S, trigger=Trigger.CRON, fire=made)
        assert await site.journal.fire("orders", *made, instance, int(host.now() * 1000))
        site.runner.tell(None)

    site = await start(run, concurrency_max=1)
    await site.create(id="first")
    await site.until(lambda: entered == ["first"])
    await fire("scheduled", ms(1))
    second = await site.create(id="second")
    await site.until(lambda: entered == ["first", "scheduled"])
    doors["first"].set()
    await site.until(lambda: entered == ["first", "scheduled", "second"])
    await host.advance(HOUR_S + 1)
    third = await site.create(id="third")
    assert (await third.status())["status"] == "queued"  # read behind what the runner asked within the hour
    doors["second"].set()
    await site.reach(second, "complete")
    await fire("another", ms(2))
    await site.until(lambda: entered[3:] == ["another"])  # so the runner has looked for what else may run
    assert await third.status() == {"status": "queued", "output": None}
    doors["scheduled"].set()
    await site.until(lambda: entered[4:] == ["third"])


async def test_schedules_beyond_an_accounts_limit_are_warned_of_once(site: Site) -> None:
    for number in range(SCHEDULES_MAX + 1):
        await site.declare("1 * * * *", name=f"w{number:03}")
    await site.start()
    await site.advance(2 * MINUTE_S)
    assert await site.fired(f"w{SCHEDULES_MAX - 1:03}") == [ms(0, 1)]
    assert await site.fired(f"w{SCHEDULES_MAX:03}") == []
    assert site.host.log.events("warning") == ["workflow_schedules_over_limit"]


def test_what_is_made_up_for_has_a_bound() -> None:
    times = due_times(parse_cron("* * * * *"), START_MS, ms(0, day=10), Missed.ALL)
    assert len(times) == MISSED_COUNT_MAX
    assert times[-1] == ms(0, day=10)
