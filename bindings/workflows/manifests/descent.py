"""Manifests that make instances of each other in any case, and so without end: a -> b -> a."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from .manifest import NodeKind
from .problems import ManifestError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .manifest import Manifest, Step


class _Link(NamedTuple):
    """A step that makes an instance, with the manifest it stands in."""

    manifest: Manifest
    step: Step


def endless(found: Iterable[Manifest], applied: Iterable[Manifest] = ()) -> dict[str, ManifestError]:
    """Those of the manifests that make instances without end, by name, beside those that are applied already.

    One that is found stands for the applied one of its name.
    """
    new = {one.name: one for one in found}
    known = {one.name: one for one in applied} | new
    links = {name: list(_links(one)) for name, one in known.items()}
    refused: dict[str, ManifestError] = {}
    for manifest in new.values():
        problems = []
        for link in links[manifest.name]:
            way = _way_back(link, links)
            if way is not None:
                problems.append(Problem(link.step.place, _told(way, new)))
        if problems:
            refused[manifest.name] = ManifestError(manifest.file, problems)
    return refused


def children_of(manifest: Manifest) -> list[str]:
    """The workflows that it makes instances of in any case."""
    return [str(link.step.target) for link in _links(manifest)]


def _links(manifest: Manifest) -> Iterator[_Link]:
    """The steps that make an instance whenever the manifest runs: a skipped one keeps no other from running."""
    for step in manifest.steps.values():
        has_items = step.for_each is None or (isinstance(step.for_each, list) and step.for_each)
        if step.kind is NodeKind.CHILD and has_items and not step.is_conditional:
            yield _Link(manifest, step)


def _way_back(first: _Link, links: Mapping[str, list[_Link]]) -> list[_Link] | None:
    """The shortest way from a step to the manifest it stands in; None: there is none."""
    home = first.manifest.name
    reached_by = {str(first.step.target): first}
    coming = deque(reached_by)
    while coming and home not in reached_by:
        for link in links.get(coming.popleft(), ()):
            if link.step.target not in reached_by:
                reached_by[link.step.target] = link
                coming.append(link.step.target)
    if home not in reached_by:
        return None
    way = [reached_by[home]]
    while way[-1] is not first:
        way.append(reached_by[way[-1].manifest.name])
    return way[::-1]


def _told(way: list[_Link], new: Mapping[str, Manifest]) -> str:
    first = way[0]
    if len(way) == 1:
        return f'The step "{first.step.name}" makes an instance of its own workflow, without end: give it an if.'
    path = " -> ".join([first.manifest.name, *(str(one.step.target) for one in way)])
    others = " and ".join(_where(one, is_new=one.manifest.name in new) for one in way[1:])
    others = f"The other is {others}" if len(way) == 2 else f"The others are {others}"
    text = f'The step "{first.step.name}" makes an instance of "{first.step.target}", and so on without end: {path}.'
    return f"{text} {others}: give one of these steps an if."


def _where(link: _Link, *, is_new: bool) -> str:
    place = link.step.place
    if is_new:
        return f'"{link.step.name}" at {link.manifest.file}:{place.line}:{place.column}'
    return f'"{link.step.name}" of "{link.manifest.name}" as it is applied (line {place.line})'
