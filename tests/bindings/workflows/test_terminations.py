"""Terminating all instances of a workflow: none is missed, and what was begun is carried out whoever dies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.workflows import terminations
from edge.bindings.workflows.answers import Termination
from edge.bindings.workflows.journal.records import NewInstance, Pause, Status, Terminator
from edge.bindings.workflows.journal.sqlite_journal import open_journal
from edge.bindings.workflows.terminations import Terminations
from edge.bindings.workflows.workflow import WorkflowTools
from edge.runtime.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge.bindings.workflows.journal.sqlite_journal import SqliteJournal
    from edge.runtime.testing.fake_host import FakeHost


class Restless:
    """The journal, where an instance goes from waiting to running once another one was terminated."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            answer = await getattr(self._journal, name)(*arguments, **named)
            if (await self._journal.counts("orders")).get(Status.TERMINATED):
                await self._journal.claim("me", "orders", 10, 20)
            return answer

        return call


@pytest.fixture
async def journal(host: FakeHost) -> AsyncIterator[SqliteJournal]:
    async with open_journal(host.state_dir / "workflows.sqlite") as journal:
        yield journal


def terminations_of(journal: Any, host: FakeHost, terminator: Terminator = Terminator.API) -> Terminations:
    """Those of a process."""
    return Terminations(WorkflowTools(journal, host, lambda _: None), terminator)


async def create(journal: SqliteJournal, *instance_ids: str) -> None:
    made = [NewInstance(one, b"{}", 100, 100) for one in instance_ids]
    assert all(await journal.create("orders", made, 1))


async def terminator_of(journal: SqliteJournal, instance_id: str) -> str | None:
    """Who ended an instance, as its history tells."""
    told = await journal.history("orders", instance_id, after=0, count_max=100)
    assert told is not None
    assert told[-1].type == "workflow_terminated"
    return told[-1].data.get("source")


async def failing(*_: Any) -> Any:
    raise BackendError("The disk is full.")


async def test_an_instance_that_changes_its_status_meanwhile_is_not_missed(
    journal: SqliteJournal, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminations, "PAGE_COUNT", 1)
    await create(journal, "running", "waiting")
    claimed = (await journal.claim("me", "orders", 2, 2)).claimed
    assert await journal.release(claimed[1].lease, Pause(Status.WAITING, 10), 3)
    one = terminations_of(Restless(journal), host)
    await one.begin("orders")
    await one.wait()
    assert await journal.counts("orders") == {Status.TERMINATED: 2}


async def test_what_is_created_meanwhile_is_let_be(journal: SqliteJournal, host: FakeHost) -> None:
    await create(journal, "before")
    one = terminations_of(journal, host)
    await one.begin("orders")
    await create(journal, "after")
    await one.wait()
    assert await terminator_of(journal, "before") == "api"
    assert await journal.counts("orders") == {Status.TERMINATED: 1, Status.QUEUED: 1}


async def test_only_the_statuses_asked_for_are_terminated(journal: SqliteJournal, host: FakeHost) -> None:
    await create(journal, "running", "queued")
    await journal.claim("me", "orders", 1, 2)
    one = terminations_of(journal, host)
    await one.begin("orders", [Status.QUEUED])
    await one.wait()
    assert await journal.counts("orders") == {Status.RUNNING: 1, Status.TERMINATED: 1}
    assert not await one.is_running("orders")


async def test_another_process_knows_of_a_termination_and_begins_none_beside_it(
    journal: SqliteJournal, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(journal, "a")
    monkeypatch.setattr(journal, "terminate_some", failing)
    first, second = terminations_of(journal, host), terminations_of(journal, host)
    assert await first.begin("orders") is Termination.STARTED
    assert await second.is_running("orders")
    assert await second.begin("orders") is Termination.ALREADY_RUNNING


async def test_a_termination_whose_process_died_is_carried_out_by_the_next(
    journal: SqliteJournal, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process gets no further than what the journal keeps."""
    await create(journal, "a")
    with monkeypatch.context() as broken:
        broken.setattr(journal, "terminate_some", failing)
        first = terminations_of(journal, host, Terminator.CLI)
        await first.begin("orders")
        await first.wait()
    assert host.log.events("error") == ["workflows_not_terminated"]
    assert await journal.counts("orders") == {Status.QUEUED: 1}

    second = terminations_of(journal, host)
    assert await second.is_running("orders")
    await second.resume()
    await second.wait()
    assert await journal.counts("orders") == {Status.TERMINATED: 1}
    assert await terminator_of(journal, "a") == "cli"
    assert not await first.is_running("orders")


async def test_asking_again_goes_on_with_what_a_dead_process_began(journal: SqliteJournal, host: FakeHost) -> None:
    await create(journal, "a")
    assert await journal.begin_termination("orders", terminations.UNFINISHED, Terminator.CLI)
    one = terminations_of(journal, host)
    assert await one.begin("orders") is Termination.ALREADY_RUNNING
    await one.wait()
    assert await journal.counts("orders") == {Status.TERMINATED: 1}
    assert await terminator_of(journal, "a") == "cli", "who began it"


async def test_a_workflow_that_is_forgotten_leaves_no_termination(journal: SqliteJournal, host: FakeHost) -> None:
    assert await journal.begin_termination("orders", terminations.UNFINISHED, Terminator.CLI)
    await journal.forget_workflow("orders", 2)
    assert not await terminations_of(journal, host).is_running("orders")
