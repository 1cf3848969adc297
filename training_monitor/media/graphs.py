"""What a network is made of: its layers, and which gives to which."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from training_monitor.errors import MonitorError
from training_monitor.media.keras_graph import read_keras
from training_monitor.media.layers import Graph
from training_monitor.media.torch_graph import read_torch

_FORMAT: Final = "wattle-graph/1"
# Where a class of a library comes from; Keras over torch is a module of both.
_READERS: Final = (
    ("keras", ("keras", "tf_keras", "tensorflow")),
    ("torch", ("torch",)),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A graph as the server takes it; ``reason`` says why it has layers only, where it does."""

    data: bytes
    reason: str


def draw(model: Any, sample: Any = None) -> Drawn:
    """Return a network of torch or Keras as JSON.

    sample: what the network is called with once; a tuple or list are several inputs, a mapping named ones.
    Raises MonitorError for what is neither's network.
    """
    framework = _framework(model)
    graph = read_keras(model, sample) if framework == "keras" else read_torch(model, sample)
    return Drawn(_to_json(framework, graph), graph.reason)


def _framework(model: Any) -> str:
    rooms = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    for framework, names in _READERS:
        if rooms & set(names) and (hasattr(model, "layers") or hasattr(model, "named_modules")):
            return framework
    raise MonitorError(f"A graph is of a network of torch or Keras, not of a {type(model).__name__}.")


def _to_json(framework: str, graph: Graph) -> bytes:
    body = {
        "format": _FORMAT,
        "framework": framework,
        "nodes": [asdict(node) for node in graph.nodes],
        "edges": [list(edge) for edge in graph.edges],
        "parameters": sum(node.parameters for node in graph.nodes),
        "trainable": sum(node.trainable for node in graph.nodes),
    }
    return json.dumps(body, separators=(",", ":")).encode()
