"""Operations of the REST API on the instances of a workflow.

Source: spec "Cloudflare API", 2; spec "Workflows", 7.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ....runtime.core.response import Response
from ....runtime.core.web_socket import asks_for_web_socket
from ..._shared.rest import Answer
from .. import NAME_CHARS_MAX
from ..answers import Action
from ..errors import WorkflowError
from ..event_types import EVENT_TYPE_CHARS_MAX
from ..journal.records import InstanceFilter, Status
from ..service import PER_PAGE, PER_PAGE_MAX
from ..workflow import ID_CHARS_MAX
from .bodies import InstanceCreate
from .errors import KEY_PREFIX, NOTE
from .event_socket import event_socket
from .event_stream import CONTENT_TYPE, event_stream
from .json_values import time_text
from .shapes import created_shape, detail_shape, instance_shape, step_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._shared.rest import Call
    from ..service import WorkflowService
    from .bodies import InstanceIds, StatusChange

SCHEDULED_ID_CHARS_MAX = 271
"""Of the id of an instance that a schedule made: the schedule is in it, with its blanks."""
CURSOR_DIGITS_MAX = 15
OUTPUT_BYTES_MAX = 16 * 1024
"""Of a step's output where all steps are shown; that of one step alone is whole."""


class InstanceCalls:
    """Operations on the instances of a workflow."""

    def __init__(self, service: WorkflowService) -> None:
        self._service = service

    async def list(self, call: Call) -> Answer:
        """List instances."""
        per_page = call.number("per_page", PER_PAGE, least=1, most=PER_PAGE_MAX)
        page = call.number("page", 1, least=1, most=2**31) if "page" in call.query else None
        cursor = call.query.get("cursor") or None
        wanted = _filter(call)
        if cursor is not None and page == 1:
            raise call.invalid("The query parameters 'cursor' and 'page' exclude each other.")
        if cursor is not None and page is not None:  # the SDK asks for one page more, with the cursor it was given
            return Answer([], result_info={"count": 0, "per_page": per_page, "page": page, "cursor": None})
        found = await self._service.instances(
            call.params["workflow_name"], wanted, cursor=cursor, page=page, per_page=per_page
        )
        info = {
            "count": len(found.items),
            "per_page": per_page,
            "total_count": found.total_count,
            "cursor": found.cursor,
        }
        if page is not None:
            info |= {"page": page, "total_pages": -(-found.total_count // per_page)}
        return Answer([instance_shape(one) for one in found.items], result_info=info)

    async def get(self, call: Call) -> dict[str, Any]:
        """Get an instance with its steps."""
        order = call.query.get("order", "asc")
        if order not in {"asc", "desc"}:
            raise call.invalid(f"The query parameter 'order' must be asc or desc, not {order!r:.100}.")
        with_steps = not call.flag("simple")
        detail = await self._service.instance(*_address(call), with_steps=with_steps, output_bytes_max=OUTPUT_BYTES_MAX)
        return await asyncio.to_thread(detail_shape, detail, is_descending=order == "desc")  # of thousands of steps

    async def create(self, call: Call) -> Answer:
        """Create an instance."""
        body: InstanceCreate = call.body or InstanceCreate()
        name = call.params["workflow_name"]
        instance = await self._service.create(name, body.options())
        return Answer(created_shape(instance), messages=messages_of(await self._service.notes(name)))

    async def create_batch(self, call: Call) -> Answer:
        """Create up to 100 instances; messages name those that were there already."""
        body: list[InstanceCreate] = call.body
        batch = [one.options() for one in body]
        ids = [options["id"] for options in batch if "id" in options]
        if len(ids) != len(set(ids)):
            raise WorkflowError("instance.duplicate_in_batch", "An id is in the batch twice; nothing was created.")
        answer = await self._service.create_batch(call.params["workflow_name"], batch)
        messages = [{"code": error.code, "message": f"{KEY_PREFIX}{error.key}: {error.id}"} for error in answer.errors]
        return Answer([created_shape(one) for one in answer.created], messages=messages)

    async def delete_batch(self, call: Call) -> dict[str, Any]:
        """Delete up to 100 instances."""
        body: InstanceIds = call.body
        answer = await self._service.delete_instances(call.params["workflow_name"], body.instances)
        errors = [{"id": error.id, "code": error.code, "message": KEY_PREFIX + error.key} for error in answer.errors]
        return {"deleted": [{"id": one} for one in answer.deleted], "errors": errors}

    async def delete(self, call: Call) -> dict[str, Any]:
        """Delete an instance."""
        name, instance_id = _address(call)
        answer = await self._service.delete_instances(name, [instance_id])
        for error in answer.errors:
            raise WorkflowError(error.key, f'Workflow "{name}" has no instance "{instance_id:.300}".')
        return {"success": True}

    async def step(self, call: Call) -> Any:
        """Get one step, its output in full; a stream comes as it is."""
        if not call.query.get("name"):
            raise call.invalid("The query parameter 'name' is missing: the step with its counter, as charge-1.")
        kind = call.query.get("type", "step")
        if kind not in {"step", "waitForEvent"}:
            raise call.invalid(f"The query parameter 'type' must be step or waitForEvent, not {kind!r:.100}.")
        attempt = call.number("attempt", 1, least=1, most=2**31) if "attempt" in call.query else None
        step = await self._service.step(*_address(call), call.query["name"], kind, attempt)
        if step.stream is not None:
            return Response(step.stream, headers={"content-type": "application/octet-stream"})
        return step_shape(step)

    async def subscribe(self, call: Call) -> Response:
        """Stream an instance's events, as server-sent events or a WebSocket: those since `cursor`, then what comes."""
        cursor = call.headers.get("last-event-id") or call.query.get("cursor") or "0"
        if not cursor.isdecimal() or len(cursor) > CURSOR_DIGITS_MAX:
            raise WorkflowError("invalid_request", "Invalid Workflow subscription options")
        wanted = call.query["filter"].split(",") if call.query.get("filter") else None
        events = await self._service.subscribe(*_address(call), int(cursor), wanted)
        if asks_for_web_socket(call.headers):
            return event_socket(events, call, self._service.host)
        headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store"}
        return Response(event_stream(events, call, self._service.host), headers=headers)

    async def change_status(self, call: Call) -> dict[str, Any]:
        """Pause, resume, terminate or restart an instance."""
        body: StatusChange = call.body
        return await self.act(call, Action(body.status), rollback=body.rollback, start=body.start())

    async def act(
        self, call: Call, action: Action, *, rollback: bool = False, start: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        instance = await self._service.change_status(*_address(call), action, rollback=rollback, from_=start)
        return {"status": instance.status, "timestamp": time_text(int(call.now * 1000))}

    async def send_event(self, call: Call) -> Answer:
        """Send an event to an instance; the body is its payload, any JSON or nothing."""
        event_type = call.params["event_type"]
        if len(event_type) > EVENT_TYPE_CHARS_MAX:
            raise call.invalid(f"The type of an event has 1 to {EVENT_TYPE_CHARS_MAX} characters.")
        name, instance_id = _address(call)
        receipt = await self._service.send_event(name, instance_id, event_type, call.body)
        text = f'Instance "{instance_id}" is finished: the event was dropped.'
        return Answer(
            {"instanceId": instance_id, "timestamp": time_text(receipt.sent_ms)},
            messages=messages_of([text] if receipt.is_dropped else []),
        )


def messages_of(notes: Sequence[str]) -> list[dict[str, Any]]:
    return [{"code": NOTE, "message": text} for text in notes]


def status_of(call: Call, text: str) -> Status:
    """A status of the query.

    Raises:
        ApiError: there is none of that name.
    """
    try:
        return Status(text)
    except ValueError as error:
        statuses = ", ".join(Status)
        raise call.invalid(f"The query parameter 'status' takes {statuses}, not {text!r:.100}.") from error


def _filter(call: Call) -> InstanceFilter:
    direction = call.query.get("direction", "desc")
    if direction not in {"asc", "desc"}:
        raise call.invalid(f"The query parameter 'direction' must be asc or desc, not {direction!r:.100}.")
    status = call.query.get("status")
    return InstanceFilter(
        None if status is None else status_of(call, status),
        _time_ms(call, "date_start"),
        _time_ms(call, "date_end"),
        is_ascending=direction == "asc",
    )


def _time_ms(call: Call, name: str) -> int | None:
    """A time of the query: ISO 8601, in UTC where it says no zone."""
    text = call.query.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise call.invalid(f"The query parameter {name!r} must be ISO 8601, not {text!r:.100}.") from error


def _address(call: Call) -> tuple[str, str]:
    """The workflow and the instance of the path."""
    name, instance_id = call.params["workflow_name"], call.params["instance_id"]
    if len(name) > NAME_CHARS_MAX:
        raise call.invalid(f"The name of a workflow has 1 to {NAME_CHARS_MAX} characters.")
    chars_max = SCHEDULED_ID_CHARS_MAX if " " in instance_id else ID_CHARS_MAX
    if len(instance_id) > chars_max:
        raise call.invalid(f"The id of an instance has 1 to {chars_max} characters.")
    return name, instance_id
