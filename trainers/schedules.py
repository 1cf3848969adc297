"""The learning rate at every step, as a function of the step alone: nothing of it has to be saved."""

from __future__ import annotations

import math

from trainers.params import CnnHyperParams

# Source: L. Smith and N. Topin, "Super-Convergence", 2017, in the proportions of torch's OneCycleLR.
_RISE_SHARE = 0.3
_FIRST_PART, _LAST_PART = 1 / 25, 1 / 250_000


def learning_rate_at(step: int, hyper_params: CnnHyperParams, *, steps_per_epoch: int) -> float:
    """Return the learning rate of step ``step``, the first of the run being 1."""
    steps = hyper_params.num_epochs * steps_per_epoch
    rise = hyper_params.warmup_epochs * steps_per_epoch
    if hyper_params.schedule == "one_cycle":
        return hyper_params.learning_rate * _one_cycle(step, steps, rise or _RISE_SHARE * steps)
    if step <= rise:
        return hyper_params.learning_rate * step / (rise + 1)
    match hyper_params.schedule:
        case "cosine":
            factor = _cosine(1.0, 0.0, (step - 1 - rise) / max(1.0, steps - rise))
        case "step":
            factor = hyper_params.step_factor ** ((step - 1) // (hyper_params.step_epochs * steps_per_epoch))
        case _:
            factor = 1.0
    return hyper_params.learning_rate * factor


def _one_cycle(step: int, steps: int, rise: float) -> float:
    """Return the share of the highest rate; the highest comes at step ``rise``, the lowest at the last."""
    done, peak, last = step - 1, max(rise - 1, 0.0), steps - 1
    if done < peak:
        return _cosine(_FIRST_PART, 1.0, done / peak)
    return _cosine(1.0, _LAST_PART, (done - peak) / (last - peak) if last > peak else 0.0)


def _cosine(start: float, end: float, part: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine, ``part`` in 0..1."""
    return end + (start - end) * (1 + math.cos(math.pi * min(part, 1.0))) / 2
