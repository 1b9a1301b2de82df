"""Cloudflare Workflows: durable functions made of steps, which survive restarts, kills and reloads.

Public page: Cloudflare docs, "Workflows".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...wrangler_config.section import Problem
from ..spec import BindingSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...wrangler_config.section import ProductSettings

NAME_CHARS_MAX = 64
CLASS_NAME_CHARS_MAX = 255
STEPS_MAX = 25_000
SCHEDULES_MAX = 100
"""Of an account. Source: Cloudflare docs, "Workflows: limits"."""
RETENTIONS = frozenset({"success_retention", "error_retention"})
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9-_]*")


@dataclass(frozen=True, slots=True)
class WorkflowEntry:
    """One `[[workflows]]`: the class `class_name` of the Worker's main file, under a name."""

    binding: str
    name: str
    class_name: str
    script_name: str | None = None
    remote: bool | None = None
    limits: dict[str, Any] | None = None
    concurrency: dict[str, Any] | None = None
    schedules: Any = None
    default_retention: dict[str, Any] | None = None
    jurisdiction: str | None = None

    @property
    def env_name(self) -> str:
        return self.binding

    def problems(self, name: str, got: str) -> Iterator[Problem]:
        from .durations import parse_retention_ms  # noqa: PLC0415 - every start would pay for it, with workflows or not
        from .errors import WorkflowFatalError  # noqa: PLC0415 - as above

        if len(self.name) > NAME_CHARS_MAX or not _NAME.fullmatch(self.name):
            shape = f"of at most {NAME_CHARS_MAX} letters, digits, - and _"
            text = f'"{name}" bindings should have a "name" {shape} but got {got}.'
            yield Problem(text, field="name")
        if len(self.class_name) > CLASS_NAME_CHARS_MAX or not self.class_name.isidentifier():
            shape = f"that names a class in at most {CLASS_NAME_CHARS_MAX} characters"
            text = f'"{name}" bindings should have a "class_name" {shape} but got {self.class_name!r:.100}.'
            yield Problem(text, field="class_name")
        for field, key, most in (("limits", "steps", STEPS_MAX), ("concurrency", "limit", None)):
            value = (getattr(self, field) or {}).get(key, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most and value > most):
                upper = f" up to {most:,}" if most else ""
                text = f'"{name}.{field}.{key}" should be a whole number from 1{upper} but got {value!r}.'
                yield Problem(text, field=field)
        retention = self.default_retention or {}
        for key in sorted(RETENTIONS & retention.keys()):
            try:
                parse_retention_ms(retention[key], f'"{name}.default_retention.{key}"')
            except WorkflowFatalError as error:
                yield Problem(error.message, field="default_retention")
        yield from self._schedule_problems(name)

    def _schedule_problems(self, name: str) -> Iterator[Problem]:
        from .._shared.cron import CronError, parse_cron  # noqa: PLC0415 - as above

        schedules = [self.schedules] if isinstance(self.schedules, str) else self.schedules or ()
        if not isinstance(schedules, (list, tuple)) or not all(isinstance(text, str) for text in schedules):
            text = f'"{name}.schedules" should be a cron expression or a list of them but got {self.schedules!r}.'
            yield Problem(text, field="schedules")
            return
        if len(schedules) > SCHEDULES_MAX:
            text = (
                f'"{name}.schedules" has {len(schedules)}: an account has at most {SCHEDULES_MAX}, the rest never fire.'
            )
            yield Problem(text, field="schedules", is_error=False)
        for schedule in schedules:
            try:
                parse_cron(schedule)
            except CronError as error:
                text = f'"{name}.schedules" has one that starts nothing: {error}'
                yield Problem(text, field="schedules", is_error=False)


def _settings() -> ProductSettings:
    from .settings import SETTINGS  # noqa: PLC0415 - a Lambda start has no edge.toml to check

    return SETTINGS


SPEC = BindingSpec(title="Workflow", entry=WorkflowEntry, settings=_settings)
