"""YAML -> the tree of nodes, from the parser's events.

Values are those of YAML 1.2 (its core schema): `yes`, `on`, `1:30` and `2026-01-01` are texts, not a boolean, seconds
and a date. No tag makes an object. An alias stands for what its anchor has, and counts as often as it is used.
Source: yaml.org/spec/1.2.2, 10.3.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ....runtime.core.errors import UnsupportedError
from .node import DEPTH_MAX, NODES_MAX, Node, TextProblem
from .problems import Place, echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .problems import Problems

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_OCTAL_OR_HEX = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,4})?", re.ASCII)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_yaml(text: str, problems: Problems) -> Node:
    """The tree of a YAML text of one document.

    Raises:
        TextProblem: where it is no YAML, or has what a manifest does not take.
        UnsupportedError: PyYAML is not installed.
    """
    yaml = _library()
    events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    builder = _Builder(yaml, events, problems)
    try:
        return builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.problem, error.context)))
        raise TextProblem(_place(mark), f"This is no YAML: {what}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # characters that no YAML may have, mostly
        raise TextProblem(Place(), f"This is no YAML: {str(error).splitlines()[0]}.") from None


class _Builder:
    def __init__(self, yaml: Any, events: Iterator[Any], problems: Problems) -> None:
        self._yaml = yaml
        self._events = events
        self._problems = problems
        self._anchors: dict[str, Node | None] = {}
        """None while what the anchor names is not complete."""

    def document(self) -> Node:
        yaml = self._yaml
        first = next(event for event in self._events if not isinstance(event, yaml.StreamStartEvent))
        if isinstance(first, yaml.StreamEndEvent):
            raise TextProblem(Place(), "The manifest is empty.")
        found = self._node(next(self._events), 0)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise TextProblem(_place(event.start_mark), "A manifest is one document: this is a second one.")
        return found

    def _node(self, event: Any, depth: int) -> Node:
        yaml, place = self._yaml, _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event.anchor, place)
        if depth > DEPTH_MAX:
            raise TextProblem(place, f"The manifest has more than {DEPTH_MAX} levels.")
        if event.tag not in {None, "!"}:
            self._problems.add(place, f"Tags are not taken: remove {event.tag}.")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            made = Node(self._scalar(event, place), place)
        elif isinstance(event, yaml.SequenceStartEvent):
            made = self._sequence(place, depth)
        else:
            made = self._mapping(place, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = made
        return made

    def _aliased(self, anchor: str, place: Place) -> Node:
        if anchor not in self._anchors:
            raise TextProblem(place, f"No anchor &{anchor} stands before this.")
        found = self._anchors[anchor]
        if found is None:
            raise TextProblem(place, f"*{anchor} is inside what &{anchor} names.")
        return found

    def _sequence(self, place: Place, depth: int) -> Node:
        found: list[Node] = []
        size = 1
        while not isinstance(event := next(self._events), self._yaml.SequenceEndEvent):
            found.append(self._node(event, depth + 1))
            size = self._grown(size, found[-1], place)
        return Node(found, place, size=size)

    def _mapping(self, place: Place, depth: int) -> Node:
        found: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        size = 1
        while not isinstance(event := next(self._events), self._yaml.MappingEndEvent):
            key_place = _place(event.start_mark)
            key = self._node(event, depth + 1).value
            if isinstance(key, list | dict):
                raise TextProblem(key_place, "A key is a text.")
            text = key if isinstance(key, str) else event.value if hasattr(event, "value") else str(key)
            if text in keys:
                self._problems.add(key_place, f"The key {echo(text)} is there already, in line {keys[text].line}.")
            keys[text] = key_place
            found[text] = self._node(next(self._events), depth + 1)
            size = self._grown(size, found[text], place)
        return Node(found, place, keys, size)

    def _grown(self, size: int, item: Node, place: Place) -> int:
        if size + item.size > NODES_MAX:
            raise TextProblem(place, f"The manifest has more than {NODES_MAX:,} values, aliases counted.")
        return size + item.size

    def _scalar(self, event: Any, place: Place) -> Any:
        text: str = event.value
        if event.style:  # quoted, or a block: a text, whatever it says
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OCTAL_OR_HEX.fullmatch(text):
            return int(text, 0)
        if not _FLOAT.fullmatch(text):
            return text
        number = float(text)
        if not math.isfinite(number):
            raise TextProblem(place, f"{text} is no number that can be kept.")
        return number


def _place(mark: Any) -> Place:
    return Place() if mark is None else Place(mark.line + 1, mark.column + 1)


def _library() -> Any:
    try:
        import yaml  # noqa: PLC0415 - only who has a YAML manifest needs it
    except ImportError as error:
        msg = "A manifest in YAML needs PyYAML: pip install 'edge-workers[manifests]', or write the manifest as JSON."
        raise UnsupportedError(msg) from error
    return yaml
