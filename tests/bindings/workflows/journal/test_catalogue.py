"""What is asked about many instances at once, and what is known of the workflows themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows.journal.records import (
    Acted,
    Change,
    Finish,
    Fire,
    InstanceFilter,
    NewInstance,
    Status,
    Trigger,
    Version,
    WorkflowRow,
)
from edge.bindings.workflows.journal.sqlite_journal import FORGET_COUNT

if TYPE_CHECKING:
    from edge.bindings.workflows.journal.records import Instance
    from edge.bindings.workflows.journal.sqlite_journal import SqliteJournal

ROW = WorkflowRow("orders", "Order", "shop", "v1", created_ms=5, modified_ms=5)


def new(instance_id: str, **options: Any) -> NewInstance:
    return NewInstance(instance_id, b"{}", 100, 100, **options)


async def make(journal: SqliteJournal, *created: tuple[str, int]) -> None:
    for instance_id, at_ms in created:
        assert await journal.create("orders", [new(instance_id)], at_ms) == [True]


async def ids(journal: SqliteJournal, **wanted: Any) -> list[str]:
    page = await journal.list("orders", InstanceFilter(**wanted), after=None, offset=0, count_max=100)
    assert page.total_count == len(page.items)
    return [one.id for one in page.items]


async def end(journal: SqliteJournal, instance_id: str, status: Status, now_ms: int) -> None:
    await journal.act("orders", instance_id, lambda _, __: Change(status), now_ms)


async def test_the_newest_instance_comes_first_unless_asked_otherwise(journal: SqliteJournal) -> None:
    await make(journal, ("b", 2), ("a", 1), ("c", 2))
    assert await ids(journal) == ["c", "b", "a"]
    assert await ids(journal, is_ascending=True) == ["a", "b", "c"]


async def test_instances_are_filtered_by_status_and_time(journal: SqliteJournal) -> None:
    await make(journal, ("a", 1), ("b", 2), ("c", 3))
    await end(journal, "b", Status.TERMINATED, 9)
    assert await ids(journal, status=Status.TERMINATED) == ["b"]
    assert await ids(journal, status=Status.QUEUED) == ["c", "a"]
    assert await ids(journal, created_from_ms=2) == ["c", "b"]
    assert await ids(journal, created_to_ms=2) == ["b", "a"]
    assert await ids(journal, status=Status.QUEUED, created_from_ms=2, created_to_ms=2) == []


@pytest.mark.parametrize("is_ascending", [True, False])
async def test_pages_by_cursor_and_by_offset_are_the_whole_list_once(
    journal: SqliteJournal, is_ascending: bool
) -> None:
    """Also when many were created in one millisecond."""
    await make(journal, *((f"i{n}", n // 3) for n in range(10)))
    wanted = InstanceFilter(is_ascending=is_ascending)
    whole = await ids(journal, is_ascending=is_ascending)
    after, by_cursor = None, []
    while True:
        page = await journal.list("orders", wanted, after=after, offset=0, count_max=3)
        by_cursor += [one.id for one in page.items]
        assert page.total_count == 10
        after = page.next
        if after is None:
            break
    by_offset = [
        one.id
        for offset in range(0, 12, 3)
        for one in (await journal.list("orders", wanted, after=None, offset=offset, count_max=3)).items
    ]
    assert by_cursor == by_offset == whole


async def test_a_page_that_ends_with_the_list_has_no_next(journal: SqliteJournal) -> None:
    await make(journal, ("a", 1), ("b", 2))
    page = await journal.list("orders", InstanceFilter(), after=None, offset=0, count_max=2)
    assert page.next is None


async def test_instances_are_counted_by_status(journal: SqliteJournal) -> None:
    await make(journal, ("a", 1), ("b", 2), ("c", 3))
    await end(journal, "b", Status.TERMINATED, 9)
    assert await journal.counts("orders") == {Status.QUEUED: 2, Status.TERMINATED: 1}
    assert await journal.counts("other") == {}
    assert await journal.last_created_ms("orders") == 3
    assert await journal.last_created_ms("other") is None


async def test_lists_and_counts_are_answered_from_an_index(journal: SqliteJournal) -> None:
    """With 100,000 instances a list that sorts, or reads whole rows to count, takes seconds."""
    for query in (
        "SELECT status, count(*) FROM instance WHERE workflow = ? GROUP BY status",
        "SELECT count(*) FROM instance WHERE workflow = ? AND created_ms >= 1",
        "SELECT count(*) FROM instance WHERE workflow = ? AND status = 'queued' AND created_ms >= 1",
        "SELECT max(created_ms) FROM instance WHERE workflow = ?",
    ):
        (plan,) = await plan_of(journal, query)
        assert "USING COVERING INDEX" in plan, query
    for condition in ("", " AND status = 'queued'"):
        query = f"SELECT id FROM instance WHERE workflow = ?{condition} ORDER BY created_ms DESC, number DESC"
        assert all("TEMP B-TREE" not in line for line in await plan_of(journal, query)), query


async def plan_of(journal: SqliteJournal, query: str) -> list[str]:
    rows = await journal._read(lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {query}", ("x",)).fetchall())
    return [row[-1] for row in rows]


async def test_what_created_an_instance_and_its_times_are_kept(journal: SqliteJournal) -> None:
    fire = Fire("* * * * *", 60_000)
    await journal.create("orders", [new("a", version="v1", trigger=Trigger.CRON, fire=fire)], 1)
    made = await found(journal, "a")
    assert (made.version, made.trigger, made.fire) == ("v1", Trigger.CRON, fire)
    assert (made.created_ms, made.started_ms, made.ended_ms, made.modified_ms) == (1, None, None, 1)

    (claimed,) = (await journal.claim("me", "orders", 1, 2)).claimed
    started = await found(journal, "a")
    assert (started.started_ms, started.modified_ms) == (2, 2)

    await journal.finish(claimed.lease, Finish(Status.COMPLETE, b"1"), 3)
    ended = await found(journal, "a")
    assert (ended.started_ms, ended.ended_ms, ended.modified_ms) == (2, 3, 3)

    await journal.act("orders", "a", lambda _, __: Change(Status.QUEUED, restart_from=0), 4)
    again = await found(journal, "a")
    assert (again.created_ms, again.started_ms, again.ended_ms, again.modified_ms) == (1, None, None, 4)


async def found(journal: SqliteJournal, instance_id: str) -> Instance:
    instance = await journal.find("orders", instance_id)
    assert instance is not None
    return instance


async def test_a_number_is_never_given_twice(journal: SqliteJournal) -> None:
    """Else the owner of a deleted instance could write to the one that came after it."""
    await make(journal, ("a", 1))
    (claimed,) = (await journal.claim("me", "orders", 1, 2)).claimed
    await journal.delete("orders", "a", 3)
    await make(journal, ("b", 4))
    await journal.claim("other", "orders", 1, 5)
    assert await journal.held_status(claimed.lease) is None


async def test_a_time_of_a_schedule_is_taken_once(journal: SqliteJournal) -> None:
    cron = "0 * * * *"
    assert await journal.last_fire_ms("orders", cron) is None
    assert await journal.fire("orders", cron, 100, new("at-100"), 101)
    assert not await journal.fire("orders", cron, 100, new("again"), 102)
    assert await journal.fire("orders", cron, 200, new("at-200"), 201)
    assert not await journal.fire("orders", cron, 100, new("once more"), 202)
    assert await journal.fire("orders", "1 * * * *", 100, new("other cron"), 202)
    assert await journal.fire("other", cron, 100, new("other workflow"), 203)
    assert await journal.last_fire_ms("orders", cron) == 200
    assert await ids(journal, is_ascending=True) == ["at-100", "at-200", "other cron"]


async def test_a_workflow_keeps_when_it_was_first_seen(journal: SqliteJournal) -> None:
    changed = replace(
        ROW,
        class_name="Order2",
        steps_max=7,
        concurrency_max=2,
        success_retention_ms=1,
        error_retention_ms=2,
        schedules=("* * * * *", "0 0 * * *"),
        manifest="{}",
        modified_ms=9,
    )
    await journal.put_workflow(ROW)
    await journal.put_workflow(replace(changed, created_ms=9))
    await journal.put_workflow(replace(ROW, name="a"))
    assert await journal.workflows() == [replace(ROW, name="a"), changed]


async def test_a_version_is_kept_as_it_was_first_seen(journal: SqliteJournal) -> None:
    first = Version("v1", "orders", "Order", "python", "abc", graph="{}", created_ms=1)
    second = replace(first, id="v2", manifest="m", created_ms=1)
    for version in (first, second, replace(first, created_ms=9), replace(first, workflow="other")):
        await journal.put_version(version)
    assert await journal.versions("orders") == [second, first]


async def test_a_forgotten_workflow_leaves_nothing(journal: SqliteJournal) -> None:
    count = FORGET_COUNT + 1
    for workflow in ("orders", "other"):
        await journal.put_workflow(replace(ROW, name=workflow))
        await journal.put_version(Version("v1", workflow, "Order", "python", "abc"))
        await journal.fire(workflow, "* * * * *", 1, new("fired"), 1)
    await journal.create("orders", [new(f"i{n}") for n in range(count)], 2)
    (claimed,) = (await journal.claim("me", "orders", 1, 3)).claimed

    assert await journal.forget_workflow("orders", 4) == [Acted("me", claimed.lease.number)]

    assert [row.name for row in await journal.workflows()] == ["other"]
    assert await journal.versions("orders") == []
    assert await journal.last_fire_ms("orders", "* * * * *") is None
    assert await journal.counts("orders") == {}
    assert await journal.counts("other") == {Status.QUEUED: 1}
    assert await journal.held_status(claimed.lease) is None


async def test_ended_instances_are_forgotten_by_status_and_time(journal: SqliteJournal) -> None:
    await make(journal, ("old", 1), ("new", 1), ("open", 1))
    await end(journal, "old", Status.TERMINATED, 10)
    await end(journal, "new", Status.TERMINATED, 20)
    assert await journal.purge_ended("orders", 20, [Status.COMPLETE], 10) == 0
    assert await journal.purge_ended("orders", 20, [Status.COMPLETE, Status.TERMINATED], 10) == 1
    assert await ids(journal) == ["open", "new"]
    assert await journal.purge_ended("orders", 99, [Status.TERMINATED, Status.QUEUED], 10) == 1
    assert await ids(journal) == ["open"]
