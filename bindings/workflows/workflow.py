"""`env.MY_WORKFLOW`, and the handle of an instance. Names and texts are Cloudflare's.

Source: spec "Workflows", 2 and 5; "Handler-side contract", 6.8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from uuid import UUID

from ...runtime.core.edge_only import is_strict
from ...runtime.core.errors import BindingError
from ...runtime.core.rpc_values import python_to_rpc
from . import values
from .admission import BATCH_COUNT_MAX
from .call_options import asked, checked_batch, is_rolling_back, refuse_batch, restart_start, retention_ms
from .engine.decisions import decide_pause, decide_restart, decide_resume, decide_terminate
from .engine.timers import now_ms
from .errors import WorkflowError
from .event_types import require_sent_type
from .journal.records import NewInstance, Terminator, Trigger
from .subscription import Subscription, read_options
from .versions import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...runtime.core.host import Host
    from .admission import Admission
    from .definition import Definition
    from .journal.journal import Journal
    from .journal.records import Acted, Change, Instance, StepRecord
    from .versions import CodeVersion

ID_CHARS_MAX = 100
_ID = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9-_]*")
_RESERVED_ID = re.compile(r"batch|terminate|terminateAll|cf_[0-9a-f]{64}")

INSTANCE_NOT_FOUND = 10400
ALREADY_EXISTS = 10405
DUPLICATE_IN_BATCH = 10415
INVALID_ID = 10002
"""Public error codes. Source: spec "Workflows", 7."""


class WorkflowTools(NamedTuple):
    """What every workflow works with. `tell` wakes whoever runs an instance."""

    journal: Journal
    host: Host
    tell: Callable[[Acted | None], None]
    version_of: Callable[[Definition], CodeVersion] = lambda _: UNKNOWN
    """What a new instance begins under."""
    admission: Admission | None = None
    """What limits creations; None: nothing does."""

    def now_ms(self) -> int:
        return now_ms(self.host)


class Workflow:
    """A workflow: create instances, and find them again."""

    def __init__(
        self,
        definition: Definition,
        tools: WorkflowTools,
        trigger: Trigger = Trigger.BINDING,
        *,
        live: Mapping[str, Definition] | None = None,
    ) -> None:
        """`live` has what the workflow is by now, when it changes while this is held: the runner's definitions."""
        self._made_for = definition
        self._live = live
        self._tools = tools
        self._trigger = trigger

    @property
    def _definition(self) -> Definition:
        if self._live is None:
            return self._made_for
        found = self._live.get(self._made_for.name)
        if found is None:
            raise WorkflowError("workflow.not_found", f'Workflow "{self._made_for.name}" was deleted.')
        return found

    async def create(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> WorkflowInstance:
        """Start an instance: `{id?, params?, retention?}`, or the same as keywords. It is durable on return.

        Raises:
            BindingError: the id or an option is malformed, or `params` cannot be stored.
            WorkflowError: the id exists already, also when that instance is finished.
        """
        return await self._create(self._new_instance(asked("create", options, named)))

    async def create_child(self, instance_id: str, params: object, parent: int | None, *, is_cascading: bool) -> None:
        """Start an instance for another one (its number), which is told of its end.

        Raises:
            BindingError: `params` cannot be stored, or are refused.
            WorkflowError: the id exists already.
        """
        new = self._new_instance({"id": instance_id, "params": params})
        await self._create(new._replace(parent=parent, is_cascading=is_cascading))

    async def create_batch(self, batch: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> Any:
        """Start up to 100 instances.

        A list answers the new handles and leaves out ids that exist. `{"instances": [...]}` and
        `{"count": n, "params": ...}` answer `{"created": handles, "errors": [{index, id, code, message}]}`.
        """
        if not isinstance(batch, (list, tuple, dict)):
            raise BindingError(f"createBatch takes a list or an object, got {type(batch).__name__}.", name="TypeError")
        if not isinstance(batch, dict):
            news = [self._new_instance(asked("create", one, {})) for one in checked_batch(batch)]
            created, _ = await self._create_all(news)
            return created
        if "instances" in batch:
            instances = checked_batch(batch["instances"])
        else:
            count = batch.get("count")
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= BATCH_COUNT_MAX:
                refuse_batch(count)
            instances = [{"params": batch.get("params", {})}] * count
        news = [self._new_instance(asked("create", one, {}), in_batch=True) for one in instances]
        created, errors = await self._create_all(news)
        return {"created": created, "errors": errors}

    createBatch = create_batch  # noqa: N815 - Cloudflare's JavaScript spelling

    async def get(self, instance_id: str) -> WorkflowInstance:
        """The handle of an instance.

        Raises:
            BindingError: there is none of that id.
        """
        if (
            not isinstance(instance_id, str)
            or await self._tools.journal.find(self._definition.name, instance_id) is None
        ):
            _not_found()
        return self._handle(instance_id)

    async def delete_batch(self, instance_ids: Sequence[str]) -> dict[str, Any]:
        """Delete up to 100 instances: `{deleted: [{id}], errors: [{id, code, message}]}`, an answer for each."""
        deleted: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        if not isinstance(instance_ids, (list, tuple)) or not 1 <= len(instance_ids) <= BATCH_COUNT_MAX:
            refuse_batch(instance_ids)
        for instance_id in instance_ids:
            acted = await self._tools.journal.delete(self._definition.name, str(instance_id), self._tools.now_ms())
            if acted is None:
                message = "instance.not_found"
                errors.append({"id": instance_id, "code": INSTANCE_NOT_FOUND, "message": message})
            else:
                self._tools.tell(acted)
                deleted.append({"id": instance_id})
        return {"deleted": deleted, "errors": errors}

    deleteBatch = delete_batch  # noqa: N815 - Cloudflare's JavaScript spelling

    async def _create(self, new: NewInstance) -> WorkflowInstance:
        (is_made,) = await self._made([new])
        if not is_made:
            message = f'Workflow instance with id "{new.id}" already exists'
            raise WorkflowError("instance.already_exists", message)
        self._tools.tell(None)
        return self._handle(new.id)

    async def _made(self, instances: Sequence[NewInstance]) -> Sequence[bool]:
        tools = self._tools
        if tools.admission is not None:
            await tools.admission.admit(self._definition, len(instances))
        return await tools.journal.create(self._definition.name, instances, tools.now_ms())

    def _handle(self, instance_id: str) -> WorkflowInstance:
        return WorkflowInstance(self._definition.name, instance_id, self._tools)

    async def _create_all(
        self, instances: Sequence[NewInstance]
    ) -> tuple[list[WorkflowInstance], list[dict[str, Any]]]:
        first = {new.id: index for index, new in reversed(list(enumerate(instances)))}
        made = await self._made(instances)
        created, errors = [], []
        for index, (new, is_made) in enumerate(zip(instances, made, strict=True)):
            if is_made:
                created.append(self._handle(new.id))
                continue
            is_repeated = first[new.id] != index
            code = DUPLICATE_IN_BATCH if is_repeated else ALREADY_EXISTS
            key = "instance.duplicate_in_batch" if is_repeated else "instance.already_exists"
            errors.append({"index": index, "id": new.id, "code": code, "message": key})
        if created:
            self._tools.tell(None)
        return created, errors

    def _new_instance(self, options: Mapping[str, Any], *, in_batch: bool = False) -> NewInstance:
        instance_id = options.get("id")
        if instance_id is None:
            instance_id = str(UUID(self._tools.host.new_id(), version=4))
        is_checked = in_batch or self._trigger is Trigger.API  # whose paths have `/instances/batch` and the like
        is_text = isinstance(instance_id, str) and len(instance_id) <= ID_CHARS_MAX
        if not is_text or not _ID.fullmatch(instance_id) or (is_checked and _RESERVED_ID.fullmatch(instance_id)):
            raise BindingError("Workflow instance has invalid id")
        definition = self._definition
        if definition.check_params is not None:
            definition.check_params(options.get("params", {}))
        return NewInstance(
            instance_id,
            _encoded("params", options.get("params", {})),
            retention_ms(options, "success", definition.success_retention_ms),
            retention_ms(options, "error", definition.error_retention_ms),
            self._tools.version_of(definition).id,
            self._trigger,
        )


class WorkflowInstance:
    """The handle of an instance. Every call asks the journal: handles hold nothing."""

    def __init__(
        self, workflow: str, instance_id: str, tools: WorkflowTools, terminator: Terminator = Terminator.BINDING
    ) -> None:
        """`terminator` is who ends the instance when this does."""
        self._workflow = workflow
        self._tools = tools
        self._terminator = terminator
        self.id = instance_id

    async def status(self) -> dict[str, Any]:
        """`{status, output, error?: {name, message}}`; `output` is None until it is complete."""
        found = await self._tools.journal.find(self._workflow, self.id)
        if found is None:
            _not_found()
        output = None if found.output is None else values.decode(found.output)
        shown: dict[str, Any] = {"status": str(found.status), "output": output}
        if found.error is not None:
            shown["error"] = found.error._asdict()
        return shown

    async def pause(self) -> None:
        """Stop before the next step; a step that runs is let finish. Nothing when it is not running or waiting."""
        await self._act(lambda instance, _: decide_pause(instance))

    async def resume(self) -> None:
        """Go on; what was waited for has as much time left as when it was paused."""
        now_ms = self._tools.now_ms()
        await self._act(lambda instance, _: decide_resume(instance, now_ms))

    async def terminate(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """End it now; a step that runs is cancelled. `{"rollback": True}` undoes first what was done.

        Raises:
            WorkflowError: it has ended already.
            BindingError: an option is malformed.
        """
        is_undoing = is_rolling_back(asked("terminate", options, named))

        def decide(instance: Instance, steps: Sequence[StepRecord]) -> Change:
            return decide_terminate(instance, steps, is_undoing=is_undoing)._replace(terminator=self._terminator)

        await self._act(decide)

    async def restart(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Begin again with the same params; `{"from": {name, count?, type?}}` keeps what ran before that step.

        Raises:
            WorkflowError: no such step was called.
            BindingError: an option is malformed.
        """
        start = restart_start(asked("restart", options, named))
        await self._act(lambda _, steps: decide_restart(steps, start))

    async def send_event(self, event: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Give `{type, payload?}` to the instance: to a wait for that type, now or later. It is durable on return."""
        given = asked("send_event", event, named)
        event_type = require_sent_type(given.get("type"))
        payload = _encoded("payload", given.get("payload"))
        tools = self._tools
        acted = await tools.journal.send_event(self._workflow, self.id, event_type, payload, tools.now_ms())
        if acted is None:
            _not_found()
        tools.tell(acted)

    sendEvent = send_event  # noqa: N815 - Cloudflare's JavaScript spelling

    async def delete(self) -> None:
        """Forget the instance, running or not; its id may be created again."""
        acted = await self._tools.journal.delete(self._workflow, self.id, self._tools.now_ms())
        if acted is None:
            _not_found()
        self._tools.tell(acted)

    def subscribe(self, options: Mapping[str, Any] | None = None, /, **named: Any) -> Subscription:
        """Its events, `async for`: first those that were, then those that come, until it ends or is deleted.

        `{cursor?, filter?}`: only events behind an `eventId`, only those of some types.

        Raises:
            BindingError: an option is malformed.
        """
        wanted = read_options(options or {}, named)
        return Subscription(self._tools.journal, self._tools.host, (self._workflow, self.id), wanted)

    async def _act(self, decide: Callable[[Instance, Sequence[StepRecord]], Change | None]) -> None:
        acted = await self._tools.journal.act(self._workflow, self.id, decide, self._tools.now_ms())
        if acted is None:
            _not_found()
        self._tools.tell(acted)
        if acted.owner is not None:
            self._tools.tell(None)


def _not_found() -> NoReturn:
    raise BindingError("instance.not_found")


def _encoded(what: str, value: object) -> bytes:
    """`params` or a payload as the journal keeps it; refused here, where the caller sees it."""
    try:
        return values.encode(python_to_rpc(value) if is_strict() else value)
    except values.ValueTooLargeError as error:
        raise BindingError(f"{what} takes {error.size_bytes:,} bytes. The limit is 1 MiB.") from error
    except (values.UnserialisableError, values.CyclicValueError) as error:
        raise BindingError(f"{what} could not be cloned: {error}", name="DataCloneError") from error
