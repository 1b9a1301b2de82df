"""Sections of edge.toml that bindings bring: `[streams.NAME]`, `[[pipelines]]` ... (section.py, ProductSettings)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_args, get_origin

from .parse import Located
from .section import Problem, ReadProducts, RestType
from .settings_values import (
    refuse_secrets_inside,
    refuse_written_secrets,
    resolved_members,
    salvaged,
    validated,
    warn_of_unknown_inside,
)
from .shape import expected, type_hints, warn_of_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .diagnostics import Diagnostics
    from .section import ProductSettings, SettingsPlace


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections in force, as written, and what is needed to read them."""

    written: Mapping[str, Located]
    variables: Mapping[str, Any]
    references: dict[str, str]
    report: Diagnostics
    refused: set[tuple[str | int, ...]] = field(default_factory=set)
    """Members of a wrong type: reported, and as if they were not there for what is checked next."""

    def prefix_of(self, at: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """What goes before a `Problem.at` in this file: nothing, or ("env", "prod")."""
        return self.written[str(at[0])].at[:-1]


def check_product(product: ProductSettings, sections: Sections, place: SettingsPlace) -> dict[str, Any]:
    """Report what is wrong with one product's sections; return them as its types. An unusable entry is None."""
    checked: dict[str, Any] = {}
    for name, kind in product.types.items():
        if (value := sections.written[name]).value is None:
            continue
        if get_origin(kind) is tuple:
            if not isinstance(value.value, list):
                sections.report.error(expected(value, "array"), value.at)
            else:
                cls = get_args(kind)[0]
                checked[name] = tuple(_checked(cls, item, sections, place) for item in value.items())
        elif not isinstance(value.value, dict):
            sections.report.error(expected(value, "object"), value.at)
        elif get_args(kind):
            cls = get_args(kind)[1]
            checked[name] = {key: _checked(cls, member, sections, place) for key, member in value.members()}
        else:
            checked[name] = _checked(kind, value, sections, place)
    for problem in product.problems(checked, place):
        prefix = sections.prefix_of(problem.at)
        if (*prefix, *problem.at) not in sections.refused:
            _tell(problem, prefix, sections.report)
    return checked


def check_further(
    further: Callable[[ReadProducts], Sequence[Problem]],
    products: Mapping[str, Any],
    sections: Sections,
    place: SettingsPlace,
) -> None:
    """Report what a check finds that knows of the errors there are: it leaves out what follows from them."""

    def is_right(at: tuple[str | int, ...]) -> bool:
        return not sections.report.has_error_in((*sections.prefix_of(at), *at))

    for problem in further(ReadProducts(products, place, is_right)):
        _tell(problem, sections.prefix_of(problem.at), sections.report)


def _checked(cls: type[Any], entry: Located, sections: Sections, place: SettingsPlace) -> Any:
    """One entry as a `cls`, without members of a wrong type, which are reported; None when it cannot be one."""
    report = sections.report
    if not isinstance(entry.value, dict):
        report.error(expected(entry, "object"), entry.at)
        return None
    misplaced: dict[str, Any] = {"elsewhere": getattr(cls, "MISPLACED", frozenset()), "other_file": place.wrangler_file}
    values = resolved_members(entry, _hints_of(cls, entry), sections.variables, sections.references, report)
    known = frozenset(f.name for f in fields(cls))
    if (rest := getattr(cls, "REST", None)) is None:
        warn_of_unknown(entry, known, report, **misplaced)
        _warn_inside_members(entry, cls, report)
        refuse_secrets_inside(entry, cls, report)
        return _salvaged(cls, values, entry, sections)
    known -= {rest}
    own = {key: value for key, value in values.items() if key in known}
    others = {key: value for key, value in values.items() if key not in known}
    _warn_inside_members(Located({key: entry.value[key] for key in own}, entry.name, entry.at), cls, report)
    _check_rest(cls, entry, others, report)
    return _salvaged(cls, own | {rest: others}, entry, sections)


def _salvaged(cls: type[Any], values: Any, entry: Located, sections: Sections) -> Any:
    if (one := validated(cls, values, entry, sections.report)) is not None:
        return one
    one, wrong = salvaged(cls, values)
    sections.refused.update((*entry.at, *at) for at in wrong)
    return one


def _check_rest(cls: Any, entry: Located, others: Mapping[str, Any], report: Diagnostics) -> None:
    """The members that `cls` does not have itself, against the type it names for them."""
    found = cls.rest_type(entry.value)
    if found is None:
        return
    if isinstance(found, Problem):
        _tell(found, entry.at, report)
        return
    written = Located({key: entry.value[key] for key in others}, entry.name, entry.at)
    warn_of_unknown_inside(written, found.cls, report)
    validated(found.cls, others, written, report)
    refuse_written_secrets(written, found.cls, found.secrets, report)


def _hints_of(cls: Any, entry: Located) -> dict[str, Any]:
    """Of every member, those of the type it names included."""
    rest = cls.rest_type(entry.value) if hasattr(cls, "REST") else None
    return type_hints(cls) | (type_hints(rest.cls) if isinstance(rest, RestType) else {})


def _warn_inside_members(entry: Located, cls: type[Any], report: Diagnostics) -> None:
    hints = type_hints(cls)
    for key, member in entry.members():
        if key in hints:
            warn_of_unknown_inside(member, hints[key], report)


def _tell(problem: Problem, at: tuple[str | int, ...], report: Diagnostics) -> None:
    (report.error if problem.is_error else report.warning)(problem.text, (*at, *problem.at))
