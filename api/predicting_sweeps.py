"""What a sweep will take, before it is started: what some of its configurations will."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Final

from pydantic import JsonValue

from api.predicting import Past, predict_submission
from schema import Estimate, Prediction
from schema.sweeps import SweepRequest
from sweeps.drawn import draw_points, trials_of

# So many configurations stand for all.
MAX_DRAWN: Final = 24
_MOST_NAMED: Final = 3


def predict_sweep(request: SweepRequest, past: Past) -> Prediction:
    """Predict all trials of a complete request together; unknown as soon as one configuration is.

    An interval is the sum of those of the trials: what makes one of them too low makes the others so, too.
    """
    points = draw_points(request, MAX_DRAWN)
    # Each configuration looks at the same few runs.
    past = replace(past, list_extras=cache(past.list_extras))
    found = [predict_submission({**request.hyper_params, **point}, past) for point in points]
    trials = trials_of(request)
    return Prediction(
        energy_kwh=_sum(found, trials, lambda one: one.energy_kwh),
        co2_g=_sum(found, trials, lambda one: one.co2_g),
        duration_s=_sum(found, trials, lambda one: one.duration_s),
        energy_quality=min(
            (one.energy_quality for one in found if one.energy_quality),
            key=("simulated", "estimated", "measured").index,
            default=None,
        ),
        basis=_basis(request, points, found),
        runs_used=sorted({run_id for one in found for run_id in one.runs_used}),
    )


def _sum(
    found: Sequence[Prediction], trials: int, figure: Callable[[Prediction], Estimate | None]
) -> Estimate | None:
    known = [estimate for one in found if (estimate := figure(one)) is not None]
    if len(known) < len(found):
        return None
    return Estimate(
        value=trials * fmean(one.value for one in known),
        low=_bound([one.low for one in known], trials),
        high=_bound([one.high for one in known], trials),
    )


def _bound(bounds: Sequence[float | None], trials: int) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return trials * fmean(known) if len(known) == len(bounds) else None


def _basis(
    request: SweepRequest, points: Sequence[Mapping[str, JsonValue]], found: Sequence[Prediction]
) -> str:
    trials = trials_of(request)
    of = "each of them" if len(points) == trials else f"{len(points)} drawn at random, which stand for all"
    told = f"At most {trials:,} trials, predicted from {of}, trained one after the other and none pruned."
    unknown = [point for point, one in zip(points, found, strict=True) if one.energy_kwh is None]
    if unknown:
        named = sorted({str(point["network"]) for point in unknown if "network" in point})[:_MOST_NAMED]
        whom = f", of {', '.join(named)}," if named else ""
        return (
            f"{told} Unknown: of {len(unknown)} of {len(points)} configurations{whom} there is no past run "
            "to predict from. Train one of each network first."
        )
    if len({one.basis for one in found}) == 1:
        return f"{told} {found[0].basis}"
    used = len({run_id for one in found for run_id in one.runs_used})
    return f"{told} From {used} done runs, each trial by those most like it; 90 % intervals, added up."
