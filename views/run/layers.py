"""The layers of a network, put together so that a picture of them can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from schema.artifacts import Graph, GraphNode
from views import format as fmt
from views.run.dot import Node

# Beyond it a browser takes seconds to lay a picture out, and nobody can read it.
MOST_BOXES: Final = 150
_GOOD_BOXES: Final = 40
# Names may have a hundred parts; who looks at a picture does not choose among so many.
_DEEPEST: Final = 12


def depths(graph: Graph) -> list[int]:
    """List to how many parts of a layer's name a picture may go; 1 always."""
    return _fitting(graph, MOST_BOXES) or [1]


def good_depth(graph: Graph) -> int:
    """Choose the deepest one whose picture is still small."""
    return (_fitting(graph, _GOOD_BOXES) or [1])[-1]


def boxes(graph: Graph, depth: int) -> tuple[list[Node], list[tuple[str, str]]]:
    """Return the boxes of a picture and what leads to what; layers whose names begin alike are one box."""
    groups = _group(graph, depth)
    home = {node.id: name for name, nodes in groups.items() for node in nodes}
    nodes = [Node(name, _lines(name, own)) for name, own in groups.items()]
    edges = dict.fromkeys((home[start], home[end]) for start, end in graph.edges if home[start] != home[end])
    return nodes, list(edges)


def rows(graph: Graph) -> list[dict[str, str | int]]:
    """Return the table of layers."""
    return [
        {
            "Layer": node.id,
            "Type": node.type,
            "Output shape": shapes_text(node.output_shapes),
            "Parameters": node.parameters,
            "Trainable": node.trainable,
        }
        for node in graph.nodes
    ]


def shapes_text(shapes: Sequence[Sequence[object]]) -> str:
    """Write shapes as people do: 1 × 64 × 8 × 8, with ? for what is not known."""
    return ", ".join(" × ".join("?" if side is None else str(side) for side in own) for own in shapes)


def _fitting(graph: Graph, most: int) -> list[int]:
    """Return the depths with so many boxes at most; a deeper one never has fewer."""
    deepest = max((node.id.count(".") + 1 for node in graph.nodes), default=1)
    fitting: list[int] = []
    for depth in range(1, min(deepest, _DEEPEST) + 1):
        if len(_group(graph, depth)) > most:
            break
        fitting.append(depth)
    return fitting


def _group(graph: Graph, depth: int) -> Mapping[str, list[GraphNode]]:
    groups: dict[str, list[GraphNode]] = {}
    for node in graph.nodes:
        groups.setdefault(".".join(node.id.split(".", depth)[:depth]), []).append(node)
    return groups


def _lines(name: str, nodes: Sequence[GraphNode]) -> tuple[str, ...]:
    parameters = sum(node.parameters for node in nodes)
    kind = nodes[0].type if len(nodes) == 1 else f"{len(nodes)} layers"
    if parameters:
        kind += f" · {fmt.quantity(parameters)}"
    shape = shapes_text(nodes[-1].output_shapes[:1])
    return (name, kind, shape) if shape else (name, kind)
