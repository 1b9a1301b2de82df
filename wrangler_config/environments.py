"""`env.<name>`: which level of the wrangler file a key is read from.

Three classes of keys (known_keys.py): top-level-only; inherited where an environment does not set them, the whole
value, never merged; and not inherited, so that production's KV namespace is not written by staging unless it says so.
Source: workers-sdk packages/workers-utils/src/config/validation.ts, `inheritable` and `notInheritable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .known_keys import INHERITED, NOT_INHERITED, TOP_LEVEL_ONLY
from .parse import Located, echo

if TYPE_CHECKING:
    from .diagnostics import Diagnostics


@dataclass(frozen=True, slots=True)
class Levels:
    """The top level, and the chosen environment when there is one."""

    top: Located
    environment: str | None = None
    chosen: Located | None = None

    def effective(self, key: str) -> Located:
        """The value that counts; None inside when no level has it."""
        if self.chosen is None or key in TOP_LEVEL_ONLY:
            return self.top.member(key)
        if key in self.chosen or key not in INHERITED:
            return self.chosen.member(key)
        return self.top.member(key)

    @property
    def worker_name(self) -> str | None:
        """`<name>-<env>`, unless the environment has a name of its own."""
        name: str | None = self.effective("name").value
        if name is None or self.chosen is None or "name" in self.chosen:
            return name
        return f"{name}-{self.environment}"


def choose_levels(top: Located, environment: str | None, report: Diagnostics) -> Levels:
    """The levels for `--env environment`; None or "" is the top level. An environment nobody defined is reported."""
    if not environment:
        return Levels(top)
    environments = top.member("env")
    if isinstance(environments.value, dict) and environment in environments:
        return Levels(top, environment, environments.member(environment))
    names = list(environments.value) if isinstance(environments.value, dict) else []
    available = f"The available configured environment names are: {echo(names)}\n" if names else ""
    text = (
        f'No environment found in configuration with name "{environment}".\n'
        f"Before using `--env={environment}` there should be an equivalent environment section in the configuration.\n"
        f"{available}\n"
        f"Consider adding an environment configuration section to the {report.document.path.name} file:\n"
        f"```\n[env.{environment}]\n```"
    )
    if names:
        report.error(text)
    else:
        report.warning(text)
    return Levels(top, environment)


def warn_of_not_inherited(levels: Levels, report: Diagnostics) -> None:
    """What the top level has and the environment silently does not get."""
    chosen = levels.chosen
    if chosen is None:
        return
    for key, _ in levels.top.members():
        if key in NOT_INHERITED and key not in chosen:
            report.warning(
                f'"{key}" exists at the top level, but not on "{chosen.name}".\n'
                f'This is not what you probably want, since "{key}" is not inherited by environments.\n'
                f'Please add "{key}" to "{chosen.name}".',
                chosen.at,
            )
    for name, _ in levels.top.member("vars").members():
        if "vars" in chosen and name not in chosen.member("vars"):
            report.warning(
                f'"vars.{name}" exists at the top level, but not on "{chosen.name}.vars".\n'
                'This is not what you probably want, since "vars" configuration is not inherited by environments.\n'
                f'Please add "vars.{name}" to "{chosen.name}".',
                chosen.member("vars").at,
            )
