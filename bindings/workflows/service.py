"""Everything that can be done with workflows from outside of a Worker: REST, the CLI and gRPC are thin over it.

It needs no running Worker: it works on the journal, which several processes share, and rings who runs the instances.
Every refusal is a WorkflowError with Cloudflare's key, as `workflow.not_found`; a call may also raise BackendError.
Source: spec "Workflows", 7; spec "Cloudflare API", 2.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BindingError
from . import WorkflowEntry
from .answers import (
    Action,
    BatchCreated,
    BatchDeleted,
    BatchError,
    EventReceipt,
    InstanceDetail,
    InstanceList,
    ScheduleTime,
    StepDetail,
    Termination,
    WorkflowDetail,
)
from .errors import WorkflowError
from .inspection import instance_detail, step_detail
from .journal.records import InstanceFilter, Status, Terminator, Trigger
from .manifests.manifest import ManifestSource
from .terminations import UNFINISHED, Terminations
from .workflow import Workflow, WorkflowInstance
from .workflow_detail import versions_of, workflow_detail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...runtime.core.host import Host
    from .journal.records import Instance, Version, WorkflowRow
    from .registry import Registry
    from .subscription import Subscription
    from .workflow import WorkflowTools

PER_PAGE = 25
PER_PAGE_MAX = 100
"""Instances of one answer."""
ADDRESS_CHARS_MAX = 271
"""Of the id of an instance that is there: one of a schedule is longer than those that may be chosen."""
INVALID = "invalid_request"
"""Key of what makes no sense, where Cloudflare has none that is known."""
CURSOR_DIGITS_MAX = 18
"""Of each of the two numbers in it: what SQLite's integers hold."""
PURGE_COUNT_MAX = 256
FINISHED = tuple(status for status in Status if status.is_final)


