"""Which weights of a run a retention policy deletes; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from schema import RetentionPolicy

# What stands for a metric where weights do not have it by that very name.
_OTHER_NAMES: Final = {
    "accuracy": ("val_accuracy", "validation_accuracy", "test_accuracy", "eval_accuracy"),
    "loss": ("val_loss", "validation_loss", "test_loss", "eval_loss"),
}
_LOWER_IS_BETTER: Final = ("loss", "error")


@dataclass(frozen=True)
class Weights:
    """One file of weights of a run."""

    run_id: str
    name: str
    version: int | None
    """None of a saved model of a run of the queue."""
    size_bytes: int
    sha256: str
    metrics: dict[str, float]
    created_at: datetime
    is_needed: bool
    """A version of a model needs it."""


def choose_deletes(
    weights: Sequence[Weights], policy: RetentionPolicy, *, now: datetime
) -> Sequence[tuple[Weights, str]]:
    """Return what a policy deletes of the weights of one run, and why.

    Never what a version of a model needs, nor, with keep_best, what does not state the metric: nobody knows
    how good it is.
    """
    if policy.is_empty:
        return []
    kept = _best(weights, policy) | _last(weights, policy)
    found = []
    for place, one in enumerate(weights):
        is_unknown = policy.keep_best is not None and value_of(one, policy.metric) is None
        if place in kept or one.is_needed or is_unknown or _is_young(one, policy, now):
            continue
        found.append((one, _reason(policy)))
    return found


def value_of(weights: Weights, metric: str) -> float | None:
    """Return how good weights are by a metric; None where they do not state it."""
    names = (metric, *_OTHER_NAMES.get(metric, ()))
    return next((weights.metrics[name] for name in names if name in weights.metrics), None)


def _best(weights: Sequence[Weights], policy: RetentionPolicy) -> set[int]:
    sign = 1 if any(word in policy.metric.lower() for word in _LOWER_IS_BETTER) else -1
    ranked = sorted(
        (sign * value, -one.created_at.timestamp(), place)
        for place, one in enumerate(weights)
        if (value := value_of(one, policy.metric)) is not None
    )
    return {place for _, _, place in ranked[: policy.keep_best or 0]}


def _last(weights: Sequence[Weights], policy: RetentionPolicy) -> set[int]:
    newest = sorted(range(len(weights)), key=lambda place: weights[place].created_at, reverse=True)
    return set(newest[: policy.keep_last or 0])


def _is_young(weights: Weights, policy: RetentionPolicy, now: datetime) -> bool:
    days = policy.older_than_days
    return days is not None and now - weights.created_at <= timedelta(days=days)


def _reason(policy: RetentionPolicy) -> str:
    parts = []
    if policy.keep_best is not None:
        parts.append(f"not among the best {policy.keep_best} of its run by {policy.metric}")
    if policy.keep_last is not None:
        parts.append(f"not among its last {policy.keep_last}")
    if policy.older_than_days is not None:
        parts.append(f"older than {policy.older_than_days} days")
    return ", ".join(parts)
