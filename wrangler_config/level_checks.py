"""One level of the wrangler file, the top or an environment: every check of the keys no binding owns.

Texts are wrangler's. Source: workers-sdk packages/workers-utils/src/config/validation.ts and validation-helpers.ts.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from .known_keys import ENVIRONMENT_KEYS, PRODUCT_SETTINGS_KEYS, SETTINGS_KEYS, TOP_LEVEL_KEYS, WITHOUT_EFFECT
from .parse import Located, TomlDate, echo
from .shape import check, expected, fits, type_hints, warn_of_unknown
from .top_level import TopLevel
from .worker_config import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .diagnostics import Diagnostics

SETTINGS_FILE = "edge.toml"
_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*|")
_LIMIT_SETTINGS = frozenset(Limits._fields)


def check_level(level: Located, section_keys: frozenset[str], report: Diagnostics) -> None:
    """Report what is wrong with the keys of the top level or of one environment.

    Args:
        level: named "" at the top, "env.staging" in an environment.
        section_keys: binding sections Edge has that wrangler may not know.
    """
    is_top = not level.at
    known = (TOP_LEVEL_KEYS if is_top else ENVIRONMENT_KEYS) | section_keys
    warn_of_unknown(
        level,
        known,
        report,
        name=None if level.name else "top-level",
        elsewhere=SETTINGS_KEYS | PRODUCT_SETTINGS_KEYS if is_top else TOP_LEVEL_KEYS - ENVIRONMENT_KEYS,
        other_file=f"{SETTINGS_FILE}, beside this file" if is_top else "the top level",
    )
    # As in wrangler, an inherited key is called by its bare name in an environment too; bindings by their full path.
    bare = Located(level.value, "", level.at)
    for key, hint in type_hints(TopLevel).items():
        if key in bare and key in known:
            check(_without_settings(bare.member(key), report), hint, report)
    for key, found in _special_problems(bare, level):
        report.error(found, (*level.at, key))
    for key in sorted(WITHOUT_EFFECT):
        if key in known and _says_something(bare.member(key).value):
            report.warning(f'"{key}" is not supported by Edge yet and has no effect.', (*level.at, key))
    if "unsafe" in bare:
        report.warning('"unsafe" fields are experimental and may change or break at any time.', (*level.at, "unsafe"))


def _says_something(value: Any) -> bool:
    """`triggers: {"crons": []}` asks for nothing, so nothing is missing."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def _without_settings(value: Located, report: Diagnostics) -> Located:
    """`limits` exists in both files; members of Edge's own are pointed to their file and taken out."""
    if value.at[-1] != "limits" or not isinstance(value.value, dict):
        return value
    misplaced = [key for key in value.value if key in _LIMIT_SETTINGS]
    for key in misplaced:
        report.warning(f'"limits.{key}" belongs in {SETTINGS_FILE}, beside this file.', (*value.at, key))
    return Located({k: v for k, v in value.value.items() if k not in misplaced}, value.name, value.at)


def _special_problems(bare: Located, level: Located) -> Iterator[tuple[str, str]]:
    """(key, text) of problems that a type cannot say."""
    name, day = bare.member("name"), bare.member("compatibility_date")
    if "name" in bare and not (isinstance(name.value, str) and _NAME.fullmatch(name.value)):
        yield "name", expected(name, "string, alphanumeric and lowercase with dashes only")
    if isinstance(day.value, str) and not _is_date(day.value):
        text = f'"compatibility_date" field should be a valid ISO-8601 date (YYYY-MM-DD), but got {day.echo}.'
        yield "compatibility_date", text
    if "legacy_env" in level:
        yield (
            "legacy_env",
            'The "legacy_env" field is no longer supported, so please remove it from your configuration.',
        )
    environments = level.member("env")
    if not level.at and environments.value is not None and not isinstance(environments.value, dict):
        yield "env", f'The field "env" should be an object but got {environments.echo}.'
    if "migrations" in bare and "exports" in bare:
        yield "exports", 'The "migrations" and "exports" fields are mutually exclusive. Use one of them.'
    if "define" in level and not isinstance(level.member("define").value, dict | list):
        yield (
            "define",
            f'The field "{level.member("define").name}" should be an object but got {level.member("define").echo}.',
        )
    yield from _route_problems(bare)
    yield from _trigger_problems(bare.member("triggers"))
    yield from _sampling_problems(bare.member("observability"))
    yield from _assets_problems(bare.member("assets"), has_main="main" in bare)
    if "secrets" in level:
        yield from _secrets_problems(level.member("secrets"))
    if "vars" in level:
        yield from _vars_problems(level.member("vars"))


