"""A policy keeps the best, the last and the young weights of a run, and what a model needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from api.retention.rules import Weights, choose_deletes
from schema import RetentionPolicy

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def weights(*accuracies: float | None, metric: str = "accuracy", **changes: Any) -> list[Weights]:
    """Weights of one run, the first made ten days ago, each a day after the one before."""
    return [
        Weights(
            **{
                "run_id": "a",
                "name": f"w{place}",
                "version": 1,
                "size_bytes": 1,
                "sha256": "",
                "metrics": {} if value is None else {metric: value},
                "created_at": NOW - timedelta(days=10 - place),
                "is_needed": False,
                **changes,
            }
        )
        for place, value in enumerate(accuracies)
    ]


def deleted(given: list[Weights], **policy: Any) -> list[str]:
    return [one.name for one, _ in choose_deletes(given, RetentionPolicy(**policy), now=NOW)]


def test_a_policy_without_figures_deletes_nothing() -> None:
    assert deleted(weights(0.1, 0.2)) == []


def test_the_best_by_the_metric_stay() -> None:
    assert deleted(weights(0.1, 0.9, 0.5), keep_best=1) == ["w0", "w2"]
    assert deleted(weights(0.1, 0.9, 0.5, metric="val_accuracy"), keep_best=2) == ["w0"]
    assert deleted(weights(0.1, 0.9, 0.5, metric="my_loss"), keep_best=1, metric="my_loss") == ["w1", "w2"]
    assert deleted(weights(0.5, 0.5), keep_best=1) == ["w0"]
    assert deleted(weights(0.5, 0.5), keep_best=0) == ["w0", "w1"]


def test_weights_of_unknown_quality_are_not_judged_by_it() -> None:
    assert deleted(weights(None, 0.9, 0.5), keep_best=1) == ["w2"]
    assert deleted(weights(None, 0.9, 0.5), keep_last=1) == ["w0", "w1"]


def test_the_last_stay_beside_the_best() -> None:
    assert deleted(weights(0.9, 0.1, 0.2, 0.3), keep_best=1, keep_last=1) == ["w1", "w2"]


def test_only_what_is_old_enough_goes() -> None:
    given = weights(0.1, 0.2, 0.3)
    assert deleted(given, older_than_days=8) == ["w0", "w1"]
    assert deleted(given, older_than_days=10) == []
    assert deleted(given, older_than_days=0, keep_last=1) == ["w0", "w1"]


def test_what_a_model_needs_stays_and_is_counted_among_the_best() -> None:
    assert deleted(weights(0.1, 0.9, is_needed=True), keep_best=0, keep_last=0, older_than_days=0) == []


def test_the_reason_names_what_it_is_not() -> None:
    policy = RetentionPolicy(keep_best=1, keep_last=1, older_than_days=3)
    ((_, why),) = choose_deletes(weights(0.2, 0.9, 0.3), policy, now=NOW)
    assert why == "not among the best 1 of its run by accuracy, not among its last 1, older than 3 days"


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_active": True},
        {"keep_best": -1},
        {"keep_last": 1.5},
        {"older_than_days": "3"},
        {"metric": ""},
        {"metric": "a b"},
        {"is_active": 1, "keep_last": 1},
        {"other": 1},
    ],
)
def test_a_policy_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetentionPolicy(**wrong)
