"""The parts of a network's graph."""

from __future__ import annotations

from dataclasses import dataclass, field

INPUT = "input"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, or the input. Counts of numbers; those that two layers share are the first one's."""

    id: str
    type: str
    parameters: int
    trainable: int
    output_shapes: list[list[int]]


@dataclass(frozen=True, slots=True)
class Graph:
    """Layers in the order of their first call, and which takes what another made."""

    nodes: list[Layer] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    reason: str = ""
    """Why there are no shapes and edges, where they are missing."""
