"""Binding sections: their shape, their names, and the entries of those Edge has."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from .known_keys import BINDING_KINDS, Kind
from .shape import choices, expected_one_of, fits, type_hints, warn_of_unknown, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .diagnostics import Diagnostics
    from .environments import Levels
    from .parse import Located, Path


def check_sections(level: Located, sections: Mapping[str, type[Any]], report: Diagnostics) -> None:
    """Report what is wrong with the binding sections of one level, whether Edge has them or not."""
    for section, kind in _kinds(sections).items():
        if section not in level:
            continue
        if problem := _shape_problem(level.member(section), kind):
            report.error(problem, (*level.at, section))
            continue
        for entry in _entries(level.member(section), kind):
            if section in sections:
                _check_entry(section, entry, sections[section], report)
            elif not (isinstance(entry.value, dict) and isinstance(entry.value.get(kind.name), str)):
                report.error(_unnamed(entry, kind), entry.at)
            _check_name(entry, kind, report)


def check_names(levels: Levels, sections: Mapping[str, type[Any]], report: Diagnostics) -> None:
    """Report names given twice, across all kinds: vars, secrets and bindings share one `env`."""
    owners: dict[str, list[str]] = {}
    places: dict[str, Path] = {}
    for name, title, at in _all_names(levels, sections):
        owners.setdefault(name, []).append(title)
        places[name] = at
    shared = {name: titles for name, titles in owners.items() if len(titles) > 1}
    for name, titles in shared.items():
        if len(kinds := list(dict.fromkeys(titles))) > 1:
            report.error(f"{name} assigned to {_listed(kinds)} bindings.", places[name])
        for title in dict.fromkeys(title for title in titles if titles.count(title) > 1):
            report.error(f"{name} assigned to multiple {title} bindings.", places[name])
    if shared:
        report.error(
            "Bindings must have unique names, so that they can all be referenced in the worker.\n"
            "Please change your bindings to have unique names.",
            places[next(iter(shared))],
        )


def entries_of(levels: Levels, sections: Mapping[str, type[Any]]) -> dict[str, tuple[Any, ...]]:
    """Section -> its entries, of a config without errors; sections without entries are left out."""
    return {
        section: tuple(_built(entry.value, sections[section]) for entry in found)
        for section, kind in _kinds(sections).items()
        if section in sections and (found := list(_entries(levels.effective(section), kind)))
    }


def unsupported_names(levels: Levels, sections: Mapping[str, type[Any]], report: Diagnostics) -> dict[str, str]:
    """Binding name -> section, for the sections wrangler knows and Edge has not; each section is warned about."""
    found: dict[str, str] = {}
    for section, kind in BINDING_KINDS.items():
        value = levels.effective(section)
        if section in sections or value.value is None:
            continue
        names = [entry.value[kind.name] for entry in _entries(value, kind)]
        found.update(dict.fromkeys(names, section))
        using = f", using {_listed([f'env.{name}' for name in names])} raises UnsupportedError" if names else ""
        report.warning(f'"{section}" bindings are not supported by Edge yet{using or " and have no effect"}.', value.at)
    return found


def _kinds(sections: Mapping[str, type[Any]]) -> dict[str, Kind]:
    return BINDING_KINDS | {section: Kind(section) for section in sections if section not in BINDING_KINDS}


def _shape_problem(value: Located, kind: Kind) -> str | None:
    if kind.is_single or kind.inside:
        if not isinstance(value.value, dict):
            return f'The field "{value.name}" should be an object but got {value.echo}.'
        if not kind.inside or kind.inside not in value:
            return None
        value = value.member(kind.inside)
    if not isinstance(value.value, list):
        return f'The field "{value.name}" should be an array but got {value.echo}.'
    return None


def _entries(value: Located, kind: Kind) -> Iterator[Located]:
    if kind.is_single:
        if value.value is not None:
            yield value
    else:
        yield from (value.member(kind.inside) if kind.inside else value).items()


def _unnamed(entry: Located, kind: Kind) -> str:
    if kind.is_single:
        return f'binding should have a string "{kind.name}" field.'
    return f'"{entry.name}" bindings should have a string "{kind.name}" field but got {entry.echo}.'


def _check_name(entry: Located, kind: Kind, report: Diagnostics) -> None:
    name = entry.member(kind.name).value
    if not isinstance(name, str):
        return
    if not name.isidentifier():
        text = (
            f'The binding name "{name}" is no Python identifier: write getattr(env, "{name}") in place of env.{name}.'
        )
        report.warning(text, (*entry.at, kind.name))
    elif name.startswith("__"):
        text = f'The binding name "{name}" may be one of Python\'s own, and env.{name} then something else.'
        report.warning(text, (*entry.at, kind.name))


def _check_entry(section: str, entry: Located, cls: type[Any], report: Diagnostics) -> None:
    if not isinstance(entry.value, dict):
        report.error(f'"{section}" bindings should be objects, but got {entry.echo}', entry.at)
        return
    hints, phrases = type_hints(cls), getattr(cls, "PHRASES", {})
    is_sound = True
    for field in fields(cls):
        is_required = field.default is MISSING and field.default_factory is MISSING
        value, hint = entry.member(field.name), hints[field.name]
        if (field.name not in entry and not is_required) or (field.name in entry and fits(value.value, hint)):
            continue
        is_sound = False
        if field.name in entry and choices(hint):
            report.error(expected_one_of(value, hint), value.at)
        else:
            phrase = phrases.get(field.name, "should have a" if is_required else "should, optionally, have a")
            text = f'"{entry.name}" bindings {phrase} {word(hint)} "{field.name}" field but got {entry.echo}.'
            report.error(text, value.at)
    warn_of_unknown(entry, frozenset(field.name for field in fields(cls)), report)
    if is_sound and hasattr(cls, "problems"):
        for problem in _built(entry.value, cls).problems(entry.name, entry.echo):
            at = (*entry.at, problem.field) if problem.field else entry.at
            (report.error if problem.is_error else report.warning)(problem.text, at)


def _built(value: Mapping[str, Any], cls: type[Any]) -> Any:
    known = {field.name for field in fields(cls)}
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known})


def _all_names(levels: Levels, sections: Mapping[str, type[Any]]) -> Iterator[tuple[str, str, Path]]:
    for section, kind in _kinds(sections).items():
        value = levels.effective(section)
        if value.value is None or _shape_problem(value, kind):
            continue
        for entry in _entries(value, kind):
            name = entry.member(kind.name)
            if isinstance(name.value, str):
                yield name.value, kind.title, name.at
    assets = levels.effective("assets").member("binding")
    if isinstance(assets.value, str):
        yield assets.value, "Assets", assets.at
    for key, member in levels.effective("vars").members():
        yield key, "Environment Variable", member.at
    for item in levels.effective("secrets").member("required").items():
        if isinstance(item.value, str):
            yield item.value, "Secret", item.at


def _listed(names: list[str]) -> str:
    """ "A", "A and B", "A, B, and C": as JavaScript's Intl.ListFormat joins them for wrangler."""
    if len(names) < 3:
        return " and ".join(names)
    return f"{', '.join(names[:-1])}, and {names[-1]}"
