"""Cloudflare's REST API of workflows, on the same service as the commands.

Source: spec "Cloudflare API", 2; spec "Workflows", 7; Cloudflare API reference, "Workflows".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._shared.permissions import SCRIPTS_READ, SCRIPTS_WRITE
from ..._shared.rest import PAGES, Answer, Query, Route, page_of
from ..terminations import UNFINISHED
from .bodies import InstanceCreate, InstanceIds, ManifestPut, StatusChange, WorkflowPut
from .errors import EVENT_INSTANCE_NOT_FOUND, coded
from .explorer import explorer_routes
from .instances import InstanceCalls, messages_of, status_of
from .shapes import graph_shape, put_shape, version_shape, workflow_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._shared.rest import Call, Handler
    from ..service import WorkflowService

local_routes = explorer_routes
"""What needs no token, of a dev server."""

_BASE = "/accounts/{account_id}/workflows"
_ONE = f"{_BASE}/{{workflow_name}}"
_INSTANCES = f"{_ONE}/instances"
_INSTANCE = f"{_INSTANCES}/{{instance_id}}"
_EVENT = f"{_INSTANCE}/events/{{event_type}}"
_STATUS = Query("status")
_LISTED = (*PAGES, Query("cursor"), Query("direction"), _STATUS, Query("date_start"), Query("date_end"))
INSTANCE_BYTES_MAX = 4 * 1024 * 1024
"""Of a body that holds one value of at most 1 MiB: JSON may write a character in six."""
BATCH_BYTES_MAX = 32 * 1024 * 1024
SEARCH_CHARS_MAX = 64


def routes(service: WorkflowService) -> Sequence[Route]:
    """Every route of workflows, over one state folder."""
    workflows, instances = WorkflowCalls(service), InstanceCalls(service)

    def reading(path: str, handler: Handler, query: tuple[Query, ...] = ()) -> Route:
        return Route("GET", path, coded(handler), SCRIPTS_READ, query=query)

    def writing(
        method: str, path: str, handler: Handler, body: Any = None, *, bytes_max: int = INSTANCE_BYTES_MAX
    ) -> Route:
        return Route(method, path, coded(handler), SCRIPTS_WRITE, body, body_bytes_max=bytes_max)

    terminate_all = coded(workflows.terminate_all)
    send_event = coded(instances.send_event, not_found=EVENT_INSTANCE_NOT_FOUND)
    return (
        reading(_BASE, workflows.list, (*PAGES, Query("search"))),
        reading(_ONE, workflows.get),
        writing("PUT", _ONE, workflows.put, WorkflowPut),
        writing("PUT", f"{_ONE}/manifest", workflows.put_manifest, ManifestPut),
        writing("DELETE", _ONE, workflows.delete),
        reading(f"{_ONE}/versions", workflows.versions, PAGES),
        reading(f"{_ONE}/versions/{{version_id}}", workflows.version),
        reading(f"{_ONE}/versions/{{version_id}}/graph", workflows.graph),
        reading(_INSTANCES, instances.list, _LISTED),
        writing("POST", _INSTANCES, instances.create, InstanceCreate | None),
        writing("POST", f"{_INSTANCES}/batch", instances.create_batch, list[InstanceCreate], bytes_max=BATCH_BYTES_MAX),
        writing("POST", f"{_INSTANCES}/batch/delete", instances.delete_batch, InstanceIds),
        Route("PUT", f"{_INSTANCES}/terminate", terminate_all, SCRIPTS_WRITE, query=(_STATUS,)),
        reading(_INSTANCE, instances.get, (Query("order"), Query("simple", "boolean"))),
        writing("DELETE", _INSTANCE, instances.delete),
        reading(f"{_INSTANCE}/step", instances.step, (Query("name"), Query("type"), Query("attempt", "number"))),
        reading(f"{_INSTANCE}/subscribe", instances.subscribe, (Query("cursor", "number"), Query("filter"))),
        writing("PATCH", f"{_INSTANCE}/status", instances.change_status, StatusChange),
        Route("POST", _EVENT, send_event, SCRIPTS_WRITE, Any, body_bytes_max=INSTANCE_BYTES_MAX),
    )


class WorkflowCalls:
    """Operations on workflows and their versions."""

    def __init__(self, service: WorkflowService) -> None:
        self._service = service

    async def list(self, call: Call) -> Answer:
        """List workflows."""
        search = call.query.get("search", "")
        if len(search) > SEARCH_CHARS_MAX:
            raise call.invalid(f"The query parameter 'search' has at most {SEARCH_CHARS_MAX} characters.")
        return page_of(call, await self._service.workflows(search), workflow_shape)

    async def get(self, call: Call) -> dict[str, Any]:
        """Get a workflow."""
        return workflow_shape(await self._service.workflow(call.params["workflow_name"]))

    async def put(self, call: Call) -> Answer:
        """Create or change a workflow; messages say what keeps it from running."""
        body: WorkflowPut = call.body
        workflow = await self._service.put_workflow(
            call.params["workflow_name"], body.class_name, body.script_name, **body.options()
        )
        return Answer(put_shape(workflow), messages=messages_of(workflow.notes))

    async def put_manifest(self, call: Call) -> Answer:
        """Create or change a workflow by a manifest, in YAML or JSON; every problem of it has its place."""
        body: ManifestPut = call.body
        workflow = await self._service.apply_manifest(call.params["workflow_name"], body.manifest, body.file)
        return Answer(put_shape(workflow), messages=messages_of(workflow.notes))

    async def delete(self, call: Call) -> dict[str, Any]:
        """Delete a workflow with its instances."""
        await self._service.delete_workflow(call.params["workflow_name"])
        return {"status": "ok", "success": None}

    async def versions(self, call: Call) -> Answer:
        """List the versions of a workflow, newest first."""
        name = call.params["workflow_name"]
        workflow = await self._service.workflow(name)
        return page_of(call, await self._service.versions(name), lambda version: version_shape(version, workflow))

    async def version(self, call: Call) -> dict[str, Any]:
        """Get a version."""
        name = call.params["workflow_name"]
        version = await self._service.version(name, call.params["version_id"])
        return version_shape(version, await self._service.workflow(name))

    async def graph(self, call: Call) -> dict[str, Any]:
        """Get the graph of a version's steps."""
        name = call.params["workflow_name"]
        version = await self._service.version(name, call.params["version_id"])
        graph = await self._service.graph(name, version.id)
        return graph_shape(version, await self._service.workflow(name), graph)

    async def terminate_all(self, call: Call) -> dict[str, Any]:
        """Terminate every unfinished instance, in the background."""
        statuses = UNFINISHED
        if (asked := call.query.get("status")) is not None:
            statuses = tuple(status_of(call, one) for one in asked.split(","))
            if not set(statuses) <= set(UNFINISHED):
                raise call.invalid(f"The query parameter 'status' takes {', '.join(UNFINISHED)}, not {asked!r:.100}.")
        return {"status": await self._service.terminate_all(call.params["workflow_name"], statuses)}
