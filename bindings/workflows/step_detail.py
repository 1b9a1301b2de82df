"""One step of an instance, or one attempt of it, out of what `describe.steps_shown` says of all.

Source: SDK types, `InstanceStepResponse`; spec "Cloudflare API", 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answers import StepDetail
from .errors import ErrorRecord, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEP, WAIT = "step", "waitForEvent"
"""What may be asked for, in REST's words."""


def step_detail(steps: Sequence[Mapping[str, Any]], name: str, kind: str, attempt: int | None) -> StepDetail:
    """The step of that name, with its counter, and kind.

    Raises:
        WorkflowError: there is none, or it has no such attempt.
    """
    shown = next((one for one in steps if one["type"] == kind and one["name"] == name), None)
    if shown is None:
        raise WorkflowError(
            "step.not_found", f'There is no {kind} "{name:.300}": names carry a counter, as "charge-1".'
        )
    if kind == WAIT:
        return _wait_detail(shown)
    attempts = shown["attempts"]
    if attempt is None:
        error = attempts[-1]["error"] if attempts else None
        return _detail(shown["success"], shown["output"], error)
    if not 1 <= attempt <= len(attempts):
        raise WorkflowError(
            "step.not_found", f'Step "{name:.300}" has {len(attempts)} attempts, none of number {attempt}.'
        )
    asked = attempts[attempt - 1]
    return _detail(asked["success"], shown["output"] if asked["success"] else None, asked["error"])


def _detail(success: bool | None, output: Any, error: Mapping[str, str] | None) -> StepDetail:
    """A step that is to be tried again is running, with the error of its last attempt."""
    if success:
        return StepDetail("complete", output)
    record = None if error is None else ErrorRecord(error["name"], error["message"])
    return StepDetail("running" if success is None else "errored", error=record)


def _wait_detail(shown: Mapping[str, Any]) -> StepDetail:
    event_type = shown["event_type"]
    if not shown["finished"]:
        return StepDetail("waiting", event_type=event_type)
    if (error := shown["error"]) is not None:
        return StepDetail("errored", error=ErrorRecord(error["name"], error["message"]), event_type=event_type)
    return StepDetail("complete", shown["output"], event_type=event_type)
