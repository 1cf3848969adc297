"""What a run will take, from its first epochs or from past runs; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from api.recomputing import source_of
from carbon_aware_trainer import prediction
from carbon_aware_trainer.prediction import PastRun, predict_from_past, predict_whole
from carbon_aware_trainer.records import Intensity
from schema import Co2Source, EpochResult, Estimate, ExtraCost, Prediction, Run
from schema.records import EnergyQuality
from trainers.workload import find_workload

MAX_RUNS = 20
_LEAST_ALIKE = 2
# What says nothing about the cost of an epoch, or only bounds how many there are.
_FREE = ("num_epochs", "seed", "max_energy_wh", "max_co2_g", "max_duration_s")
_SHAPING = ("trainer", "network", "dataset")
_FOLDER = (*_SHAPING, "image_folder", "image_side")
_SPEED = ("batch_size", "precision", "compile", "augmentation", "gpus")
_NOTHING = (
    "There is no past run to predict from: none of this network and dataset, and none of its host to scale."
)


@dataclass(frozen=True)
class Past:
    """Runs that are done, newest first; the hosts that may take the new one; the intensity of WATTLE_COUNTRY.

    list_extras: what a run used besides its epochs, which does not grow with their number.
    """

    runs: Sequence[Run]
    hosts: frozenset[str]
    intensity: Intensity | None
    list_extras: Callable[[str], Sequence[ExtraCost]]


def predict_running(run: Run, epochs: Sequence[EpochResult], now: datetime) -> Prediction | None:
    """Predict a running run from its epochs so far; None before the first.

    Nothing is learned from an epoch that was resumed: its time is of two attempts, its energy of the last.
    """
    whole = [result for result in epochs if not result.resumed_after_s]
    if not whole or run.num_epochs is None:
        return None
    left = max(0, run.num_epochs - len(epochs))
    num_epochs = len(whole) + left
    duration_s = _whole([result.duration_s for result in whole], num_epochs, run.duration_s)
    ended_at = epochs[-1].ended_at
    ends_at = None
    if duration_s is not None and ended_at is not None:
        ends_at = max(now, ended_at + timedelta(seconds=duration_s.value - (run.duration_s or 0.0)))
    seen = "one epoch" if len(whole) == 1 else f"the mean of the {len(whole)} epochs so far"
    seen += ", without the first, which warms up" if len(whole) > 1 else ""
    seen += ", and without those that were resumed" if len(whole) < len(epochs) else ""
    spread = (
        "90 % interval of Student's t"
        if len(whole) > 2
        else "so few say nothing about the spread, so there is no upper bound"
    )
    return Prediction(
        energy_kwh=_whole([result.energy_kwh for result in whole], num_epochs, run.energy_kwh),
        co2_g=_whole([result.co2_g for result in whole], num_epochs, run.co2_g),
        duration_s=duration_s,
        ends_at=ends_at,
        energy_quality=run.energy_quality,
        basis=f"What was used, and for the {left} epochs to come {seen}; {spread}. If it trains them all.",
        runs_used=[],
    )


def predict_submission(hyper_params: Mapping[str, JsonValue], past: Past) -> Prediction:
    """Predict a run that is not submitted yet: from past runs like it, else from J per operation."""
    is_simulated = hyper_params.get("simulated") is True
    # An interrupted run has energy of epochs it trained twice, which would count as the cost of one.
    whole = [run for run in past.runs if run.attempt == 1 and run.epochs_done]
    runs = [run for run in whole if run.simulated == is_simulated]
    alike = [run for run in runs if _kind(run.hyper_params) == _kind(hyper_params)]
    here = [run for run in alike if run.environment.get("host") in past.hosts]
    chosen = _same(here or alike, hyper_params)[:MAX_RUNS]
    if chosen:
        where = "on the host that may take it" if here else "on other hosts"
        where = "simulated" if is_simulated else where
        basis = f"From {_count(chosen)} of the same network and dataset, {where}, by epochs and images"
        return _scaled(chosen, _images_of(chosen[0], hyper_params), _images, hyper_params, past, basis)
    workload = find_workload(hyper_params)
    measured = [run for run in runs if _flops(run) and run.environment.get("host") in past.hosts][:MAX_RUNS]
    if workload is None or not measured or is_simulated:
        return Prediction(basis=_NOTHING, runs_used=[])
    basis = f"From the energy per operation of {_count(measured)} of other networks or datasets on its host"
    flops = float(workload.images * workload.flops_per_image)
    return _scaled(measured, flops, _flops, hyper_params, past, basis)


def _scaled(
    runs: Sequence[Run],
    work: float,
    work_of: Callable[[Run], float],
    hyper_params: Mapping[str, JsonValue],
    past: Past,
    basis: str,
) -> Prediction:
    """Scale what the runs used by the work of an epoch, ``work`` and ``work_of``, and by epochs."""
    epochs = hyper_params.get("num_epochs")
    total = work * (epochs if isinstance(epochs, int) else 1)

    extras = {run.run_id: past.list_extras(run.run_id) for run in runs}

    def predict(amount: Callable[[Run | ExtraCost], float | None]) -> prediction.Estimate | None:
        known = [(cost, run) for run in runs if (cost := amount(run)) is not None]
        besides = {run_id: sum(amount(extra) or 0.0 for extra in found) for run_id, found in extras.items()}
        done = [
            PastRun(max(0.0, cost - besides[run.run_id]), work_of(run) * run.epochs_done)
            for cost, run in known
        ]
        return predict_from_past(done, total)

    energy = predict(lambda used: used.energy_kwh)
    grams, with_what = _intensity(runs, past.intensity)
    ending = "; 90 % interval of Student's t" if len(runs) > 1 else "; one run says nothing about the spread"
    ending += ". Epochs alone, without what is used besides them" if any(extras.values()) else ""
    return Prediction(
        energy_kwh=_shown(energy),
        co2_g=_shown(energy, grams) if grams is not None else None,
        duration_s=_shown(predict(lambda used: used.duration_s)),
        energy_quality=_quality(runs),
        basis=f"{basis}{ending}. {with_what}",
        runs_used=[run.run_id for run in runs],
    )


def _intensity(runs: Sequence[Run], here: Intensity | None) -> tuple[float | None, str]:
    """Return g/kWh and whose they are: of the runs used that share the newest's zone, else the API's."""
    known = [run for run in runs if run.co2_g is not None and run.energy_kwh]
    if not known:
        return (here.g_per_kwh, f"CO₂ with {here}.") if here else (None, "No carbon intensity is known here.")
    newest = source_of(known[0])
    alike = [run for run in known if _names(source_of(run)) == _names(newest)]
    g_per_kwh = sum(run.co2_g or 0.0 for run in alike) / sum(run.energy_kwh or 0.0 for run in alike)
    return (
        g_per_kwh,
        f"CO₂ with {g_per_kwh:.0f} g/kWh, as of {_count(alike)} in {newest.zone} ({newest.basis}).",
    )


def _names(source: Co2Source) -> tuple[str, str, str]:
    return source.zone, source.provider, source.basis


def _whole(costs: Sequence[float | None], num_epochs: int, used: float | None) -> Estimate | None:
    """Predict a sum; None when one of its parts is unknown."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs) or used is None:
        return None
    return _shown(predict_whole(known, num_epochs=num_epochs, used=used))


