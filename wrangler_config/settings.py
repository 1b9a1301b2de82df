"""edge.toml, or edge.jsonc: Edge's own settings, checked by pydantic against the dataclasses of `worker_config.py`.

`[env.NAME]` works as in the wrangler file: a section there replaces the top level's whole. A string may be a reference,
`{ env = "NAME" }`, to a variable of `.dev.vars`, `.env` or the process environment; that is the only way to give a
secret. pydantic is imported only where such a file exists: it costs 110 ms at start.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from .known_keys import SETTINGS_KEYS, TOP_LEVEL_KEYS
from .parse import Located
from .shape import expected, expected_one_of, type_hints, warn_of_unknown
from .worker_config import AwsSettings, Limits, ServerSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .diagnostics import Diagnostics

_SECTIONS: dict[str, type[Any]] = {"server": ServerSettings, "limits": Limits, "aws": AwsSettings}
_CLOUDFLARE_KEYS = {"limits": frozenset({"cpu_ms", "subrequests"})}


@dataclass(frozen=True, slots=True)
class CheckedSettings:
    """Settings in force, and which of their values were references: "aws.region" -> "MY_REGION"."""

    settings: Settings = field(default_factory=Settings)
    references: Mapping[str, str] = field(default_factory=dict)


def check_settings(
    top: Located, environment: str | None, variables: Mapping[str, Any], wrangler_file: str, report: Diagnostics
) -> CheckedSettings:
    """Report what is wrong with the settings file; return what is in force.

    Args:
        variables: values of references, before the process environment is asked.
        wrangler_file: the file that misplaced keys belong in.
    """
    misplaced: dict[str, Any] = {"elsewhere": TOP_LEVEL_KEYS - SETTINGS_KEYS, "other_file": wrangler_file}
    warn_of_unknown(top, SETTINGS_KEYS | {"env"}, report, name="top-level", **misplaced)
    chosen = top.member("env").member(environment) if environment else Located(None)
    for one in (top.member("env"), chosen):
        if one.value is not None and not isinstance(one.value, dict):
            report.error(expected(one, "object"), one.at)
    warn_of_unknown(chosen, SETTINGS_KEYS, report, **misplaced)
    references: dict[str, str] = {}
    checked: dict[str, Any] = {}
    for section, cls in _SECTIONS.items():
        value = chosen.member(section) if section in chosen else top.member(section)
        if value.value is None:
            continue
        if not isinstance(value.value, dict):
            report.error(expected(value, "object"), value.at)
            continue
        known, cloudflares = frozenset(f.name for f in fields(cls)), _CLOUDFLARE_KEYS.get(section, frozenset())
        warn_of_unknown(value, known, report, elsewhere=cloudflares, other_file=wrangler_file)
        value = Located(value.value, section, value.at)
        resolved = _resolved(value, variables, references, report)
        if (one := _validated(cls, resolved, value, report)) is not None:
            checked[section] = _in_range(one, value, report)
    return CheckedSettings(Settings(**checked), references)


def _resolved(value: Located, variables: Mapping[str, Any], references: dict[str, str], report: Diagnostics) -> Any:
    """The value with each `{ env = "NAME" }` inside replaced."""
    if not isinstance(value.value, dict):
        return value.value
    name = value.value.get("env")
    if set(value.value) == {"env"} and isinstance(name, str) and "." in value.name:
        references[value.name] = name
        found = variables.get(name, os.environ.get(name))
        if found is None:
            report.error(
                f'"{value.name}" refers to the variable {name}, which is not set. '
                f"Add it to .dev.vars or .env, or set it in the environment of the process.",
                value.at,
            )
        return "" if found is None else str(found)
    return {key: _resolved(member, variables, references, report) for key, member in value.members()}


def _validated(cls: type[Any], resolved: Any, value: Located, report: Diagnostics) -> Any:
    """The section as its dataclass; None when something in it has the wrong type, which is reported.

    Messages repeat `value`, the section as written: what a reference resolved to may be a secret.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - see the docstring of this module

    text = json.dumps(resolved, default=lambda date: {"date": date.text})
    try:
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            at, name, raw = value.at, value.name, value.value
            for step in one["loc"]:
                raw = raw[step]
                at, name = (*at, step), f"{name}[{step}]" if isinstance(step, int) else f"{name}.{step}"
            located = Located(raw, name, at)
            if one["type"] == "literal_error":
                report.error(expected_one_of(located, type_hints(cls)[str(at[len(value.at)])]), at)
            else:
                report.error(expected(located, _WORDS.get(one["type"], one["type"])), at)
        return None


def _in_range(section: Any, value: Located, report: Diagnostics) -> Any:
    """The section with its default for every number that is not above zero, each of which is warned about."""
    default = type(section)()
    for one in fields(section):
        number = getattr(section, one.name)
        if isinstance(number, int | float) and not isinstance(number, bool) and not number > 0:
            standard = getattr(default, one.name)
            text = f'"{value.name}.{one.name}" must be above 0 but got {number}; the default {standard} is used.'
            report.warning(text, (*value.at, one.name))
            section = replace(section, **{one.name: standard})
    return section


_WORDS = {
    "string_type": "string",
    "bool_type": "boolean",
    "int_type": "whole number",
    "int_from_float": "whole number",
    "int_parsing_size": "whole number",
    "float_type": "number",
    "finite_number": "number",
    "tuple_type": "array",
    "dict_type": "object",
}
"""pydantic's error types that our dataclasses can cause -> what was expected."""
