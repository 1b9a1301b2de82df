"""The service of `workflows.proto` on a loopback port, as a background source of the binding.

Loaded only where edge.toml names a port: grpcio is an extra. One process of those that share a state folder serves it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import msgspec

from ....runtime.core.errors import BackendError
from ..._shared.permissions import SCRIPTS_READ, SCRIPTS_WRITE
from ..._shared.tokens import TokenStore
from .. import values
from ..answers import Action
from ..errors import WorkflowError
from ..journal.records import InstanceFilter, Status
from ..rest.json_values import json_text, json_value
from ..service import INVALID, PER_PAGE, PER_PAGE_MAX
from . import messages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from ....runtime.core.host import LocalHost
    from ..journal.records import Instance
    from ..service import WorkflowService

ADDRESS = "127.0.0.1"
CALLS_MAX = 256
"""At once; a subscription is one as long as it lasts."""
SUBSCRIPTIONS_MAX = 192
"""The rest of CALLS_MAX is for calls that are answered."""
TOKEN_CHECK_SECONDS = 5.0
"""A subscription without events ends so long after its token, at most."""
CLOSE_SECONDS = 1.0
"""Calls get so long to end when the server stops."""

_CODES = {
    "workflow.not_found": grpc.StatusCode.NOT_FOUND,
    "instance.not_found": grpc.StatusCode.NOT_FOUND,
    "instance.already_exists": grpc.StatusCode.ALREADY_EXISTS,
    "instance.cannot_terminate": grpc.StatusCode.FAILED_PRECONDITION,
}
"""Key of a refusal -> code; of every other key it is INVALID_ARGUMENT."""


class GrpcServer:
    """Source: answers while `run` runs. `port` is the one it listens on."""

    def __init__(self, service: WorkflowService, host: LocalHost, port: int) -> None:
        self._service = service
        self._host = host
        self.port = port

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            RuntimeError: the port is taken.
        """
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=CALLS_MAX)
        with closing(TokenStore(self._host.state_dir, now=self._host.now)) as tokens:
            calls = Calls(self._service, tokens, self._host)
            server.add_generic_rpc_handlers((calls.handlers(),))
            self.port = server.add_insecure_port(f"{ADDRESS}:{self.port}")
            await server.start()
            self._host.log.info("grpc_listening", address=ADDRESS, port=self.port)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await server.stop(CLOSE_SECONDS)