class WorkflowService:
    """One state folder's workflows. Close with `aclose`."""

    def __init__(self, tools: WorkflowTools, registry: Registry, terminator: Terminator = Terminator.API) -> None:
        """`terminator` is who ends an instance that is ended by this."""
        self._tools = tools
        self._registry = registry
        self._terminator = terminator
        self.terminations = Terminations(tools, terminator)

    @property
    def host(self) -> Host:
        """Whose clock and tasks this works with."""
        return self._tools.host

    async def aclose(self) -> None:
        """Stop background work."""
        await self.terminations.aclose()

    async def workflows(self, search: str | None = None) -> Sequence[WorkflowDetail]:
        """The workflows there are, newest first; those whose name has `search` in it, case aside."""
        wanted = (search or "").casefold()
        return [await self._detail(row) for row in await self._registry.rows() if wanted in row.name.casefold()]

    async def workflow(self, name: str) -> WorkflowDetail:
        """One workflow."""
        return await self._detail(await self._registry.require(name))

    async def notes(self, name: str) -> Sequence[str]:
        """What keeps a workflow's instances from running, or a step from succeeding, a sentence each."""
        return self._registry.notes(await self._registry.require(name))

    async def put_workflow(
        self,
        name: str,
        class_name: str,
        script_name: str | None = None,
        *,
        limits: Mapping[str, Any] | None = None,
        concurrency: Mapping[str, Any] | None = None,
        default_retention: Mapping[str, Any] | None = None,
        schedules: Sequence[str] = (),
    ) -> WorkflowDetail:
        """Make a workflow, or change it; it runs at once where the Worker has the class, else its notes say so."""
        entry = WorkflowEntry(
            binding="",
            name=name,
            class_name=class_name,
            script_name=script_name,
            limits=dict(limits or {}),
            concurrency=dict(concurrency or {}),
            schedules=list(schedules),
            default_retention=dict(default_retention or {}),
        )
        with _refusing():
            await self._registry.put(entry)
        return await self.workflow(name)

    async def apply_manifest(self, name: str | None, text: str, file: str = "manifest") -> WorkflowDetail:
        """Make a workflow of a manifest in YAML or JSON, or give it a new version; running instances keep theirs.

        `name` may be left out where the manifest has one. ManifestError tells every problem by its place in `file`; a
        name ending in .json or .yaml says which of both it is.
        """
        (applied,) = await self.apply_manifests([ManifestSource(text, file, name)])
        return applied

    async def apply_manifests(self, sources: Sequence[ManifestSource]) -> list[WorkflowDetail]:
        """The same of several: all of them, or none and a WorkflowError with the problems of each."""
        return [await self._detail(row) for row in await self._registry.apply_manifests(sources)]

    async def delete_workflow(self, name: str) -> None:
        """Forget a workflow with its instances and versions; one of the config is there again at the next start."""
        await self._registry.require(name)
        for acted in await self._registry.forget(name):
            self._tools.tell(acted)

    async def delete_all_instances(self, name: str) -> None:
        """Forget what a workflow did, and keep the workflow."""
        while (found := await self.instances(name, per_page=PER_PAGE_MAX)).items:
            await self.delete_instances(name, [one.id for one in found.items])

    async def create(
        self, name: str, options: Mapping[str, Any] | None = None, trigger: Trigger = Trigger.API
    ) -> Instance:
        """Start an instance: `{id?, params?, retention?: {success_retention?, error_retention?}}`."""
        workflow = await self._workflow(name, trigger)
        with _refusing():
            handle = await workflow.create(options)
        return await self._require(name, handle.id)

    async def create_batch(
        self, name: str, batch: Sequence[Mapping[str, Any]], trigger: Trigger = Trigger.API
    ) -> BatchCreated:
        """Start up to 100 instances; all ids are checked before the first is made."""
        workflow = await self._workflow(name, trigger)
        with _refusing():
            answer = await workflow.create_batch({"instances": list(batch)})
        errors = [BatchError(one["index"], one["id"], one["code"], one["message"]) for one in answer["errors"]]
        return BatchCreated([await self._require(name, handle.id) for handle in answer["created"]], errors)

    async def delete_instances(self, name: str, instance_ids: Sequence[str]) -> BatchDeleted:
        """Forget up to 100 instances, running or not."""
        workflow = await self._workflow(name)
        with _refusing():
            answer = await workflow.delete_batch(list(instance_ids))
        places = {one: index for index, one in reversed(list(enumerate(instance_ids)))}
        errors = [BatchError(places[one["id"]], one["id"], one["code"], one["message"]) for one in answer["errors"]]
        return BatchDeleted([one["id"] for one in answer["deleted"]], errors)

    async def instances(
        self,
        name: str,
        wanted: InstanceFilter | None = None,
        *,
        cursor: str | None = None,
        page: int | None = None,
        per_page: int = PER_PAGE,
    ) -> InstanceList:
        """Some instances, newest first unless the filter says otherwise: after a cursor, or a page (from 1)."""
        await self._registry.require(name)
        found = await self._tools.journal.list(
            name,
            wanted or InstanceFilter(),
            after=None if cursor is None else _read_cursor(cursor),
            offset=0 if page is None else (page - 1) * per_page,
            count_max=per_page,
        )
        return InstanceList(found.items, found.total_count, found.next and f"{found.next[0]}-{found.next[1]}")

    async def latest_id(self, name: str) -> str:
        """The id of the newest instance, which wrangler calls `latest`."""
        found = await self.instances(name, per_page=1)
        if not found.items:
            raise WorkflowError("instance.not_found", f'Workflow "{name}" has no instances.')
        return found.items[0].id

    async def instance(
        self, name: str, instance_id: str, *, with_steps: bool = True, output_bytes_max: int | None = None
    ) -> InstanceDetail:
        """One instance, with its steps; their outputs as text that is cut, where they are longer than that."""
        instance = await self._require(name, instance_id)
        return await instance_detail(
            instance, self._tools.journal, with_steps=with_steps, output_bytes_max=output_bytes_max
        )

    async def step(
        self, name: str, instance_id: str, step: str, kind: str = "step", attempt: int | None = None
    ) -> StepDetail:
        """One step, untruncated. `step` carries its counter, as "charge-1"; `kind` is step or waitForEvent."""
        instance = await self._require(name, instance_id)
        return await step_detail(instance, self._tools.journal, step, kind, attempt)

    async def change_status(
        self,
        name: str,
        instance_id: str,
        action: Action,
        *,
        rollback: bool = False,
        from_: Mapping[str, Any] | None = None,
    ) -> Instance:
        """Pause, resume, terminate (with rollback) or restart an instance; as it is then.

        `from_` is the step to restart from: `{name, count?, type?: do, sleep or waitForEvent}`.
        """
        handle = await self._handle(name, instance_id)
        with _refusing():
            match action:
                case Action.PAUSE:
                    await handle.pause()
                case Action.RESUME:
                    await handle.resume()
                case Action.TERMINATE:
                    await handle.terminate(rollback=rollback)
                case Action.RESTART:
                    await handle.restart(None if from_ is None else {"from": from_})
        return await self._require(name, instance_id)

    async def send_event(self, name: str, instance_id: str, event_type: str, payload: Any = None) -> EventReceipt:
        """Give an event to an instance; it is durable on return."""
        instance = await self._require(name, instance_id)
        with _refusing():
            await WorkflowInstance(name, instance_id, self._tools).send_event({"type": event_type, "payload": payload})
        return EventReceipt(self._tools.now_ms(), is_dropped=instance.status.is_final)

    async def terminate_all(self, name: str, statuses: Sequence[Status] = UNFINISHED) -> Termination:
        """Begin to terminate every unfinished instance, or those of some statuses, in the background."""
        await self._registry.require(name)
        return await self.terminations.begin(name, statuses)

    async def terminated_all(self) -> None:
        """Return once what `terminate_all` began is done: for who closes the service right after."""
        await self.terminations.wait()

    async def subscribe(
        self, name: str, instance_id: str, cursor: int = 0, wanted: Sequence[str] | None = None
    ) -> Subscription:
        """Events of an instance: `async for event in await service.subscribe(...)`; close it with `aclose`.

        First those that were, behind `cursor` (an `eventId`), then those that come, until the instance ends; only those
        of the types in `wanted`, when given.
        """
        handle = await self._handle(name, instance_id)
        with _refusing():
            return handle.subscribe({"cursor": cursor, **({} if wanted is None else {"filter": list(wanted)})})

    async def versions(self, name: str) -> Sequence[Version]:
        """The versions of a workflow's code, newest first; while none was loaded, one that stands for it."""
        return await versions_of(await self._registry.require(name), self._tools, self._registry)

    async def version(self, name: str, version_id: str) -> Version:
        """One version."""
        for version in await self.versions(name):
            if version.id == version_id:
                return version
        raise WorkflowError("version.not_found", f'Workflow "{name}" has no version "{version_id:.100}".')

    async def graph(self, name: str, version_id: str | None = None) -> Mapping[str, Any] | None:
        """The steps of a version as a graph; of the newest one by default. None: it is code, which has none."""
        version = (await self.versions(name))[0] if version_id is None else await self.version(name, version_id)
        graph: Mapping[str, Any] | None = None if version.graph is None else json.loads(version.graph)
        return graph

    async def purge(self, name: str, before_ms: int | None = None, statuses: Sequence[Status] = FINISHED) -> int:
        """Forget finished instances (of these statuses, ended before then); how many."""
        await self._registry.require(name)
        until_ms = self._tools.now_ms() + 1 if before_ms is None else before_ms
        purged = count = await self._tools.journal.purge_ended(name, until_ms, statuses, PURGE_COUNT_MAX)
        while count == PURGE_COUNT_MAX:
            count = await self._tools.journal.purge_ended(name, until_ms, statuses, PURGE_COUNT_MAX)
            purged += count
        return purged

    async def schedules(self, name: str) -> Sequence[ScheduleTime]:
        """When a workflow's schedules fire next."""
        return (await self.workflow(name)).schedules

    async def _detail(self, row: WorkflowRow) -> WorkflowDetail:
        is_terminating = await self.terminations.is_running(row.name)
        return await workflow_detail(row, self._tools, self._registry, is_terminating_all=is_terminating)

    async def _workflow(self, name: str, trigger: Trigger = Trigger.API) -> Workflow:
        row = await self._registry.require(name)
        return Workflow(self._registry.definition_of(row), self._tools, trigger)

    async def _require(self, name: str, instance_id: str) -> Instance:
        found = await self._tools.journal.find(name, instance_id)
        if found is None:
            await self._registry.require(name)
            raise WorkflowError("instance.not_found", f'Workflow "{name}" has no instance "{instance_id:.300}".')
        return found

    async def _handle(self, name: str, instance_id: str) -> WorkflowInstance:
        await self._require(name, instance_id)
        return WorkflowInstance(name, instance_id, self._tools, self._terminator)


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever the objects of a Worker refuse, as a WorkflowError with its key."""
    try:
        yield
    except WorkflowError:
        raise
    except BindingError as error:
        is_missing = error.message == "instance.not_found"
        raise WorkflowError(error.message if is_missing else INVALID, error.message) from error


def _read_cursor(cursor: str) -> tuple[int, int]:
    created_ms, _, number = cursor.partition("-")
    if not (created_ms.isdecimal() and number.isdecimal() and max(len(created_ms), len(number)) <= CURSOR_DIGITS_MAX):
        raise WorkflowError(INVALID, f"The cursor is none that this server gave: {cursor!r:.100}.")
    return int(created_ms), int(number)