def _is_date(text: str) -> bool:
    try:
        return re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _route_problems(bare: Located) -> Iterator[tuple[str, str]]:
    shape = "{ pattern, custom_domain, zone_id | zone_name, enabled, previews_enabled }"
    route, routes = bare.member("route"), bare.member("routes")
    if "route" in bare and "routes" in bare:
        yield "routes", 'Expected exactly one of the following fields ["routes","route"].'
    if "route" in bare and not _is_route(route.value):
        yield "route", f'Expected "route" to be either a string, or an object with shape {shape}, but got {route.echo}.'
    if "routes" in bare:
        if not isinstance(routes.value, list):
            yield "routes", f'Expected "routes" to be an array but got {routes.echo}.'
            return
        if bad := [value for value in routes.value if not _is_route(value)]:
            text = f'Expected "routes" to be an array of either strings or objects with the shape {shape}'
            yield "routes", f"{text}, but these weren't valid: {echo(bad, indent=2)}."
    given = routes.value if isinstance(routes.value, list) else [route.value]
    for value in given:
        if isinstance(value, dict) and value.get("custom_domain") and "/" in str(value.get("pattern")):
            yield (
                "routes" if "routes" in bare else "route",
                f"Invalid Routes:\n{value['pattern']}:\nPaths are not allowed in Custom Domains",
            )


def _is_route(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return (
        isinstance(value, dict)
        and isinstance(value.get("pattern"), str)
        and set(value) <= {"pattern", "custom_domain", "zone_id", "zone_name", "enabled", "previews_enabled"}
        and all(fits(value.get(k, ""), str) for k in ("zone_id", "zone_name"))
        and all(fits(value.get(k, True), bool) for k in ("custom_domain", "enabled", "previews_enabled"))
    )


def _trigger_problems(triggers: Located) -> Iterator[tuple[str, str]]:
    crons = triggers.member("crons")
    if triggers.value is not None and not isinstance(triggers.value, dict | list):
        yield "triggers", expected(triggers, "object")
    elif "crons" in triggers and not isinstance(crons.value, list):
        yield "triggers", f'Expected "triggers.crons" to be of type array, but got {triggers.echo}.'


def _sampling_problems(observability: Located) -> Iterator[tuple[str, str]]:
    for part in (observability, observability.member("logs"), observability.member("traces")):
        rate = part.member("head_sampling_rate")
        if fits(rate.value, float) and not 0 <= rate.value <= 1:
            yield "observability", f'"{rate.name}" must be a value between 0 and 1.'


def _assets_problems(assets: Located, *, has_main: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(assets.value, dict):
        return
    first = assets.member("run_worker_first")
    if "directory" not in assets:
        yield "assets", "The `assets` property in your configuration is missing the required `directory` property."
    if "binding" in assets and not has_main and len(assets.at) == 1:
        yield "assets", "Cannot use assets with a binding in an assets-only Worker."
    if "run_worker_first" in assets and not (fits(first.value, bool) or fits(first.value, list[str])):
        text = f'The field "{first.name}" should be an array of strings or a boolean, but got {first.echo}.'
        yield "assets", text


def _secrets_problems(secrets: Located) -> Iterator[tuple[str, str]]:
    required = secrets.member("required")
    if not isinstance(secrets.value, dict):
        yield "secrets", f'The field "{secrets.name}" should be an object but got {secrets.echo}.'
    elif "required" in secrets and not fits(required.value, list[str]):
        yield "secrets", f'Expected "{required.name}" to be an array of strings but got {required.echo}'


def _vars_problems(variables: Located) -> Iterator[tuple[str, str]]:
    if not isinstance(variables.value, dict | list):
        yield "vars", f'The field "{variables.name}" should be an object but got {variables.echo}.'
    for member in _inside(variables):
        if isinstance(member.value, TomlDate):
            advice = f'Please use a string instead, e.g. {member.at[-1]} = "{member.value.text}".'
            yield "vars", f'The field "{member.name}" is a TOML date, which is not supported. {advice}'


def _inside(value: Located) -> Iterator[Located]:
    """Every value inside, at any depth."""
    for inner in (*(member for _, member in value.members()), *value.items()):
        yield inner
        yield from _inside(inner)
