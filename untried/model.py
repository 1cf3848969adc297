"""What scikit-learn's Gaussian processes expect of configurations; the only place that knows the library."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from leaderboard.pareto import Floats

FOLDS: Final = 5


class Prediction(NamedTuple):
    """Means and standard deviations, one of each for a point."""

    mean: Floats
    std: Floats


def predict(features: Floats, values: Floats, points: Floats) -> Prediction:
    """Learn values from features and return what is expected at points, the noise of a run included."""
    with _quiet():
        mean, std = _regressor(features.shape[1]).fit(features, values).predict(points, return_std=True)
    return Prediction(mean, std)


def predict_held_out(features: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return what each value is predicted to be by a model of the others, a fifth held out at a time.

    Beside it, the median of those others. Always the same parts.
    """
    from sklearn.model_selection import KFold

    found, medians = np.zeros(len(values)), np.zeros(len(values))
    with _quiet():
        for seen, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(features):
            model = _regressor(features.shape[1]).fit(features[seen], values[seen])
            found[unseen] = model.predict(features[unseen])
            medians[unseen] = np.median(values[seen])
    return found, medians


def _regressor(width: int) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    # A length for each feature: one that does not matter gets a long one.
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.ones(width), (0.1, 30.0), nu=2.5)
    return GaussianProcessRegressor(kernel + WhiteKernel(0.05, (1e-4, 1.0)), normalize_y=True, random_state=0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Take no notice of a length at its bound: it is long, or the data say little."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
