"""What `wrangler workflows ... --local` asks of a server on this machine: the same operations without account or token.

Only programs of this machine reach it, which is checked before (`runtime/rest/app.py`). It differs from the account's
API where wrangler's local explorer does: an action is called one, and deleting a workflow empties it.
Source: cloudflare/workers-sdk packages/wrangler/src/workflows/local.ts; packages/miniflare, the local explorer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._shared.rest import PAGES, Query, Route
from ..answers import Action
from .bodies import InstanceCreate, LocalStatusChange
from .errors import coded
from .instances import InstanceCalls
from .shapes import workflow_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._shared.rest import Call
    from ..service import WorkflowService

_ONE = "/workflows/{workflow_name}"
_INSTANCES = f"{_ONE}/instances"
_INSTANCE = f"{_INSTANCES}/{{instance_id}}"


def explorer_routes(service: WorkflowService) -> Sequence[Route]:
    """Every route that needs no token."""
    workflows, instances = LocalCalls(service), InstanceCalls(service)
    listed = (*PAGES, Query("status"))
    return (
        Route("GET", "/workflows", coded(workflows.list), ""),
        Route("GET", _ONE, coded(workflows.get), ""),
        Route("DELETE", _ONE, coded(workflows.empty), ""),
        Route("GET", _INSTANCES, coded(instances.list), "", query=listed),
        Route("POST", _INSTANCES, coded(instances.create), "", InstanceCreate | None),
        Route("GET", _INSTANCE, coded(instances.get), ""),
        Route("DELETE", _INSTANCE, coded(instances.delete), ""),
        Route("PATCH", f"{_INSTANCE}/status", coded(workflows.change_status), "", LocalStatusChange),
        Route("POST", f"{_INSTANCE}/events/{{event_type}}", coded(instances.send_event), "", Any),
    )


class LocalCalls:
    """Operations that differ from the account's."""

    def __init__(self, service: WorkflowService) -> None:
        self._service = service
        self._instances = InstanceCalls(service)

    async def list(self, _call: Call) -> list[dict[str, Any]]:
        """List every workflow."""
        return [workflow_shape(one) for one in await self._service.workflows()]

    async def get(self, call: Call) -> dict[str, Any]:
        """Get a workflow."""
        return workflow_shape(await self._service.workflow(call.params["workflow_name"]))

    async def empty(self, call: Call) -> dict[str, Any]:
        """Delete a workflow's instances."""
        await self._service.delete_all_instances(call.params["workflow_name"])
        return {"status": "ok", "success": True}

    async def change_status(self, call: Call) -> dict[str, Any]:
        """Pause, resume, terminate or restart an instance."""
        body: LocalStatusChange = call.body
        return {**await self._instances.act(call, Action(body.action)), "success": True}
