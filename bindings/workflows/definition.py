"""A workflow as it is configured: one `[[workflows]]` entry, with what the compatibility date decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...runtime.core.workflow_errors import NonRetryableError
from .durations import DAY_MS, parse_retention_ms
from .engine.retries import DELAY_MS_DEFAULT
from .engine_settings import STATE_BYTES_MAX, engine_settings
from .errors import ErrorRecord
from .values import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ...runtime.core.context import Context
    from ...runtime.core.env import Env
    from ...runtime.core.worker import Worker
    from ...wrangler_config.worker_config import WorkerConfig
    from . import WorkflowEntry

STEPS_MAX_DEFAULT = 10_000
RETENTION_MS_DEFAULT = 30 * DAY_MS

IMPLICIT_DEPENDENCIES = ("python_workflows_implicit_dependencies", "2026-02-25")
NON_RETRYABLE_MESSAGE = ("workflows_preserve_non_retryable_error_message", "2026-05-14")
"""Compatibility flag, and the date that implies it."""


class Code(Protocol):
    """One load of the user's modules. A pass leaves it at the next step once `is_retiring`."""

    @property
    def is_retiring(self) -> bool: ...

    @property
    def worker(self) -> Handlers: ...


class Handlers(Protocol):
    """What the loaded file has."""

    @property
    def handlers(self) -> tuple[str, ...]:
        """What it can be called for: `Order.run` for `class Order(WorkflowEntrypoint)`."""

    @property
    def file(self) -> str:
        """The Worker's main file."""

    @property
    def workflows(self) -> Mapping[str, type]:
        """The classes of workflows, by name."""


class WorkflowWorker(Protocol):
    """The running Worker, whichever load is current; None while none could be loaded."""

    @property
    def current(self) -> Code | None: ...

    async def invoke(self, work: Callable[[Worker, Env, Context], Awaitable[Any]]) -> Any:
        """Run something as an event of the current load."""


@dataclass(frozen=True, slots=True)
class Definition:
    """`delay_ms_default` is the retry delay of steps that name none."""

    name: str
    class_name: str
    steps_max: int = STEPS_MAX_DEFAULT
    concurrency_max: int | None = None
    success_retention_ms: int = RETENTION_MS_DEFAULT
    error_retention_ms: int = RETENTION_MS_DEFAULT
    delay_ms_default: int = DELAY_MS_DEFAULT
    has_implicit_dependencies: bool = True
    shows_non_retryable_message: bool = True
    queued_count_max: int | None = None
    created_per_second_max: int | None = None
    result_bytes_max: int = VALUE_BYTES_MAX
    """Of a step's result and of the output, encoded; a stream may be larger."""
    state_bytes_max: int = STATE_BYTES_MAX
    """Of all results of an instance."""
    strict_replay: bool = False
    """Whether a run that differs from what is recorded ends its instance."""
    is_strict: bool = False
    """`--compat strict`: values are what Cloudflare makes of them, and the context says no more than there."""
    is_resident: bool = True
    """Whether an instance may stay in memory for a short wait."""
    run: Callable[[dict[str, Any], Any, Env], Awaitable[Any]] | None = None
    """`run(event, step, env)` in place of the method of a class: a manifest's."""
    version: str = ""
    """Of `run`; a class's version is that of its code."""
    check_params: Callable[[object], None] | None = None
    """Refuses params of a new instance by raising BindingError."""
    earlier: Mapping[str, Definition] = field(default_factory=dict)
    """By version: what instances of earlier versions go on with."""

    @property
    def handler(self) -> str:
        """What the Worker is called for."""
        return f"{self.class_name}.run"

    def of_version(self, version: str) -> Definition:
        """What an instance of that version runs."""
        return self.earlier.get(version, self)

    def shown_error(self, error: ErrorRecord) -> ErrorRecord:
        """The error of an instance that nobody caught."""
        if error.name != NonRetryableError.__name__ or self.shows_non_retryable_message:
            return error
        message = (
            "The execution of the Workflow instance was terminated, as a step threw an NonRetryableError "
            "and it was not handled"
        )
        return ErrorRecord("WorkflowFatalError", message)


def definition_of(entry: WorkflowEntry, config: WorkerConfig, *, is_dev: bool) -> Definition:
    """What an entry means under a Worker's compatibility date and flags, and its edge.toml."""
    settings = engine_settings(config)
    retention = entry.default_retention or {}
    return Definition(
        name=entry.name,
        class_name=entry.class_name,
        steps_max=(entry.limits or {}).get("steps", STEPS_MAX_DEFAULT),
        concurrency_max=(entry.concurrency or {}).get("limit", settings.concurrency_max),
        queued_count_max=settings.queued_count_max,
        created_per_second_max=settings.created_per_second_max,
        success_retention_ms=_retention_ms(retention, "success_retention", settings.success_retention),
        error_retention_ms=_retention_ms(retention, "error_retention", settings.error_retention),
        delay_ms_default=settings.retry_delay_ms(is_dev=is_dev and not config.is_strict),
        result_bytes_max=settings.result_bytes_max,
        state_bytes_max=settings.state_bytes_max,
        strict_replay=settings.strict_replay,
        is_strict=config.is_strict,
        is_resident=settings.replay == "resident",
        has_implicit_dependencies=_is_on(config, *IMPLICIT_DEPENDENCIES),
        shows_non_retryable_message=_is_on(config, *NON_RETRYABLE_MESSAGE),
    )


def _retention_ms(retention: Mapping[str, Any], key: str, default: int | str) -> int:
    return parse_retention_ms(retention.get(key, default), f"default_retention.{key}")


def _is_on(config: WorkerConfig, flag: str, implied_from: str) -> bool:
    if f"no_{flag}" in config.compatibility_flags:
        return False
    return flag in config.compatibility_flags or (config.compatibility_date or "") >= implied_from
