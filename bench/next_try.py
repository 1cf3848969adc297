"""How much sooner good configurations are found by following "try next" than by trying any.

Both begin with the same configurations, drawn at random, and then try one after the other: ours follows the
first suggestion, or tries any where it makes none; the other tries any, until it has tried as many, and on
until it has emitted as many grams. What was found is the accuracy of the best without the luck of its run. On
``surface``, a made-up trainer whose accuracy and grams are known: what a real one comes to would have to be
trained thousands of times to be told from luck.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from pydantic import JsonValue

from bench.contestants import describe_machine
from trainers import complete_hyper_params, get_trainer, hyper_params_schema
from untried.ranking import Known, rank_untried

STARTS, TRIALS = 15, 15
NOISE: Final = 0.06
REPEATS, QUICK_REPEATS = 10, 2
_FOLDER: Final = Path(tempfile.gettempdir())
SCHEMA: Final = hyper_params_schema(get_trainer("cnn"), datasets_dir=_FOLDER, default_dataset=None)
BASE: Final = complete_hyper_params({"dataset": "digits"}, datasets_dir=_FOLDER, default_dataset=None)

Params: TypeAlias = dict[str, JsonValue]
Outcome: TypeAlias = tuple[float, float]


class Pair(NamedTuple):
    """What both found with as many trials, and what the other one found with as many grams."""

    start: float
    ours: float
    same_trials: float
    same_grams: float
    our_grams: float
    unguided: int
    ms: float


def surface(params: Params) -> Outcome:
    """Return the accuracy and the grams of a made-up trainer, without the luck of a run."""
    rate, epochs, size, dropout = (
        float(str(params[name])) for name in ("learning_rate", "num_epochs", "batch_size", "dropout")
    )
    best = {"adam": -2.7, "sgd": -1.2}[str(params["optimizer"])] + 0.15 * (math.log2(size) - 6)
    error = 0.012 + 0.03 * (math.log10(rate) - best) ** 2 + 0.15 * (dropout - 0.2) ** 2
    error += 0.1 * math.exp(-math.log2(epochs) / 1.3)
    grams = 0.02 * epochs * (1 + 30 / size) * (1.1 if params["optimizer"] == "adam" else 1)
    return 1 - min(0.9, error), grams


def with_luck(params: Params, chance: np.random.Generator) -> Outcome:
    """Return what one run of the made-up trainer comes to."""
    accuracy, grams = surface(params)
    error = min(0.95, (1 - accuracy) * math.exp(chance.normal(0, NOISE)))
    return 1 - error, grams * math.exp(chance.normal(0, NOISE / 2))


def draw(chance: np.random.Generator) -> Params:
    """Return any configuration."""
    return {
        **BASE,
        "learning_rate": float(f"{10 ** chance.uniform(-4, -0.5):.3g}"),
        "num_epochs": round(2 ** chance.uniform(0, 5)),
        "batch_size": int(2 ** chance.integers(4, 9)),
        "optimizer": str(chance.choice(["adam", "sgd"])),
        "dropout": float(f"{chance.uniform(0, 0.6):.2g}"),
    }


def run_pair(
    seed: int, outcome: Callable[[Params, np.random.Generator], Outcome], truth: Callable[[Known], float]
) -> Pair:
    """Follow suggestions, and beside it try any."""
    chance = np.random.default_rng(seed)
    start = [Known(params, *outcome(params, chance)) for params in (draw(chance) for _ in range(STARTS))]
    ours, unguided, spent_ms = list(start), 0, []
    for _ in range(TRIALS):
        began_s = time.perf_counter()
        trials = rank_untried(ours, SCHEMA).trials
        spent_ms.append(1000 * (time.perf_counter() - began_s))
        params = dict(trials[0].hyper_params) if trials else draw(chance)
        unguided += not trials
        ours.append(Known(params, *outcome(params, chance)))
    grams = sum(each.co2_g for each in ours[STARTS:])
    others: list[Known] = []
    while len(others) < TRIALS or sum(each.co2_g for each in others) < grams:
        params = draw(chance)
        others.append(Known(params, *outcome(params, chance)))
    within = [each for place, each in enumerate(others) if sum(o.co2_g for o in others[: place + 1]) <= grams]
    best = [max(map(truth, found)) for found in (start, ours, [*start, *others[:TRIALS]], [*start, *within])]
    return Pair(best[0], best[1], best[2], best[3], grams, unguided, statistics.median(spent_ms))


def summarise(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return the keys of the last line: medians, and in how many of the pairs ours was the better."""
    columns = {name: [getattr(pair, name) for pair in pairs] for name in Pair._fields}
    found = {f"{name}_median": round(statistics.median(values), 5) for name, values in columns.items()}
    for name in ("same_trials", "same_grams"):
        gains = [pair.ours - pair.start for pair in pairs]
        other = [getattr(pair, name) - pair.start for pair in pairs]
        found[f"gain_over_{name}"] = round(sum(gains) / sum(other), 2) if sum(other) > 0 else math.inf
        found[f"better_than_{name}"] = sum(pair.ours > getattr(pair, name) for pair in pairs)
        found[f"worse_than_{name}"] = sum(pair.ours < getattr(pair, name) for pair in pairs)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser("bench.next_try", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REPEATS} pairs, not {REPEATS}")
    parser.add_argument("--repeats", type=int, help="how many pairs, instead")
    options = parser.parse_args(arguments)
    repeats = options.repeats or (QUICK_REPEATS if options.quick else REPEATS)
    pairs = []
    for seed in range(repeats):
        pairs.append(run_pair(seed, with_luck, lambda known: surface(dict(known.hyper_params))[0]))
        print(json.dumps(pairs[-1]._asdict()), flush=True)
    found = {"pairs": repeats, "starts": STARTS, "trials": TRIALS, **summarise(pairs)}
    print(json.dumps({**found, "quick": options.quick, **describe_machine()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
