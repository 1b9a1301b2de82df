"""JSONPath over the bytes of a document: `$.items[*].sku`, `$..price`, `$.items[?@.price > 10].sku`.

RFC 9535 without function extensions. Values keep their own bytes; order is the document's. Source: RFC 9535; Arroyo's
`extract_json` uses the crate serde_json_path, which is that RFC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from .jsonpath_filter import JsonPathError, parse_filter, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .jsonpath_filter import Find, Test


@dataclass(frozen=True, slots=True)
class Slice:
    start: int | None
    stop: int | None
    step: int


@dataclass(frozen=True, slots=True)
class Every:
    """`*`"""


@dataclass(frozen=True, slots=True)
class Filter:
    """`?test`"""

    test: Test


Selector: TypeAlias = str | int | Slice | Every | Filter


@dataclass(frozen=True, slots=True)
class Segment:
    selectors: tuple[Selector, ...]
    is_descendant: bool
    """`..`: the node itself and everything below it."""


@lru_cache(maxsize=256)
def parse_jsonpath(text: str) -> tuple[Segment, ...]:
    """The segments of a JSONPath that begins with `$`.

    Raises:
        JsonPathError: it is none.
    """
    if not text.startswith("$"):
        raise JsonPathError("A JSONPath begins with $", 0)
    segments, at = parse_segments(text, 1)
    if at < len(text):
        raise JsonPathError(f"{text[at:]!r} is no part of a JSONPath", at)
    return segments


def plain_steps(text: str) -> tuple[str | int, ...] | None:
    """The names and indexes of a JSONPath that has nothing else, `$.a.b[0]`; None for any other, or none at all."""
    try:
        segments = parse_jsonpath(text)
    except JsonPathError:
        return None
    steps: list[str | int] = []
    for segment in segments:
        selector = segment.selectors[0]
        if segment.is_descendant or len(segment.selectors) > 1 or not isinstance(selector, str | int):
            return None
        steps.append(selector)
    return None if any(isinstance(step, int) and step < 0 for step in steps) else tuple(steps)


def parse_segments(text: str, at: int) -> tuple[tuple[Segment, ...], int]:
    """Segments from `at` on, and where they end."""
    found: list[Segment] = []
    while True:
        match = _SEGMENT.match(text, at)
        if match is None or (match["dots"] is None and match["open"] is None):
            return tuple(found), at
        if match["dots"] == "." and match["open"] is not None:
            raise JsonPathError("Expected a name or * after the dot", match.start("open"))
        at = match.end()
        selectors: tuple[Selector, ...] = (Every(),) if match["star"] is not None else (match["name"],)
        if match["open"] is not None:
            selectors, at = _parse_brackets(text, at)
        found.append(Segment(selectors, is_descendant=match["dots"] == ".."))


def find_all(segments: tuple[Segment, ...], node: bytes, root: bytes) -> list[bytes]:
    """The bytes of every value the segments lead to from `node`."""
    nodes = [node]
    for segment in segments:
        if segment.is_descendant:
            nodes = [below for each in nodes for below in _with_descendants(each)]
        nodes = [found for each in nodes for selector in segment.selectors for found in _select(selector, each, root)]
    return nodes


_SEGMENT = re.compile(r"\s*(?P<dots>\.\.?)?(?:(?P<name>[^\W\d]\w*)|(?P<star>\*)|(?P<open>\[))")
_SELECTOR = re.compile(
    r"""\s*(?: (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<slice>(?P<start>-?\d+)?\s*:\s*(?P<stop>-?\d+)?\s*(?::\s*(?P<step>-?\d+)?)?)
      | (?P<index>-?\d+) | (?P<star>\*) | (?P<filter>\?) )\s*""",
    re.VERBOSE,
)


def _parse_brackets(text: str, at: int) -> tuple[tuple[Selector, ...], int]:
    found: list[Selector] = []
    while True:
        match = _SELECTOR.match(text, at)
        if match is None:
            raise JsonPathError("Expected a name in quotes, an index, a slice, * or ?", at)
        at = match.end()
        if match["filter"] is not None:
            test, at = parse_filter(text, at, _parse_path)
            found.append(Filter(test))
        else:
            found.append(_selector(match))
        if text[at : at + 1] == "]":
            return tuple(found), at + 1
        if text[at : at + 1] != ",":
            raise JsonPathError("Expected , or ]", at)
        at += 1


def _parse_path(text: str, at: int) -> tuple[Find, int]:
    """A path inside a filter, after its `@` or `$`."""
    segments, end = parse_segments(text, at)
    return (lambda node, root: find_all(segments, node, root)), end


def _selector(match: re.Match[str]) -> Selector:
    if match["string"] is not None:
        return unquote(match["string"])
    if match["index"] is not None:
        return int(match["index"])
    if match["star"] is not None:
        return Every()
    start, stop, step = (None if match[n] is None else int(match[n]) for n in ("start", "stop", "step"))
    return Slice(start, stop, 1 if step is None else step)


def _with_descendants(node: bytes) -> Iterator[bytes]:
    yield node
    for child in _children(node):
        yield from _with_descendants(child)


def _children(node: bytes) -> list[bytes]:
    if node[:1] == b"{":
        return [bytes(each) for each in msgspec.json.decode(node, type=dict[str, msgspec.Raw]).values()]
    if node[:1] == b"[":
        return [bytes(each) for each in msgspec.json.decode(node, type=list[msgspec.Raw])]
    return []


def _select(selector: Selector, node: bytes, root: bytes) -> list[bytes]:
    if isinstance(selector, str):
        if node[:1] != b"{":
            return []
        value = msgspec.json.decode(node, type=dict[str, msgspec.Raw]).get(selector)
        return [] if value is None else [bytes(value)]
    if isinstance(selector, Every):
        return _children(node)
    if isinstance(selector, Filter):
        return [child for child in _children(node) if selector.test(child, root)]
    if node[:1] != b"[":
        return []
    items = _children(node)
    if isinstance(selector, Slice):
        return items[selector.start : selector.stop : selector.step] if selector.step else []
    return items[selector : selector + 1 or None] if -len(items) <= selector < len(items) else []
