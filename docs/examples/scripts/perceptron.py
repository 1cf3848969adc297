"""A script for the trainer ``script``: it needs nothing of Wattle, and runs alone too."""

from __future__ import annotations

import json
import os
import random

# hyper_params of the run, what was sent as "params" among them.
path = os.environ.get("WATTLE_HYPER_PARAMS")
if path:
    with open(path) as file:  # noqa: PTH123 - short, for people
        hyper_params = json.load(file)
else:
    hyper_params = {"num_epochs": 5, "seed": 0, "params": {}}

# One JSON object per line and epoch; without Wattle they go to the terminal.
report_fd = int(os.environ.get("WATTLE_REPORT_FD", "1"))
reports = os.fdopen(report_fd, "w", buffering=1)

chance = random.Random(hyper_params["seed"])  # noqa: S311 - data, not secrets
points = [(chance.uniform(-1, 1), chance.uniform(-1, 1)) for _ in range(600)]
examples = [(x, y, 1 if 2 * x - y > 0.1 else -1) for x, y in points]
train, test = examples[:500], examples[500:]
rate = hyper_params["params"].get("rate", 0.1)
weights = [0.0, 0.0, 0.0]


def score(split: list[tuple[float, float, int]]) -> tuple[float, float]:
    """Return mean hinge loss and accuracy."""
    margins = [label * (weights[0] * x + weights[1] * y + weights[2]) for x, y, label in split]
    loss = sum(max(0.0, 1 - margin) for margin in margins) / len(margins)
    return loss, sum(margin > 0 for margin in margins) / len(margins)


for epoch in range(1, hyper_params["num_epochs"] + 1):
    for x, y, label in train:
        if label * (weights[0] * x + weights[1] * y + weights[2]) <= 0:
            weights = [
                weights[0] + rate * label * x,
                weights[1] + rate * label * y,
                weights[2] + rate * label,
            ]
    (train_loss, train_accuracy), (test_loss, test_accuracy) = score(train), score(test)
    figures = {
        "epoch": epoch,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    print(json.dumps(figures), file=reports)
if report_fd != 1:
    print(f"the line is {weights[0]:.2f} x + {weights[1]:.2f} y + {weights[2]:.2f} = 0")
