"""A manifest as a graph: text, Mermaid, SVG, and the JSON of Cloudflare's REST API.

Steps lie in layers: each one below everything that it needs. The JSON is a sequence of layers, one with several steps
as `parallel`; since that does not tell which step needs which, each node has `needs` besides (Edge only).
Source: Cloudflare's OpenAPI description, as in the `cloudflare` package 5.9.0: types/workflows/version_graph_response.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engine.retries import read_config
from ..engine.steps import WAIT_TIMEOUT_DEFAULT
from .expressions import Template
from .graph_svg import draw_svg
from .manifest import NodeKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .manifest import Manifest, Step


class GraphFormat(StrEnum):
    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"
    JSON = "json"


class GraphNode(NamedTuple):
    """A step as it is drawn."""

    name: str
    kind: NodeKind
    detail: str
    """What it does, in a line."""
    notes: tuple[str, ...]
    """`if` and `for_each`, as written."""
    needs: tuple[str, ...]
    layer: int
    """0: needs nothing; else one more than the deepest it needs."""


def render_graph(manifest: Manifest, kind: GraphFormat | str) -> str:
    """The graph as a text of a format, ended by a newline."""
    match GraphFormat(kind):
        case GraphFormat.TEXT:
            return _as_text(manifest)
        case GraphFormat.MERMAID:
            return _as_mermaid(graph_nodes(manifest))
        case GraphFormat.SVG:
            return draw_svg(manifest.name, graph_nodes(manifest))
        case GraphFormat.JSON:
            return json.dumps(graph_json(manifest), indent=2, ensure_ascii=False) + "\n"


def graph_nodes(manifest: Manifest) -> list[GraphNode]:
    """Every step, in order."""
    layers: dict[str, int] = {}
    found = []
    for name, step in manifest.steps.items():
        layers[name] = max((layers[need] + 1 for need in step.needs), default=0)
        found.append(GraphNode(name, step.kind, _detail(step), tuple(_notes(step)), step.needs, layers[name]))
    return found


def graph_json(manifest: Manifest) -> dict[str, Any]:
    """The `graph` of `/versions/{version}/graph`."""
    layers: dict[int, list[dict[str, Any]]] = {}
    for node in graph_nodes(manifest):
        layers.setdefault(node.layer, []).append(_json_node(manifest.steps[node.name]))
    nodes = [
        layer[0] if len(layer) == 1 else {"type": "parallel", "kind": "all", "nodes": layer}
        for _, layer in sorted(layers.items())
    ]
    return {"version": 1, "workflow": {"class_name": manifest.name, "functions": {}, "nodes": nodes}}


def written(tree: Any) -> str:
    """A value with its expressions as the manifest has them."""
    if isinstance(tree, Template):
        return "".join(part if isinstance(part, str) else f"${{{part.source}}}" for part in tree.parts)
    return tree if isinstance(tree, str) else json.dumps(_plain(tree), ensure_ascii=False)


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    return written(tree) if isinstance(tree, Template) else tree


def _detail(step: Step) -> str:
    if step.kind is NodeKind.TASK:
        return str(step.target)
    words = {
        NodeKind.SLEEP: "sleep {}",
        NodeKind.SLEEP_UNTIL: "sleep until {}",
        NodeKind.WAIT: "wait for {}",
        NodeKind.CHILD: "workflow {}",
    }
    return words[step.kind].format(written(step.target))


def _notes(step: Step) -> Iterator[str]:
    if step.is_conditional:
        yield f"if {written(step.condition)}"
    if step.for_each is not None:
        yield f"for each of {written(step.for_each)}"
    if step.rollback is not None:
        yield f"undone by {step.rollback.uses}"


def _json_node(step: Step) -> dict[str, Any]:
    node: dict[str, Any] = {"name": step.name, **_json_kind(step), "needs": list(step.needs)}
    if step.for_each is not None:
        node = {"type": "loop", "nodes": [node]}
    if step.is_conditional:
        node = {"type": "if", "branches": [{"condition": written(step.condition), "nodes": [node]}]}
    return node


def _json_kind(step: Step) -> dict[str, Any]:
    if step.kind is NodeKind.TASK:
        shown: Mapping[str, Any] = read_config(step.name, dict(step.config)).shown or {}
        call = {"type": "function_call", "name": str(step.target)}
        return {"type": "step_do", "config": {key: shown[key] for key in ("retries", "timeout")}, "nodes": [call]}
    if step.kind is NodeKind.SLEEP:
        return {"type": "step_sleep", "duration": _number_or_text(step.target)}
    if step.kind is NodeKind.SLEEP_UNTIL:
        return {"type": "step_sleep_until", "timestamp": written(step.target)}
    if step.kind is NodeKind.WAIT:
        timeout = WAIT_TIMEOUT_DEFAULT if step.timeout is None else _number_or_text(step.timeout)
        options = {"event_type": written(step.target), "timeout": timeout}
        return {"type": "step_wait_for_event", "options": options}
    return {"type": "function_call", "workflow": written(step.target)}


def _number_or_text(value: Any) -> Any:
    return value if isinstance(value, int | float) else written(value)


def _as_text(manifest: Manifest) -> str:
    """A line for each step, by layers that are numbered: indented, a step would seem to belong to the one above."""
    nodes = sorted(graph_nodes(manifest), key=lambda node: node.layer)
    width = max(len(node.name) for node in nodes)
    number_width = len(str(nodes[-1].layer + 1))
    lines = [f"{manifest.name}  version {manifest.version}"]
    layer = -1
    for node in nodes:
        number = "" if node.layer == layer else str(node.layer + 1)
        layer = node.layer
        after = f"  after {', '.join(node.needs)}" if node.needs else ""
        notes = "".join(f"  {note}" for note in node.notes)
        lines.append(f"{number:>{number_width}}  {node.name:<{width}}  {node.detail}{notes}{after}")
    return "\n".join(lines) + "\n"


_SHAPES = {
    NodeKind.TASK: ('["', '"]'),
    NodeKind.SLEEP: ('(["', '"])'),
    NodeKind.SLEEP_UNTIL: ('(["', '"])'),
    NodeKind.WAIT: ('{{"', '"}}'),
    NodeKind.CHILD: ('[["', '"]]'),
}


def _as_mermaid(nodes: Sequence[GraphNode]) -> str:
    numbers = {node.name: number for number, node in enumerate(nodes)}
    lines = ["flowchart TD"]
    for node in nodes:
        opening, closing = _SHAPES[node.kind]
        label = "<br/>".join(map(_mermaid_text, (node.name, node.detail, *node.notes)))
        lines.append(f"  n{numbers[node.name]}{opening}{label}{closing}")
    lines += [f"  n{numbers[need]} --> n{numbers[node.name]}" for node in nodes for need in node.needs]
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Whatever could end the label or be markup, as an entity: `#` begins one in Mermaid."""
    return "".join(one if one.isalnum() or one in " _-./:,()" else f"#{ord(one)};" for one in text)
