"""What goes wrong in a workflow, and how an error is stored and raised again.

    BindingError
    +-- WorkflowError           a call on the binding or a handle was refused; the text carries Cloudflare's key
    +-- WorkflowFatalError      a step was called wrongly, or the instance cannot go on
    +-- WorkflowTimeoutError    an attempt or a wait took too long
    +-- StepInterruptedError    the process died during an attempt of an at-most-once step
    +-- NonRetryableDelayError  a step's delay function failed
    +-- NonDeterminismError     with strict_replay: a pass differed from what is recorded; ends the instance

An error crosses a step's border as name and message only, and user code catches the same error on the first pass and
on every replay: the one that `raised` makes of the record.
Source: spec "Workflows", 3.1; decision 25.
"""

from __future__ import annotations

from typing import NamedTuple

from ...runtime.core.errors import BindingError
from ...runtime.core.workflow_errors import NonRetryableError

MESSAGE_CHARS_MAX = 16 * 1024


class WorkflowError(BindingError):
    """Raised when a call is refused. `key` is Cloudflare's word for why, as `instance.already_exists`."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"({key}) {message}", name="WorkflowError")
        self.key = key
        self.reason = message


class _StepError(BindingError):
    def __init__(self, message: str) -> None:
        super().__init__(message, name=type(self).__name__)


class WorkflowFatalError(_StepError):
    """Raised when a step is called wrongly; not retried."""


class WorkflowTimeoutError(_StepError):
    """Raised when an attempt of a step, or a wait for an event, took too long."""


class StepInterruptedError(_StepError):
    """Raised for an attempt of an at-most-once step that was running when its process died."""


class NonRetryableDelayError(_StepError):
    """Raised when the delay function of a step fails; the step is not retried."""


class NonDeterminismError(_StepError):
    """Raised, past user code, when a strict run does not call again what an earlier pass finished."""


class ErrorRecord(NamedTuple):
    """An error as the journal keeps it."""

    name: str
    message: str


class Interrupted(BaseException):
    """Raised in user code that goes on after its pass was ended (pause, terminate, hibernation, a lost lease)."""


_SAME_CLASS: dict[str, type[Exception]] = {
    cls.__name__: cls
    for cls in (
        TypeError,
        ValueError,
        NonRetryableError,
        WorkflowFatalError,
        WorkflowTimeoutError,
        StepInterruptedError,
        NonRetryableDelayError,
    )
}
"""What is raised again as its own class; everything else is a JsException (BindingError) with name and message."""


def recorded(error: BaseException) -> ErrorRecord:
    """What the journal keeps of an error."""
    if isinstance(error, NonRetryableError):  # a subclass must stay non-retryable
        return ErrorRecord(NonRetryableError.__name__, _message_of(error))
    if isinstance(error, BindingError):
        return ErrorRecord(error.name, _message_of(error))
    return ErrorRecord(type(error).__name__, _message_of(error))


def _message_of(error: BaseException) -> str:
    """Its text as a database takes it: half a surrogate pair becomes a question mark."""
    try:
        text = error.message if isinstance(error, BindingError) else str(error)
    except Exception as failure:  # noqa: BLE001 - user code too: __str__
        text = f"(its text cannot be read: {type(failure).__name__})"
    return text[:MESSAGE_CHARS_MAX].encode(errors="replace").decode()


def raised(record: ErrorRecord) -> Exception:
    """The error that user code gets for a record."""
    cls = _SAME_CLASS.get(record.name)
    return BindingError(record.message, name=record.name) if cls is None else cls(record.message)