def _shown(found: prediction.Estimate | None, factor: float = 1.0) -> Estimate | None:
    if found is None:
        return None
    low, high = (None if bound is None else bound * factor for bound in (found.low, found.high))
    return Estimate(value=found.value * factor, low=low, high=high)


def _kind(hyper_params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return what two runs have to share: network and dataset, or everything where there is neither."""
    if hyper_params.get("network") and hyper_params.get("dataset"):
        names = _FOLDER if hyper_params.get("image_folder") else _SHAPING
        return {name: hyper_params.get(name) for name in names}
    return {name: value for name, value in hyper_params.items() if name not in _FREE}


def _same(runs: Sequence[Run], hyper_params: Mapping[str, JsonValue]) -> Sequence[Run]:
    """Prefer those that also share what makes an image faster, where there are two or more."""
    wanted = [hyper_params.get(name) for name in _SPEED]
    same = [run for run in runs if [run.hyper_params.get(name) for name in _SPEED] == wanted]
    return same if len(same) >= _LEAST_ALIKE else runs


def _images(run: Run) -> float:
    images = run.environment.get("train_images")
    return float(images) if isinstance(images, int) else 1.0


def _images_of(run: Run, hyper_params: Mapping[str, JsonValue]) -> float:
    """Return the images of a new run's epoch: those of a run like it, less what it holds out."""
    held = run.environment.get("validation_images")
    fraction = hyper_params.get("validation_fraction")
    all_images = _images(run) + (held if isinstance(held, int) else 0)
    return all_images * (1 - fraction) if isinstance(fraction, float) else all_images


def _flops(run: Run) -> float:
    flops = run.environment.get("flops_per_image")
    return _images(run) * flops if isinstance(flops, int) else 0.0


def _quality(runs: Sequence[Run]) -> EnergyQuality | None:
    """Return the worst among them: estimated before measured."""
    found = {run.energy_quality for run in runs if run.energy_quality is not None}
    return min(found, key=("simulated", "estimated", "measured").index, default=None)


def _count(runs: Sequence[Run]) -> str:
    return "one done run" if len(runs) == 1 else f"{len(runs)} done runs"
