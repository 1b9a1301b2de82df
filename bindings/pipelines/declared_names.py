"""Names, ids and places of what edge.toml declares: each has to mean one thing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...wrangler_config.section import Problem
from .catalogue import NAME_CHARACTERS_MAX, OBJECT_COUNT_MAX, is_name
from .ids import is_id
from .sink_types import sink_type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


def find_name_problems(products: Mapping[str, Any], streams: Iterable[str], sinks: Iterable[str]) -> Iterator[Problem]:
    """Names that SQL cannot use, or that mean two things; ids that are none, or are given twice."""
    kinds: dict[str, tuple[str, str]] = {}
    for section, names in (("streams", tuple(streams)), ("sinks", tuple(sinks))):
        kind = section[:-1]
        for name in names:
            yield from name_problems(kind, name, (section, name))
            first = kinds.setdefault(name.lower(), (kind, name))
            if first == (kind, name):
                continue
            if first[1] == name:
                text = f'"{name}" is the name of a stream and of a sink; in SQL it would mean both. Rename one of them.'
            else:
                text = (
                    f'The {kind} "{name}" and the {first[0]} "{first[1]}" differ in case alone, which SQL does not see '
                    f"in names without quotes. Rename one of them."
                )
            yield Problem(text, at=(section, name))
        yield from count_problems(section, len(names))
    yield from _id_problems(products)


def name_problems(kind: str, name: str, at: tuple[str | int, ...]) -> Iterator[Problem]:
    if not is_name(name):
        yield Problem(
            f"The {kind} name {json.dumps(name, ensure_ascii=False)} is not allowed: it is used in SQL, so it may have "
            f"letters, digits and underscores only, 1 to {NAME_CHARACTERS_MAX} of them.",
            at=at,
        )


def count_problems(section: str, count: int) -> Iterator[Problem]:
    if count > OBJECT_COUNT_MAX:
        yield Problem(f"There are {count} {section}; there may be {OBJECT_COUNT_MAX}.", at=(section,))


def _id_problems(products: Mapping[str, Any]) -> Iterator[Problem]:
    for section in ("streams", "sinks", "pipelines"):
        entries = products.get(section) or {}
        items = entries.items() if isinstance(entries, dict) else enumerate(entries)
        seen: set[str] = set()
        for key, one in items:
            if one is None or one.id is None:
                continue
            if not is_id(one.id):
                text = (
                    f'The id "{one.id}" is not 32 hex digits in lower case. Leave it out to have one made of the name.'
                )
                yield Problem(text, at=(section, key, "id"))
            elif one.id in seen:
                yield Problem(f'The id "{one.id}" is given twice in {section}.', at=(section, key, "id"))
            seen.add(one.id)


def shared_places(sinks: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    """A warning for each sink that writes files where one before it does."""
    from .sinks.places import place_of  # noqa: PLC0415 - for projects with sinks

    owners: dict[tuple[str, str], str] = {}
    for name, sink in sinks.items():
        if sink is None:
            continue
        where = place_of(sink_type_name(sink.type), sink.config, folder, folder)
        if where is None or (owner := owners.setdefault((where, sink.format.type), name)) == name:
            continue
        text = f"The sinks {owner} and {name} write to one place, so edge query cannot tell their files apart."
        yield Problem(f"{text} Give each a path of its own.", at=("sinks", name), is_error=False)
