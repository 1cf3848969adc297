"""scikit-learn, which has no callbacks: training in batches, and cross-validation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sklearn import model_selection
from sklearn.base import is_classifier

from training_monitor.monitor import TrainingMonitor


def partial_fit(
    monitor: TrainingMonitor,
    estimator: Any,
    batches: Iterable[tuple[Any, Any]],
    *,
    classes: Any = None,
    validation: tuple[Any, Any] | None = None,
    validate_every: int = 1,
) -> Any:
    """Train on batches of (X, y), log the score of each and that of ``validation``, and return the estimator.

    classes: all there are; a classifier wants them before the first batch. It ends early when the page asks
    for it.
    """
    monitor.log_params({"estimator": type(estimator).__name__, **estimator.get_params()})
    score = _score_of(estimator)
    more = {} if classes is None else {"classes": classes}
    for step, (x, y) in enumerate(batches):
        estimator.partial_fit(x, y, **more)
        metrics = {f"train_{score}": estimator.score(x, y)}
        if hasattr(estimator, "loss_"):
            metrics["train_loss"] = estimator.loss_
        if validation is not None and step % validate_every == 0:
            metrics[f"val_{score}"] = estimator.score(*validation)
        monitor.log_metrics(metrics, step)
        if monitor.is_cancelled:
            break
    return estimator


def cross_validate(
    monitor: TrainingMonitor, estimator: Any, x: Any, y: Any = None, **options: Any
) -> dict[str, Any]:
    """Cross-validate as scikit-learn does, log each fold as a step, and return scikit-learn's result.

    options: those of sklearn.model_selection.cross_validate. Times are in seconds.
    """
    monitor.log_params({"estimator": type(estimator).__name__, **estimator.get_params()})
    found: dict[str, Any] = model_selection.cross_validate(estimator, x, y, **options)
    score = _score_of(estimator)
    names = {"fit_time": "fit_duration_s", "score_time": "score_duration_s"}
    if not isinstance(options.get("scoring"), str | list | tuple | dict):
        names |= {"test_score": f"test_{score}", "train_score": f"train_{score}"}
    by_fold = {
        names.get(name, name): values
        for name, values in found.items()
        if name.endswith(("_score", "_time")) or name.startswith(("test_", "train_"))
    }
    for fold, row in enumerate(zip(*by_fold.values(), strict=True)):
        monitor.log_metrics(dict(zip(by_fold, map(float, row), strict=True)), fold)
    return found


def _score_of(estimator: Any) -> str:
    return "accuracy" if is_classifier(estimator) else "r2"
