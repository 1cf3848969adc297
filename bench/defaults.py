"""How the default hyper_params were chosen: on a validation part of digits, never on its test split.

Rule: the highest accuracy on the validation part after the last epoch, mean over seeds; candidates within
0.1 points of it count as equal, and of those the one with the fewest steps wins. The test split comes last,
with the defaults as they are in trainers/params.py. docs/trainers.md says how far to trust the figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from schema import EpochResult, Scalar, TrainingContext
from trainers.cnn import train_cnn
from trainers.params import CnnHyperParams

VALIDATION_FRACTION = 0.25
EQUAL_WITHIN = 0.001


class Candidate(NamedTuple):
    """What is varied."""

    batch_size: int
    learning_rate: float


class SilentControl:
    """A Control that never asks for anything."""

    def after_step(self, step: int) -> None:
        """Let the training go on."""

    def log(self, text: str) -> None:
        """Drop the line."""

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Drop the facts."""


CONTEXT = TrainingContext(datasets_dir=Path("data/datasets"), device="cpu", control=SilentControl())


def run(hyper_params: CnnHyperParams) -> tuple[list[EpochResult], float]:
    """Train once; return the epochs and the seconds from loading the data to the last epoch."""
    start_s = time.monotonic()
    return list(train_cnn(hyper_params, CONTEXT)), time.monotonic() - start_s


def validate(candidate: Candidate, seeds: Sequence[int]) -> float:
    """Return the mean accuracy on the validation part after the last epoch."""
    last = []
    for seed in seeds:
        epochs, _ = run(
            CnnHyperParams(
                batch_size=candidate.batch_size,
                learning_rate=candidate.learning_rate,
                seed=seed,
                validation_fraction=VALIDATION_FRACTION,
            )
        )
        last.append(epochs[-1].validation_accuracy or 0.0)
    return statistics.mean(last)


def choose(accuracies: Mapping[Candidate, float]) -> Candidate:
    """Apply the rule; the number of epochs is the same for all, so fewer steps means a larger batch."""
    best = max(accuracies.values())
    equal = [candidate for candidate, value in accuracies.items() if value >= best - EQUAL_WITHIN]
    return max(equal, key=lambda candidate: (candidate.batch_size, accuracies[candidate]))


def main() -> None:
    """Print the search, then the defaults' test accuracy, then one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer candidates and seeds; under 45 s")
    is_quick = parser.parse_args().quick
    batch_sizes, rates = (
        ((64,), (0.001, 0.002)) if is_quick else ((32, 64, 128), (0.0005, 0.001, 0.002, 0.004))
    )
    search_seeds, test_seeds = (range(2), range(3)) if is_quick else (range(5), range(10))

    torch.set_num_threads(
        1
    )  # a second one gains little on images this small, and loses much on a busy machine
    run(CnnHyperParams(num_epochs=1))  # the first run pays for imports and thread pools
    accuracies = {}
    for candidate in itertools.starmap(Candidate, itertools.product(batch_sizes, rates)):
        accuracies[candidate] = validate(candidate, search_seeds)
        print(f"validation {accuracies[candidate]:.4f}  {candidate}", flush=True)
    chosen = choose(accuracies)

    best, seconds = [], []
    for seed in test_seeds:
        epochs, duration_s = run(CnnHyperParams(seed=seed))
        best.append(max(result.test_accuracy for result in epochs))
        seconds.append(duration_s)
        print(f"test {best[-1]:.4f}  seed={seed}  {duration_s:.2f} s", flush=True)
    print(json.dumps(summarise(chosen, accuracies[chosen], best, seconds)))


def summarise(
    chosen: Candidate, validation_accuracy: float, best: Sequence[float], seconds: Sequence[float]
) -> dict[str, Scalar]:
    """Return the figures of the last line; accuracies are fractions."""
    defaults = CnnHyperParams()
    return {
        "chosen_batch_size": chosen.batch_size,
        "chosen_learning_rate": chosen.learning_rate,
        "is_default": chosen == Candidate(defaults.images_per_step, defaults.learning_rate),
        "validation_accuracy": round(validation_accuracy, 4),
        "best_test_accuracy_seed0": round(best[0], 4),
        "best_test_accuracy_min": round(min(best), 4),
        "best_test_accuracy_mean": round(statistics.mean(best), 4),
        "best_test_accuracy_max": round(max(best), 4),
        "n_seeds": len(best),
        "duration_s_median": round(statistics.median(seconds), 2),
        "duration_s_max": round(max(seconds), 2),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
