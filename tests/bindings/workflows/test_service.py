"""The service without a server, as the CLI has it, beside one that runs: both work on one state folder."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge.bindings.spec import Site
from edge.bindings.workflows import WorkflowEntry
from edge.bindings.workflows.answers import Action, Termination
from edge.bindings.workflows.errors import WorkflowError
from edge.bindings.workflows.journal.records import InstanceFilter, Status, Terminator, Trigger
from edge.bindings.workflows.local import open_binding
from edge.bindings.workflows.registry import LOOK_SECONDS
from edge.bindings.workflows.terminations import UNFINISHED
from edge.runtime.core.entrypoints import WorkflowEntrypoint
from edge.runtime.core.env import Env
from edge.runtime.core.worker import Worker
from edge.runtime.live_worker import Generation, LiveWorker
from edge.runtime.plain_answer import plain_answer
from edge.wrangler_config.worker_config import WorkerConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from edge.bindings.workflows.service import WorkflowService
    from edge.runtime.testing.fake_host import FakeHost

ENTRY = WorkflowEntry(binding="ORDERS", name="orders", class_name="Order")


class Order(WorkflowEntrypoint):
    async def run(self, event: Any, step: Any) -> Any:
        @step.do("price")
        async def price() -> int:
            return 5

        approval = await step.wait_for_event("approval", "approved")
        return [await price(), approval["payload"]]


class Opened:
    """An open binding: `env`, and the service over it."""

    def __init__(self, env: Any, service: WorkflowService, host: FakeHost) -> None:
        self.env = env
        self.service = service
        self.host = host

    async def reach(self, instance_id: str, *statuses: str, workflow: str = "orders") -> Any:
        async with asyncio.timeout(60):
            while True:
                found = await self.service.instance(workflow, instance_id, with_steps=False)
                if found.instance.status in statuses:
                    return found


@asynccontextmanager
async def opened(host: FakeHost, *entries: WorkflowEntry, is_running: bool = False) -> AsyncIterator[Opened]:
    config = WorkerConfig(
        path=host.state_dir / "wrangler.jsonc",
        name="demo",
        main=None,
        environment=None,
        compatibility_date="2026-09-08",
        compatibility_flags=(),
        vars={},
        secret_names=frozenset(),
        bindings={},
        unsupported={},
    )
    live = LiveWorker(host, plain_answer)
    if is_running:
        generation = Generation(Env({}), host)
        generation.worker = Worker("entry.py", "class", {}, {"Order": Order})
        live.swap(generation)
    async with open_binding(entries, Site(host, config, live if is_running else None)) as binding:
        running = [host.spawn(source.run(), name="source") for source in binding.sources]
        try:
            yield Opened(binding.env, binding.admin, host)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


@pytest.fixture
async def server(host: FakeHost) -> AsyncIterator[Opened]:
    async with opened(host, ENTRY, is_running=True) as one:
        yield one


@pytest.fixture
async def command(host: FakeHost) -> AsyncIterator[Callable[..., Any]]:
    """`await command(*entries)`: what a command opens, with nothing running in it."""
    async with AsyncExitStack() as stack:

        async def open_one(*entries: WorkflowEntry) -> Opened:
            return await stack.enter_async_context(opened(host, *entries))

        yield open_one


async def test_a_command_drives_what_a_server_runs(server: Opened, command: Callable[..., Any]) -> None:
    service = (await command(ENTRY)).service
    instance = await service.create("orders", {"id": "a"})
    assert (instance.id, instance.trigger) == ("a", Trigger.API)
    await server.reach("a", "waiting")
    assert (await service.change_status("orders", "a", Action.PAUSE)).status is Status.PAUSED
    await service.change_status("orders", "a", Action.RESUME)
    receipt = await service.send_event("orders", "a", "approved", {"by": "ada"})
    assert not receipt.is_dropped
    assert (await server.reach("a", "complete")).output == [5, {"by": "ada"}]
    assert (await service.send_event("orders", "a", "approved")).is_dropped
    assert await service.latest_id("orders") == "a"


async def test_a_command_needs_no_server(command: Callable[..., Any]) -> None:
    service = (await command(ENTRY)).service
    await service.create("orders", {"id": "a"})
    (workflow,) = await service.workflows()
    assert (workflow.name, workflow.counts, workflow.notes) == ("orders", {Status.QUEUED: 1}, ())
    assert workflow.version == (await service.versions("orders"))[0].id != ""
    assert await service.terminate_all("orders") is Termination.STARTED
    await service.terminated_all()
    assert (await service.instances("orders")).items[0].status is Status.TERMINATED


async def test_a_termination_of_all_that_is_cut_short_is_told(host: FakeHost) -> None:
    """The journal is a real part made to wait on demand."""
    async with opened(host, ENTRY) as one:
        service = one.service
        await service.create("orders", {"id": "a"})

        async def never(*_: Any, **__: Any) -> Any:
            await asyncio.get_running_loop().create_future()

        service._tools.journal.terminate_some = never
        assert await service.terminate_all("orders") is Termination.STARTED
        await host.settle()
    assert "workflows_not_terminated" in host.log.events("warning")
    async with opened(host, ENTRY, is_running=True) as next_start:
        await next_start.service.terminated_all()
        assert (await next_start.service.workflow("orders")).counts == {Status.TERMINATED: 1}


async def test_a_server_ends_what_a_command_that_was_killed_began_to_terminate(
    server: Opened, command: Callable[..., Any], host: FakeHost
) -> None:
    """The command gets no further than its order."""
    await server.service.create("orders", {"id": "a"})
    journal = (await command(ENTRY)).service._tools.journal
    assert await journal.begin_termination("orders", UNFINISHED, Terminator.CLI)
    while (await server.service.workflow("orders")).counts != {Status.TERMINATED: 1}:
        await host.advance(LOOK_SECONDS)
    await server.service.terminated_all()
    assert not (await server.service.workflow("orders")).is_terminating_all


async def test_what_another_process_puts_runs_at_once_and_what_it_deletes_is_gone(
    server: Opened, command: Callable[..., Any]
) -> None:
    service = (await command(ENTRY)).service
    await service.put_workflow("more", "Order")
    await service.create("more", {"id": "a"})
    await server.reach("a", "waiting", workflow="more")
    await service.delete_workflow("orders")

    async def create_for_ever() -> None:
        while True:
            await server.env["ORDERS"].create()

    with pytest.raises(WorkflowError, match=r"workflow\.not_found"):
        await asyncio.wait_for(create_for_ever(), 60)


async def test_a_change_that_nobody_rang_for_is_seen_in_time(server: Opened, command: Callable[..., Any]) -> None:
    """The other process is killed between its change and the ring: its doorbells are mute."""
    other = await command(ENTRY)
    other.service._registry._on_change = lambda: None
    await other.service.put_workflow("more", "Order")
    await server.service.create("more", {"id": "a"})
    await server.host.advance(LOOK_SECONDS)
    await server.reach("a", "waiting", workflow="more")


async def test_the_config_wins_over_what_was_put_when_it_is_read_again(
    command: Callable[..., Any], host: FakeHost
) -> None:
    service = (await command(ENTRY)).service
    await host.advance(5)
    await service.put_workflow("orders", "Order", limits={"steps": 3})
    changed = await service.workflow("orders")
    assert changed.steps_max == 3
    assert changed.modified_ms == changed.created_ms + 5000
    again = await (await command(ENTRY)).service.workflow("orders")
    assert (again.steps_max, again.created_ms) == (10_000, changed.created_ms)


async def test_a_class_of_the_config_takes_the_place_of_a_manifest_and_says_so(
    server: Opened, command: Callable[..., Any], host: FakeHost
) -> None:
    await server.service.apply_manifest("drawn", '{"kind": "Workflow/v1", "steps": {"nap": {"sleep": 0}}}')
    entry = WorkflowEntry(binding="D", name="drawn", class_name="Order")
    for _ in range(2):
        assert (await (await command(entry)).service.workflow("drawn")).class_name == "Order"
    assert host.log.events("warning") == ["workflow_was_a_manifest"]


async def test_a_workflow_that_left_the_config_is_kept(command: Callable[..., Any]) -> None:
    await (await command(ENTRY)).service.create("orders", {"id": "a"})
    service = (await command()).service
    assert [one.name for one in await service.workflows()] == ["orders"]
    assert (await service.instance("orders", "a")).instance.status is Status.QUEUED


async def test_a_deleted_workflow_refuses_its_own_binding(server: Opened) -> None:
    await server.service.delete_workflow("orders")
    with pytest.raises(WorkflowError, match=r"workflow\.not_found"):
        await server.env["ORDERS"].create()


async def test_finished_instances_are_purged(server: Opened) -> None:
    service = server.service
    for name in ("a", "b", "c"):
        await service.create("orders", {"id": name})
        await server.reach(name, "waiting")
    await service.send_event("orders", "a", "approved")
    await server.reach("a", "complete")
    await service.change_status("orders", "b", Action.TERMINATE)
    now_ms = int(server.host.now() * 1000)
    assert await service.purge("orders", before_ms=now_ms) == 0
    assert await service.purge("orders", statuses=[Status.COMPLETE]) == 1
    assert await service.purge("orders", before_ms=now_ms + 1) == 1
    assert [one.id for one in (await service.instances("orders")).items] == ["c"]


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda s: s.workflow("nope"), "workflow.not_found"),
        (lambda s: s.delete_workflow("nope"), "workflow.not_found"),
        (lambda s: s.versions("nope"), "workflow.not_found"),
        (lambda s: s.version("orders", "nope"), "version.not_found"),
        (lambda s: s.graph("orders", "nope"), "version.not_found"),
        (lambda s: s.schedules("nope"), "workflow.not_found"),
        (lambda s: s.create("nope"), "workflow.not_found"),
        (lambda s: s.create("orders", {"id": "a"}), "instance.already_exists"),
        (lambda s: s.create("orders", {"id": "a b"}), "invalid_request"),
        (lambda s: s.create("orders", {"params": "x" * 2**20}), "invalid_request"),
        (lambda s: s.create_batch("orders", []), "invalid_request"),
        (lambda s: s.delete_instances("orders", []), "invalid_request"),
        (lambda s: s.instances("nope"), "workflow.not_found"),
        (lambda s: s.instances("orders", cursor="x"), "invalid_request"),
        (lambda s: s.instances("orders", cursor=f"1-{2**63}"), "invalid_request"),
        (lambda s: s.instance("orders", "nope"), "instance.not_found"),
        (lambda s: s.instance("nope", "a"), "workflow.not_found"),
        (lambda s: s.step("orders", "a", "nope-1"), "step.not_found"),
        (lambda s: s.change_status("orders", "nope", Action.PAUSE), "instance.not_found"),
        (lambda s: s.change_status("orders", "a", Action.RESTART, from_={"name": "x"}), "instance.cannot_restart"),
        (lambda s: s.send_event("orders", "nope", "t"), "instance.not_found"),
        (lambda s: s.send_event("orders", "a", ""), "invalid_request"),
        (lambda s: s.terminate_all("nope"), "workflow.not_found"),
        (lambda s: s.purge("nope"), "workflow.not_found"),
        (lambda s: s.put_workflow("a b", "C"), "invalid_request"),
        (lambda s: s.put_workflow("drawn", "Order"), "invalid_request"),
        (lambda s: s.latest_id("empty"), "instance.not_found"),
    ],
)
async def test_every_refusal_has_a_key(command: Callable[..., Any], call: Callable[..., Any], key: str) -> None:
    service = (await command(ENTRY, WorkflowEntry(binding="E", name="empty", class_name="Order"))).service
    await service.create("orders", {"id": "a"})
    await service.apply_manifest("drawn", '{"kind": "Workflow/v1", "steps": {"nap": {"sleep": 0}}}')
    with pytest.raises(WorkflowError) as refused:
        await call(service)
    assert refused.value.key == key
    assert refused.value.reason


async def test_a_list_is_walked_to_its_end(command: Callable[..., Any]) -> None:
    service = (await command(ENTRY)).service
    batch = await service.create_batch("orders", [{"id": f"i{n}"} for n in range(5)])
    assert [one.id for one in batch.created] == [f"i{n}" for n in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        found = await service.instances("orders", InstanceFilter(is_ascending=True), cursor=cursor, per_page=2)
        seen += [one.id for one in found.items]
        if (cursor := found.cursor) is None:
            break
    assert seen == [f"i{n}" for n in range(5)]
