"""Files of weights for tests, whole and broken."""

from __future__ import annotations

import json
from typing import Any


def safetensors(
    header: dict[str, Any] | None = None, data: bytes = b"\0" * 16, *, length: int | None = None
) -> bytes:
    """Return a file of one tensor of four floats, or one with that header, or with a length that is a lie."""
    if header is None:
        header = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def graph(**changes: Any) -> dict[str, Any]:
    """Return the graph of a network of two layers."""
    layers = [
        {"id": name, "type": "Linear", "parameters": 6, "trainable": 6, "output_shapes": [[None, 2]]}
        for name in ("a", "b")
    ]
    made = {"format": "wattle-graph/1", "framework": "torch", "nodes": layers, "edges": [["a", "b"]]}
    return {**made, "parameters": 12, "trainable": 12, **changes}
