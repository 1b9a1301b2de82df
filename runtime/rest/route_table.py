"""Path -> route. The raw path is split first and each part decoded then, so `%2F` in a name never cuts it in two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...bindings._shared.rest import Route


@dataclass(slots=True)
class _Node:
    """What follows one part of a path: literal names first, then whatever a parameter takes."""

    children: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The routes of a path, by method, and the parts its parameters took, in order."""

    routes: Mapping[str, Route]
    values: Sequence[str]

    def params(self, route: Route) -> dict[str, str]:
        """The parts by the names that the route's pattern gives them."""
        return dict(zip(parameter_names(route.pattern), self.values, strict=True))


class RouteTable:
    """Every route of the API."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Node()
        for route in self.routes:
            node = self._root
            for part in route.pattern.split("/")[1:]:
                if part.startswith("{"):
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.children.setdefault(part, _Node())
            assert route.method not in node.routes, f"{route.method} {route.pattern} is there twice"
            node.routes[route.method] = route

    def find(self, path: str) -> Match | None:
        """What a raw path, beginning with "/" and without its query, leads to. A slash at its end changes nothing."""
        try:
            parts = [unquote(part, errors="strict") for part in path.removesuffix("/").split("/")[1:]]
        except UnicodeDecodeError:
            return None
        return _find(self._root, parts, [])


def parameter_names(pattern: str) -> list[str]:
    return [part[1:-1] for part in pattern.split("/") if part.startswith("{")]


def _find(node: _Node, parts: Sequence[str], values: list[str]) -> Match | None:
    if not parts:
        return Match(node.routes, values) if node.routes else None
    part, rest = parts[0], parts[1:]
    child = node.children.get(part)
    found = _find(child, rest, values) if child is not None else None
    if found is None and node.parameter is not None and part:
        found = _find(node.parameter, rest, [*values, part])
    return found
