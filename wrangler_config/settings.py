"""edge.toml, or edge.jsonc: Edge's own settings, checked by pydantic against the dataclasses of `worker_config.py`.

`[env.NAME]` works as in the wrangler file: a section there replaces the top level's whole. A string may be a reference,
`{ env = "NAME" }`, to a variable of `.dev.vars`, `.env` or the process environment; that is the only way to give a
secret. pydantic is imported only where such a file exists: it costs 110 ms at start.
"""

from __future__ import annotations

import math
from dataclasses import field, make_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .known_keys import SETTINGS_KEYS, TOP_LEVEL_KEYS
from .parse import Located
from .product_settings import Sections, check_further, check_product
from .settings_values import resolved, validated
from .shape import expected, type_hints, warn_of_unknown
from .worker_config import AwsSettings, CheckedSettings, Limits, ServerSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .diagnostics import Diagnostics
    from .section import Problem, ProductSettings, ReadProducts, SettingsPlace

CORE_SECTIONS: dict[str, type[Any]] = {"server": ServerSettings, "limits": Limits, "aws": AwsSettings}
_CLOUDFLARE_KEYS = {"limits": frozenset({"cpu_ms", "subrequests"})}


def check_settings(
    top: Located,
    environment: str | None,
    *,
    variables: Mapping[str, Any],
    products: Sequence[ProductSettings],
    further: Callable[[ReadProducts], Sequence[Problem]] | None,
    place: SettingsPlace,
    report: Diagnostics,
) -> CheckedSettings:
    """Report what is wrong with the settings file; return what is in force.

    Args:
        variables: values of references, before the process environment is asked.
        products: sections that bindings bring.
        further: what else is checked in them, after everything was read.
        place: names the file that misplaced keys belong in.
    """
    product_keys = frozenset(key for product in products for key in product.types)
    known = SETTINGS_KEYS | product_keys
    misplaced: dict[str, Any] = {"elsewhere": TOP_LEVEL_KEYS - known, "other_file": place.wrangler_file}
    warn_of_unknown(top, known | {"env", "$schema"}, report, name="top-level", **misplaced)
    chosen = top.member("env").member(environment) if environment else Located(None)
    for one in (top.member("env"), chosen):
        if one.value is not None and not isinstance(one.value, dict):
            report.error(expected(one, "object"), one.at)
    warn_of_unknown(chosen, known, report, **misplaced)

    def written(section: str) -> Located:
        at = chosen.at if section in chosen else ()
        return Located((chosen if section in chosen else top).member(section).value, section, (*at, section))

    references: dict[str, str] = {}
    checked: dict[str, Any] = {}
    for section, cls in CORE_SECTIONS.items():
        value = written(section)
        if value.value is None:
            continue
        if not isinstance(value.value, dict):
            report.error(expected(value, "object"), value.at)
            continue
        own, cloudflares = frozenset(cls._fields), _CLOUDFLARE_KEYS.get(section, frozenset())
        warn_of_unknown(value, own, report, elsewhere=cloudflares, other_file=place.wrangler_file)
        as_dataclass = checked_type(cls)
        one = validated(as_dataclass, resolved(value, as_dataclass, variables, references, report), value, report)
        if one is not None:
            checked[section] = _in_range(cls(**{name: getattr(one, name) for name in cls._fields}), value, report)
    sections = Sections({key: written(key) for key in product_keys}, variables, references, report)
    files: list[Path] = []
    for product in products:
        found = check_product(product, sections, place)
        checked.setdefault("products", {}).update(found)
        files += () if report.has_errors else product.files(found, place.folder)
    if further is not None and checked.get("products"):
        check_further(further, checked["products"], sections, place)
    return CheckedSettings(Settings(**checked), references, tuple(files))


def checked_type(cls: type[Any]) -> type[Any]:
    """The section's named tuple as a dataclass, whose members pydantic reports by name."""
    hints, defaults = type_hints(cls), cls()
    return make_dataclass(
        cls.__name__,
        [(name, hints[name], field(default_factory=partial(getattr, defaults, name))) for name in cls._fields],
    )


def _in_range(section: Any, value: Located, report: Diagnostics) -> Any:
    """The section with its default for every number that is not above zero, or no end: each of them is warned about."""
    default = type(section)()
    for name in section._fields:
        number = getattr(section, name)
        if isinstance(number, int | float) and not isinstance(number, bool) and not 0 < number < math.inf:
            standard = getattr(default, name)
            wanted = f'"{value.name}.{name}" must be a finite number above 0'
            report.warning(f"{wanted} but got {number}; the default {standard} is used.", (*value.at, name))
            section = section._replace(**{name: standard})
    return section
