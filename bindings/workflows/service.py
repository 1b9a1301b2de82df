"""Everything that can be done with workflows from outside of a Worker: REST, the CLI, WebSocket and gRPC are thin over it.

It needs no running Worker: it works on the journal, which several processes share, and rings who runs the instances.
Every refusal is a WorkflowError with Cloudflare's key, as `workflow.not_found`; a call may also raise BackendError.
Source: spec "Workflows", 7; spec "Cloudflare API", 2.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .journal.records import Trigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from .answers import (
        Action,
        BatchCreated,
        BatchDeleted,
        EventReceipt,
        InstanceDetail,
        InstanceList,
        ScheduleTime,
        StepDetail,
        Termination,
        WorkflowDetail,
    )
    from .journal.records import Instance, InstanceFilter, Status, StepKey, Version
    from .registry import Registry
    from .workflow import WorkflowTools

PER_PAGE = 25
PER_PAGE_MAX = 100


class WorkflowService:
    """One state folder's workflows. Close with `aclose`."""

    def __init__(self, tools: WorkflowTools, registry: Registry) -> None:
        self._tools = tools
        self._registry = registry
        self._terminations: dict[str, asyncio.Task[None]] = {}

    async def workflows(self, search: str | None = None) -> Sequence[WorkflowDetail]:
        """The workflows there are, newest first; those whose name has `search` in it."""
        raise NotImplementedError

    async def workflow(self, name: str) -> WorkflowDetail:
        """One workflow."""
        raise NotImplementedError

    async def put_workflow(
        self,
        name: str,
        class_name: str,
        script_name: str | None = None,
        *,
        limits: Mapping[str, Any] | None = None,
        concurrency: Mapping[str, Any] | None = None,
        default_retention: Mapping[str, Any] | None = None,
        schedules: Sequence[str] | None = None,
    ) -> WorkflowDetail:
        """Make a workflow, or change it; it runs at once where the Worker has the class, else its notes say so."""
        raise NotImplementedError

    async def delete_workflow(self, name: str) -> None:
        """Forget a workflow with its instances and versions."""
        raise NotImplementedError

    async def create(
        self, name: str, options: Mapping[str, Any] | None = None, trigger: Trigger = Trigger.API
    ) -> Instance:
        """Start an instance: `{id?, params?, retention?: {success_retention?, error_retention?}}`."""
        raise NotImplementedError

    async def create_batch(
        self, name: str, batch: Sequence[Mapping[str, Any]], trigger: Trigger = Trigger.API
    ) -> BatchCreated:
        """Start up to 100 instances; all ids are checked before the first is made."""
        raise NotImplementedError

    async def delete_instances(self, name: str, instance_ids: Sequence[str]) -> BatchDeleted:
        """Forget up to 100 instances, running or not."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def latest_id(self, name: str) -> str:
        """The id of the newest instance, which wrangler calls `latest`."""
        raise NotImplementedError

    async def instance(self, name: str, instance_id: str, *, with_steps: bool = True) -> InstanceDetail:
        """One instance, with its steps."""
        raise NotImplementedError

    async def step(
        self, name: str, instance_id: str, step: str, kind: str = "step", attempt: int | None = None
    ) -> StepDetail:
        """One step, untruncated. `step` carries its counter, as "charge-1"; `kind` is step or waitForEvent."""
        raise NotImplementedError

    async def change_status(
        self, name: str, instance_id: str, action: Action, *, rollback: bool = False, from_: StepKey | None = None
    ) -> Instance:
        """Pause, resume, terminate (with rollback) or restart (from a step) an instance; as it is then."""
        raise NotImplementedError

    async def send_event(self, name: str, instance_id: str, event_type: str, payload: Any = None) -> EventReceipt:
        """Give an event to an instance; it is durable on return."""
        raise NotImplementedError

    async def terminate_all(self, name: str, status: Status | None = None) -> Termination:
        """Begin to terminate every unfinished instance, or those of a status, in the background."""
        raise NotImplementedError

    async def terminations(self) -> None:
        """Return once what `terminate_all` began is done: for who closes the service right after."""
        await asyncio.gather(*self._terminations.values(), return_exceptions=True)

    async def subscribe(
        self, name: str, instance_id: str, cursor: int = 0, wanted: Sequence[str] | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The events of an instance behind `cursor`: what was, then what comes, until it ends. Close it with `aclose`."""
        raise NotImplementedError

    async def versions(self, name: str) -> Sequence[Version]:
        """The versions of a workflow's code, newest first."""
        raise NotImplementedError

    async def version(self, name: str, version_id: str) -> Version:
        """One version."""
        raise NotImplementedError

    async def graph(self, name: str, version_id: str | None = None) -> Mapping[str, Any]:
        """The steps of a version as a graph; of the newest one by default."""
        raise NotImplementedError

    async def apply_manifest(self, text: str, name: str | None = None) -> WorkflowDetail:
        """Make or change the workflow that a manifest (YAML or JSON) describes; `name` wins over the one in it."""
        raise NotImplementedError

    async def purge(self, name: str, before_ms: int | None = None, statuses: Sequence[Status] = ()) -> int:
        """Forget finished instances (of these statuses, ended before then); how many."""
        raise NotImplementedError

    async def schedules(self, name: str) -> Sequence[ScheduleTime]:
        """When a workflow's schedules fire next."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stop background work."""
        for task in self._terminations.values():
            task.cancel()
        await self.terminations()