class Calls:
    """The methods. Each refusal is a status with Cloudflare's key and the sentence that says more."""

    def __init__(self, service: WorkflowService, tokens: TokenStore, host: LocalHost) -> None:
        self._service = service
        self._tokens = tokens
        self._host = host
        self._subscription_count = 0

    def handlers(self) -> Any:
        unary = {
            "Create": (self._create, messages.CreateRequest, SCRIPTS_WRITE),
            "Get": (self._get, messages.InstanceName, SCRIPTS_READ),
            "List": (self._list, messages.ListRequest, SCRIPTS_READ),
            "SendEvent": (self._send_event, messages.SendEventRequest, SCRIPTS_WRITE),
            "SetStatus": (self._set_status, messages.SetStatusRequest, SCRIPTS_WRITE),
        }
        made = {
            name: grpc.unary_unary_rpc_method_handler(
                partial(self._answer, call, kind, permission), response_serializer=_serialized
            )
            for name, (call, kind, permission) in unary.items()
        }  # none is given what reads requests: nothing is read for who may not call
        made["Subscribe"] = grpc.unary_stream_rpc_method_handler(self._subscribe, response_serializer=_serialized)
        return grpc.method_handlers_generic_handler(messages.SERVICE, made)

    async def _answer(
        self, call: Callable[[Any], Any], kind: Any, permission: str, content: bytes, context: Any
    ) -> Any:
        await self._authenticate(context, permission)
        try:
            return await call(_request(kind, content))
        except Exception as error:  # noqa: BLE001 - the border of a doorway
            await self._refuse(context, error)

    async def _subscribe(self, content: bytes, context: Any) -> None:
        await self._authenticate(context, SCRIPTS_READ)
        if self._subscription_count >= SUBSCRIPTIONS_MAX:
            text = f"This server has {SUBSCRIPTIONS_MAX} subscriptions, and no more at once: end one of them."
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        self._subscription_count += 1
        try:
            request = _request(messages.SubscribeRequest, content)
            types = list(request.types) or None
            events = await self._service.subscribe(request.workflow, request.id, request.cursor, types)
            async with aclosing(events), aclosing(self._while_permitted(events, context)) as permitted:
                async for event in permitted:
                    await context.write(_event(event))
        except grpc.aio.InternalError as error:  # the client left amid the write: grpc would log any other end
            raise asyncio.CancelledError from error
        except Exception as error:  # noqa: BLE001 - the border of a doorway
            await self._refuse(context, error)
        finally:
            self._subscription_count -= 1

    async def _while_permitted(
        self, events: AsyncGenerator[Mapping[str, Any], None], context: Any
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events, for as long as the token is good: it is asked before each, and while none come."""
        while True:
            coming = self._host.spawn(_next(events), name="workflow_event")
            try:
                while not coming.done():
                    await asyncio.wait((coming,), timeout=TOKEN_CHECK_SECONDS)
                    await self._authenticate(context, SCRIPTS_READ)
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            event = coming.result()
            if event is None:
                return
            yield event

    async def _authenticate(self, context: Any, permission: str) -> None:
        """As the REST API does: a token, and what it allows."""
        sent = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        kind, _, text = sent.get("authorization", "").strip().partition(" ")
        token = self._tokens.verify(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            text = "Send the metadata authorization: Bearer TOKEN, with a token of `edge token create`."
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
        elif not token.permits(permission):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f'The token does not allow "{permission}".')

    async def _refuse(self, context: Any, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if isinstance(error, WorkflowError):
            code = _CODES.get(error.key, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(code, f"{error.key}: {error.reason}")
        if isinstance(error, BackendError):
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        self._host.log.error("grpc_call_failed", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "Internal error; the server's log says more.")

    async def _create(self, request: Any) -> Any:
        options: dict[str, Any] = {"params": _parsed("params", request.params, {})}
        if request.id:
            options["id"] = request.id
        return _instance(await self._service.create(request.workflow, options))

    async def _get(self, request: Any) -> Any:
        return _instance((await self._service.instance(request.workflow, request.id, with_steps=False)).instance)

    async def _list(self, request: Any) -> Any:
        if request.status and request.status not in set(Status):
            raise WorkflowError(INVALID, f"There is no status {request.status!r:.60}.")
        per_page = request.per_page or PER_PAGE
        if not 1 <= per_page <= PER_PAGE_MAX:
            raise WorkflowError(INVALID, f"per_page is 1 to {PER_PAGE_MAX}, got {per_page}.")
        wanted = InstanceFilter(status=Status(request.status) if request.status else None)
        cursor = request.cursor or None
        found = await self._service.instances(request.workflow, wanted, cursor=cursor, per_page=per_page)
        shown = [_instance(one, is_brief=True) for one in found.items]
        return messages.ListReply(instances=shown, total_count=found.total_count, cursor=found.cursor or "")

    async def _send_event(self, request: Any) -> Any:
        payload = _parsed("payload", request.payload, None)
        receipt = await self._service.send_event(request.workflow, request.id, request.type, payload)
        return messages.SendEventReply(sent_ms=receipt.sent_ms, is_dropped=receipt.is_dropped)

    async def _set_status(self, request: Any) -> Any:
        actions = dict(enumerate(Action, start=1))  # numbered as in workflows.proto
        if request.action not in actions:
            raise WorkflowError(INVALID, f"action is one of {', '.join(name.upper() for name in Action)}.")
        changed = await self._service.change_status(
            request.workflow, request.id, actions[request.action], rollback=request.rollback
        )
        return _instance(changed)


def _request(kind: Any, content: bytes) -> Any:
    try:
        return messages.read(kind, content)
    except ValueError as error:
        raise WorkflowError(INVALID, f"What was sent is no {kind.DESCRIPTOR.name}.") from error


async def _next(events: AsyncGenerator[Mapping[str, Any], None]) -> Mapping[str, Any] | None:
    return await anext(events, None)


def _serialized(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content


def _parsed(what: str, text: str, default: Any) -> Any:
    try:
        return msgspec.json.decode(text) if text else default
    except (msgspec.DecodeError, RecursionError) as error:
        raise WorkflowError(INVALID, f"{what} is no JSON: {error}.") from error


def _instance(instance: Instance, *, is_brief: bool = False) -> Any:
    """An instance as a message; in lists without what may be large."""
    made = messages.Instance(
        workflow=instance.workflow,
        id=instance.id,
        status=str(instance.status),
        version_id=instance.version,
        created_ms=instance.created_ms,
        started_ms=instance.started_ms or 0,
        ended_ms=instance.ended_ms or 0,
    )
    if instance.error is not None:
        made.error.name, made.error.message = instance.error
    if not is_brief:
        made.params = _as_json(instance.params)
        made.output = _as_json(instance.output) if instance.output else ""
    return made


def _as_json(content: bytes) -> str:
    return json_text(json_value(values.decode(content)))


def _event(event: Mapping[str, Any]) -> Any:
    return messages.Event(
        event_id=event["eventId"],
        type=event["type"],
        at_ms=event["timestamp"],
        json=json_text(json_value(event)),
    )
