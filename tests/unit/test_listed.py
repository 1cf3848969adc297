"""Runs as a search needs them, as small as very many of them have to be."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

from catalog.table import Table
from schema import Scalar
from schema.listed import Params
from store.listed import _FIELDS, _decode

RUNS = 4_000
# As measured, 1,060, and what another Python may add; 1,470 with a dict for each run.
MOST_BYTES = 1_200


def stored(number: int) -> dict[str, str | None]:
    """What Redis says of a run, each time in texts of its own."""
    params: dict[str, Scalar] = {f"param_{place}": place for place in range(8)}
    params |= {"seed": number, "learning_rate": number / 7, "network": "resnet9", "dataset": "cifar10"}
    figures = {name: repr(number + place / 7) for place, name in enumerate(_FIELDS)}
    texts: dict[str, Any] = {
        "status": "done",
        "name": f"sweep {number // 16}",
        "hyper_params": json.dumps(params),
        "options": json.dumps({"project": f"p{number % 8}", "tags": [f"group=g{number // 16}", "paper"]}),
        "environment": json.dumps({"host": f"node-{number % 20}", "device": "cuda", "parameters": 6_573_120}),
        "error": None,
        "worker": f"node-{number % 20}-{number % 7}",
        "energy_quality": "".join(["measur", "ed"]),
        "epochs_done": str(20),
        "attempt": "1",
        "failures": "0",
    }
    return figures | texts


def test_a_run_in_the_table_takes_about_a_kilobyte() -> None:
    names = [f"{number:032x}" for number in range(RUNS)]
    tracemalloc.start()
    try:
        table = Table.of(_decode(name, stored(number)) for number, name in enumerate(names))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table) == RUNS
    assert taken / RUNS < MOST_BYTES


def test_params_are_what_they_were_made_of() -> None:
    first: dict[str, Scalar] = {"lr": 0.1, "net": "a", "amp": True}
    second: dict[str, Scalar] = {"net": "b", "lr": 2}
    for made in (first, second, {}):
        params = Params(made)
        assert dict(params) == made
        assert list(params) == list(made)
        assert list(params.values()) == list(made.values())
        assert (len(params), "lr" in params, "seed" in params) == (len(made), "lr" in made, False)
        assert (params.get("net"), params.get("seed")) == (made.get("net"), None)
