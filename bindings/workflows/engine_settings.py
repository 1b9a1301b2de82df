"""How workflows run on this machine: `[workflow_engine]` of edge.toml."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ...wrangler_config.section import Problem
from .durations import parse_duration_ms, parse_retention_ms
from .engine.retries import DELAY_MS_DEFAULT, DEV_DELAY_MS_DEFAULT
from .errors import WorkflowFatalError
from .values import VALUE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...wrangler_config.worker_config import WorkerConfig

SECTION = "workflow_engine"
STATE_BYTES_MAX = 1024**3
"""Source: Cloudflare docs, "Workflows limits"; 100 MB on the free plan."""
RETENTION_DEFAULT = "30 days"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`[workflow_engine]`; what the wrangler file says of a workflow wins over it. None: no limit."""

    durability: Literal["power", "process"] = "power"
    """What a recorded step survives: a power cut too, or the end of the process alone, which is faster."""
    replay: Literal["resident", "always"] = "resident"
    """"always" lets go of an instance at every wait: what its code kept in memory is gone then, as after a restart."""
    strict_replay: bool = False
    """End an instance whose run differs from what is recorded; a class may say so itself."""
    missed_schedules: Literal["none", "latest", "all"] = "latest"
    """Which of the times that passed while nothing ran start an instance after all."""
    retry_delay: int | str | None = None
    """Of steps that name none: 10 seconds, and 1 second in `edge dev`."""
    success_retention: int | str = RETENTION_DEFAULT
    error_retention: int | str = RETENTION_DEFAULT
    """How long finished instances are kept."""
    result_bytes_max: int = VALUE_BYTES_MAX
    """Of one step's result, encoded; a stream may be larger."""
    state_bytes_max: int = STATE_BYTES_MAX
    """Of all results of one instance."""
    concurrency_max: int | None = None
    """Instances of one workflow that run at once; one that waits does not count."""
    queued_count_max: int | None = None
    """Instances of one workflow that have not begun; more are refused."""
    created_per_second_max: int | None = None
    """Of one workflow, by one process; more are refused."""
    crash_count_max: int = 10
    """An instance that ran at so many deaths of its process, and finished no step between, is paused."""
    resident_count_max: int = 10_000
    """Instances in memory at once."""

    def retry_delay_ms(self, *, is_dev: bool) -> int:
        if self.retry_delay is None:
            return DEV_DELAY_MS_DEFAULT if is_dev else DELAY_MS_DEFAULT
        return parse_duration_ms(self.retry_delay, "retry_delay")

    def as_on_cloudflare(self) -> EngineSettings:
        """Without what gives a Worker more, or sooner, than it gets there."""
        return replace(
            self,
            retry_delay=None,
            result_bytes_max=min(self.result_bytes_max, VALUE_BYTES_MAX),
            state_bytes_max=min(self.state_bytes_max, STATE_BYTES_MAX),
        )


def engine_settings(config: WorkerConfig) -> EngineSettings:
    """What is in force for a Worker."""
    found: EngineSettings = config.settings.products.get(SECTION) or EngineSettings()
    return found.as_on_cloudflare() if config.is_strict else found


def engine_problems(settings: EngineSettings | None) -> Iterator[Problem]:
    """What types cannot say of the section."""
    if settings is None:
        return
    for name in _COUNTS:
        value = getattr(settings, name)
        if value is not None and value < 1:
            yield Problem(f"{SECTION}.{name}: expected 1 or more, got {value:,}", at=(SECTION, name))
    for name, parse in _DURATIONS.items():
        value = getattr(settings, name)
        try:
            parse(1 if value is None else value, f"{SECTION}.{name}")
        except WorkflowFatalError as error:
            yield Problem(error.message, at=(SECTION, name))


_COUNTS = (
    "result_bytes_max",
    "state_bytes_max",
    "concurrency_max",
    "queued_count_max",
    "created_per_second_max",
    "crash_count_max",
    "resident_count_max",
)
_DURATIONS = {
    "retry_delay": parse_duration_ms,
    "success_retention": parse_retention_ms,
    "error_retention": parse_retention_ms,
}
