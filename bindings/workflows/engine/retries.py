"""How a step is tried: its config, checked as Cloudflare checks it, and how long to wait before the next attempt.

Source: spec "Workflows", 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeAlias

from ....runtime.core.edge_only import EdgeOnly
from ..durations import SECOND_MS, parse_duration_ms
from ..errors import WorkflowFatalError

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]
DelayFunction: TypeAlias = Callable[[dict[str, Any]], Any]

RETRIES_MAX = 10_000
RETRIES_DEFAULT = 5
DELAY_MS_DEFAULT = 10 * SECOND_MS
DEV_DELAY_MS_DEFAULT = SECOND_MS
TIMEOUT_MS_DEFAULT = 10 * 60 * SECOND_MS
RETRY_WAIT_MS_MAX = 365 * 24 * 60 * 60 * SECOND_MS
DELAY_FUNCTION_MS_MAX = 5 * SECOND_MS

_SEMANTICS = ("at_least_once", "at_most_once")
_WAITS: dict[str, Callable[[float, int], float]] = {
    "constant": lambda delay_ms, _: delay_ms,
    "linear": lambda delay_ms, failed_count: delay_ms * failed_count,
    "exponential": lambda delay_ms, failed_count: delay_ms * 2.0 ** min(failed_count - 1, 64),
}


@dataclass(frozen=True, slots=True)
class StepConfig:
    """A step's config with the defaults merged in."""

    limit: float = RETRIES_DEFAULT
    delay: int | DelayFunction = DELAY_MS_DEFAULT
    backoff: Backoff = "exponential"
    timeout_ms: int = TIMEOUT_MS_DEFAULT
    is_sensitive: bool = False
    is_at_most_once: bool = False
    shown: Mapping[str, Any] = field(default_factory=dict)
    """As `ctx["config"]` has it, which gets a copy: configs are shared by steps."""


def read_config(step: str, config: object, *, delay_ms_default: int = DELAY_MS_DEFAULT) -> StepConfig:
    """Check what user code gave as `config`.

    Raises:
        WorkflowFatalError: a key or value that Cloudflare refuses, or Edge's `semantics` with a word it does not know.
        UnsupportedError: `semantics` under `--compat strict`.
    """
    if config is None:
        return _default_config(delay_ms_default)
    if not isinstance(config, Mapping) or not config.keys() <= {"retries", "timeout", "sensitive", "semantics"}:
        raise _invalid(step)
    if "semantics" in config:
        EdgeOnly.SEMANTICS.use()
    limit, delay, backoff, shown_delay = _read_retries(step, config.get("retries"), delay_ms_default)
    timeout = config.get("timeout", TIMEOUT_MS_DEFAULT)
    timeout_ms = _duration(step, timeout)
    sensitive, semantics = config.get("sensitive"), config.get("semantics", "at_least_once")
    if timeout_ms <= 0 or sensitive not in (None, "output") or semantics not in _SEMANTICS:
        raise _invalid(step)
    shown = {"retries": {"limit": limit, "delay": shown_delay, "backoff": backoff}, "timeout": timeout}
    if sensitive:
        shown["sensitive"] = sensitive
    return StepConfig(limit, delay, backoff, timeout_ms, sensitive is not None, semantics == "at_most_once", shown)


def retry_wait_ms(backoff: Backoff, delay_ms: float, failed_count: int) -> int:
    """How long to wait after the `failed_count`-th failed attempt; never over a year."""
    return min(math.ceil(_WAITS[backoff](delay_ms, failed_count)), RETRY_WAIT_MS_MAX)


@cache
def _default_config(delay_ms: int) -> StepConfig:
    return read_config("", {}, delay_ms_default=delay_ms)


def _read_retries(
    step: str, retries: object, delay_ms_default: int
) -> tuple[float, int | DelayFunction, Backoff, object]:
    if retries is None:
        return RETRIES_DEFAULT, delay_ms_default, "exponential", delay_ms_default
    if not isinstance(retries, Mapping) or not {"limit", "delay"} <= retries.keys() <= {"limit", "delay", "backoff"}:
        raise _invalid(step)
    limit, delay, backoff = retries["limit"], retries["delay"], retries.get("backoff", "exponential")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= RETRIES_MAX:
        raise _invalid(step)
    if backoff not in list(_WAITS):  # compared, not hashed: it may be anything
        raise _invalid(step)
    return limit, delay if callable(delay) else _duration(step, delay), backoff, delay


def _duration(step: str, value: object) -> int:
    if isinstance(value, int | float) and not value >= 0:
        raise _invalid(step)
    try:
        return parse_duration_ms(value, "A duration")
    except WorkflowFatalError as error:
        raise _invalid(step) from error


def _invalid(step: str) -> WorkflowFatalError:
    return WorkflowFatalError(
        f'Step config for "{step}" is in a invalid format. See '
        f"https://developers.cloudflare.com/workflows/build/sleeping-and-retrying/"
    )
