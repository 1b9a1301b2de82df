"""What is told of one instance: what it was given and gave, its steps, one of them or one attempt of that.

Source: SDK types, `InstanceGetResponse` and `InstanceStepResponse`; spec "Cloudflare API", 2.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...runtime.core.errors import BackendError
from . import values
from .answers import InstanceDetail, StepDetail
from .child_instances import is_child_wait
from .describe import read_step_name, rollback_shown, steps_shown
from .errors import ErrorRecord, WorkflowError
from .journal.records import ChunkKey, Kind, Status, StepKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from .journal.history import HistoryEvent
    from .journal.journal import Journal
    from .journal.records import Instance

OUTPUTS_BYTES_MAX = 4 * 1024 * 1024
"""Of all outputs of an instance together, where they are cut at all; each keeps its first OUTPUT_BYTES_LEAST."""
OUTPUT_BYTES_LEAST = 256
HISTORY_COUNT_MAX = 1_000_000
"""More events than the steps that an instance may have can cause."""
STEP, WAIT = "step", "waitForEvent"
"""What may be asked for, in REST's words."""


async def instance_detail(
    instance: Instance, journal: Journal, *, with_steps: bool = True, output_bytes_max: int | None = None
) -> InstanceDetail:
    """An instance with its steps, their outputs cut at that length or shorter, or only how many they are."""
    records = await journal.steps(instance.workflow, instance.id)
    was_undone = instance.is_undoing or any(record.key.kind is Kind.ROLLBACK for record in records)
    history = await _history(instance, journal) if with_steps or was_undone else ()
    if output_bytes_max is not None:
        share_bytes = OUTPUTS_BYTES_MAX // max(len(records), 1)
        output_bytes_max = min(output_bytes_max, max(share_bytes, OUTPUT_BYTES_LEAST))
    draw = partial(steps_shown, instance, records, history, output_bytes_max=output_bytes_max)
    return InstanceDetail(
        instance,
        params=values.decode(instance.params),
        output=None if instance.output is None else values.decode(instance.output),
        steps=await asyncio.to_thread(draw) if with_steps else (),  # ten thousand take a second
        step_count=sum(not is_child_wait(record) for record in records),
        rollback=rollback_shown(records, history),
    )


async def step_detail(instance: Instance, journal: Journal, name: str, kind: str, attempt: int | None) -> StepDetail:
    """The step of that name, with its counter, and kind; or one attempt of it.

    Raises:
        WorkflowError: there is none, or it has no such attempt.
    """
    steps: Sequence[Mapping[str, Any]] = ()
    named = read_step_name(name)
    if named is not None:
        records = await journal.steps_named(instance.workflow, instance.id, *named)
        steps = steps_shown(instance, records, await journal.history_named(instance.workflow, instance.id, *named))
    found = _found(steps, name, kind, attempt)
    if named is None or not isinstance(found.output, values.StoredStream):
        return found
    return replace(found, output=None, stream=_chunks(instance, StepKey(Kind.DO, *named), found.output, journal))


async def _history(instance: Instance, journal: Journal) -> Sequence[HistoryEvent]:
    found = await journal.history(
        instance.workflow, instance.id, after=0, count_max=HISTORY_COUNT_MAX, with_values=False
    )
    return found or ()


async def _chunks(
    instance: Instance, key: StepKey, stream: values.StoredStream, journal: Journal
) -> AsyncIterator[bytes]:
    number = await journal.number_of(instance.workflow, instance.id)
    for place in range(stream.chunk_count):
        chunk = ChunkKey(key, stream.attempt, place)
        content = None if number is None else await journal.chunk(number, chunk)
        if content is None:
            raise BackendError(f'The stream of step "{key.name}" is gone: its instance was deleted or restarted.')
        yield content


def _found(steps: Sequence[Mapping[str, Any]], name: str, kind: str, attempt: int | None) -> StepDetail:
    shown = next((one for one in steps if one["type"] == kind and one["name"] == name), None)
    if shown is None:
        raise WorkflowError(
            "step.not_found", f'There is no {kind} "{name:.300}": names carry a counter, as "charge-1".'
        )
    if attempt is None or kind == WAIT:
        failed = shown["attempts"][-1:] if kind == STEP else [shown]
        return _detail(
            shown["status"], shown["output"], failed[0]["error"] if failed else None, shown.get("event_type")
        )
    attempts = shown["attempts"]
    if not 1 <= attempt <= len(attempts):
        raise WorkflowError(
            "step.not_found", f'Step "{name:.300}" has {len(attempts)} attempts, none of number {attempt}.'
        )
    asked = attempts[attempt - 1]
    status = Status.COMPLETE if asked["success"] else Status.ERRORED if asked["error"] else shown["status"]
    return _detail(status, shown["output"], asked["error"])


def _detail(status: Status, output: Any, error: Mapping[str, str] | None, event_type: str | None = None) -> StepDetail:
    """An error is told of what failed for good, not of what is tried again."""
    record = ErrorRecord(**error) if error is not None and status is Status.ERRORED else None
    return StepDetail(status, output if status is Status.COMPLETE else None, record, event_type)
