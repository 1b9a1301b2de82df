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

NAME_CHARS_MAX = 64
STEPS_MAX = 25_000
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
        if len(self.name) > NAME_CHARS_MAX or not _NAME.fullmatch(self.name):
            shape = f"of at most {NAME_CHARS_MAX} letters, digits, - and _"
            text = f'"{name}" bindings should have a "name" {shape} but got {got}.'
            yield Problem(text, field="name")
        for field, key, most in (("limits", "steps", STEPS_MAX), ("concurrency", "limit", None)):
            value = (getattr(self, field) or {}).get(key, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most and value > most):
                upper = f" up to {most:,}" if most else ""
                text = f'"{name}.{field}.{key}" should be a whole number from 1{upper} but got {value!r}.'
                yield Problem(text, field=field)
        if self.schedules is not None:
            text = f'"{name}.schedules" has no effect: Edge does not start workflows by schedule yet.'
            yield Problem(text, field="schedules", is_error=False)


SPEC = BindingSpec(title="Workflow", entry=WorkflowEntry)
