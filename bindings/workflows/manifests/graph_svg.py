"""Draws a graph in layers, from top to bottom, as SVG: no program and no library is needed."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .graph import GraphNode

BOX_WIDTH = 260
LINE_HEIGHT = 16
PADDING = 10
COLUMN_GAP = 30
LAYER_GAP = 50
MARGIN = 20
TEXT_CHARS_MAX = 32
"""What fits into a box, wide scripts aside; the whole text is shown when the pointer rests on it."""
_SWEEPS = 4
_ARROW = (
    '<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#818b98"/></marker></defs>'
)
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: W3C, XML 1.0, 2.2."""
_STYLE = """
  text { font: 12px ui-monospace, monospace; fill: #1f2328 } .name { font-weight: 600 } .detail { fill: #59636e }
  rect { fill: #fff; stroke: #59636e; rx: 6 } .edge { fill: none; stroke: #818b98 }
  .sleep rect, .sleep_until rect { stroke-dasharray: 4 3 } .wait_for_event rect { stroke: #bc4c00 }
  .workflow rect { stroke-width: 2 } .conditional rect { fill: #f6f8fa }
"""


def draw_svg(title: str, nodes: Sequence[GraphNode]) -> str:
    """The drawing; every text in it is escaped."""
    layers = _ordered_layers(nodes)
    heights = [max(map(_height, layer)) for layer in layers]
    widest = max(map(len, layers))
    width = 2 * MARGIN + widest * BOX_WIDTH + (widest - 1) * COLUMN_GAP
    places: dict[str, tuple[float, float]] = {}
    top = MARGIN
    for layer, height in zip(layers, heights, strict=True):
        left = (width - len(layer) * BOX_WIDTH - (len(layer) - 1) * COLUMN_GAP) / 2
        for index, node in enumerate(layer):
            places[node.name] = (left + index * (BOX_WIDTH + COLUMN_GAP), top)
        top += height + LAYER_GAP
    height = top - LAYER_GAP + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(title, quote=False)}</title><style>{_STYLE}</style>",
        _ARROW,
    ]
    known = {node.name: node for node in nodes}
    lines += [_edge(places, known[need], node) for node in nodes for need in node.needs]
    lines += [_box(node, *places[node.name]) for node in nodes]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _ordered_layers(nodes: Sequence[GraphNode]) -> list[list[GraphNode]]:
    """Layers whose steps stand near what they need: each is moved to the middle of those, a few times over."""
    layers: list[list[GraphNode]] = [[] for _ in range(max(node.layer for node in nodes) + 1)]
    for node in nodes:
        layers[node.layer].append(node)
    for _ in range(_SWEEPS):
        position = {node.name: index / len(layer) for layer in layers for index, node in enumerate(layer)}
        for layer in layers[1:]:
            layer.sort(key=lambda node: sum(position[need] for need in node.needs) / len(node.needs))
            position |= {node.name: index / len(layer) for index, node in enumerate(layer)}
    return layers


def _height(node: GraphNode) -> int:
    return 2 * PADDING + LINE_HEIGHT * (2 + len(node.notes))


def _edge(places: dict[str, tuple[float, float]], start: GraphNode, end: GraphNode) -> str:
    left, top = places[start.name]
    x1, y1 = left + BOX_WIDTH / 2, top + _height(start)
    left, y2 = places[end.name]
    x2 = left + BOX_WIDTH / 2
    middle = (y1 + y2) / 2
    path = f"M{x1:g},{y1:g} C{x1:g},{middle:g} {x2:g},{middle:g} {x2:g},{y2:g}"
    return f'<path class="edge" d="{path}" marker-end="url(#arrow)"/>'


def _box(node: GraphNode, left: float, top: float) -> str:
    classes = node.kind.value + (" conditional" if node.notes else "")
    texts = []
    for index, text in enumerate((node.name, node.detail, *node.notes)):
        shown = text if len(text) <= TEXT_CHARS_MAX else f"{text[: TEXT_CHARS_MAX - 1]}…"
        y = top + PADDING + LINE_HEIGHT * (index + 0.75)
        name = "detail" if index else "name"
        texts.append(
            f'<text class="{name}" x="{left + PADDING:g}" y="{y:g}">{escape(_printable(shown), quote=False)}</text>'
        )
    whole = escape(_printable("\n".join((node.name, node.detail, *node.notes))), quote=False)
    box = f'<rect x="{left:g}" y="{top:g}" width="{BOX_WIDTH}" height="{_height(node)}"/>'
    return f'<g class="{classes}"><title>{whole}</title>{box}{"".join(texts)}</g>'


def _printable(text: str) -> str:
    """Without characters that XML does not have."""
    return _NOT_XML.sub("\ufffd", text)
