"""The graph of a Keras network, from its own description of itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from training_monitor.errors import MonitorError
from training_monitor.media.layers import Graph, Layer


def read_keras(model: Any, sample: Any) -> Graph:
    """Return the layers of a network; one that has no weights yet is called with the sample for them.

    Of a subclass whose ``call`` is code there are layers only. Raises MonitorError.
    """
    if not model.built:
        _build(model, sample)
    counted: set[int] = set()
    nodes = [_layer(layer, counted) for layer in model.layers]
    known = {node.id for node in nodes}
    try:
        edges = [edge for edge in dict.fromkeys(_edges(model)) if known.issuperset(edge)]
    except Exception as error:  # noqa: BLE001 what layers of the user say of themselves, which may be anything
        return Graph(nodes, reason=f"the network does not describe itself: {error}")
    return Graph(nodes, edges, "" if edges or len(nodes) < 2 else "its layers are called by code")


def _build(model: Any, sample: Any) -> None:
    if sample is None:
        raise MonitorError("This network has no weights yet: give log_graph an input sample.")
    try:
        model(sample, training=False)
    except Exception as error:  # the user's code, which may raise anything
        raise MonitorError(f"The network does not take this sample: {error}") from error


def _layer(layer: Any, counted: set[int]) -> Layer:
    new = [weight for weight in layer.weights if id(weight) not in counted]
    counted.update(map(id, new))
    trainable = set(map(id, layer.trainable_weights))
    return Layer(
        id=str(layer.name)[:500],
        type=type(layer).__name__[:500],
        parameters=sum(map(_size, new)),
        trainable=sum(_size(weight) for weight in new if id(weight) in trainable),
        output_shapes=_output_shapes(layer),
    )


def _size(weight: Any) -> int:
    return math.prod(int(size) for size in weight.shape)


def _output_shapes(layer: Any) -> list[Any]:
    """Return the shapes of a layer that was called once; None is a size that the batch decides."""
    try:
        output = layer.output
    except (AttributeError, ValueError, RuntimeError):
        return []
    if isinstance(output, dict):
        output = list(output.values())
    tensors = output if isinstance(output, list | tuple) else [output]
    return [
        [None if size is None else int(size) for size in tensor.shape]
        for tensor in tensors
        if hasattr(tensor, "shape")
    ]


def _edges(model: Any) -> Iterator[tuple[str, str]]:
    if type(model).__name__ == "Sequential":
        names = [str(layer.name) for layer in model.layers]
        yield from itertools.pairwise(names)
        return
    for layer in model.get_config().get("layers", ()):
        for source in _sources(layer.get("inbound_nodes", ())):
            yield source, str(layer["config"]["name"])


def _sources(value: Any) -> Iterator[str]:
    """Yield the layers whose outputs are anywhere within a layer's inputs."""
    if isinstance(value, dict):
        if isinstance(history := value.get("keras_history"), list | tuple):
            yield str(history[0])
            return
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _sources(each)
