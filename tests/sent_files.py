"""Files as a script sends them, over HTTP."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx


def send(
    api_url: str, iid: str, name: str, content: bytes, *, kind: str = "file", **more: Any
) -> dict[str, Any]:
    """Send a file of a run; return what the API answers."""
    metrics = more.pop("metrics", None)
    params = {"kind": kind, **more} | ({"metrics": json.dumps(metrics)} if metrics else {})
    headers = {"Content-Type": "application/octet-stream"}
    path = f"{api_url}/api/artifacts/{iid}/{name}"
    reply = httpx.post(path, params=params, content=content, headers=headers, trust_env=False, timeout=60)
    assert reply.is_success, reply.text
    found: dict[str, Any] = reply.json()
    return found


def network(*ids: str, framework: str = "torch") -> bytes:
    """Return the graph of a network whose layers follow each other."""
    nodes = [
        {"id": name, "type": "Linear", "parameters": 110, "trainable": 100, "output_shapes": [[1, 10]]}
        for name in ids
    ]
    edges = [list(pair) for pair in pairwise(ids)]
    sums = {"parameters": 110 * len(ids), "trainable": 100 * len(ids)}
    graph = {"format": "wattle-graph/1", "framework": framework, "nodes": nodes, "edges": edges, **sums}
    return json.dumps(graph).encode()
