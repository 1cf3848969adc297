"""What stands behind one run's energy and CO₂, what it will take, and what a new one would."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from apiflask import APIBlueprint
from flask import Response

from api.access.callers import bound_project
from api.body import reply
from api.power import list_points
from api.predicting import Past, predict_running, predict_submission
from api.runs import TrainBody, get_whole_run
from api.state import db, planner, settings
from api.totals import show_equivalents
from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.figures import (
    COUNTER_ERROR_S,
    ESTIMATE_ERROR_SHARE,
    above_idle_kwh,
    error_share,
    g_per_correct_prediction,
)
from carbon_aware_trainer.records import Intensity
from scheduling import yearly_intensity
from scheduling.in_force import CHARGED_BASIS
from scheduling.recomputing import source_of
from scheduling.zones import name_zones
from schema import AccountReply, Baseline, CarbonPlan, EpochResult, PowerReply, Prediction, Run, Status
from trainers import validator

accounts = APIBlueprint("accounts", __name__, tag="Energy and CO2")

# The newest done runs that are looked at for a comparison or a prediction: a bounded cost.
MAX_PAST_RUNS = 300


@accounts.get("/api/runs/<iid>/account")
@accounts.output(AccountReply)
def get_account(iid: str) -> Response:
    """Answer what a run's energy and CO₂ come to, how sure they are, and while it runs what it will take."""
    run = get_whole_run(iid)
    return reply(account_of(run, db().runs.list_epochs(run.run_id)))


def account_of(run: Run, epochs: Sequence[EpochResult]) -> AccountReply:
    """Return what a run's energy and CO₂ come to."""
    above, above_reason = _above_idle(run)
    share, share_reason = _error(run, epochs)
    return AccountReply(
        iid=run.run_id,
        energy_by_source=sum_by_source(epochs),
        pue=_number(run, "pue"),
        above_idle_kwh=above,
        above_idle_reason=above_reason,
        codecarbon_energy_kwh=_number(run, "codecarbon_energy_kwh"),
        error_share=share,
        error_reason=share_reason,
        test_images=_test_images(run),
        g_per_correct=g_per_correct_prediction(run.co2_g, run.best_accuracy, _test_images(run)),
        accuracy_per_kwh=run.accuracy_per_kwh,
        equivalents=show_equivalents(run.co2_g),
        co2_source=source_of(run),
        # Half a run against whole ones would mean nothing; and a page asks after every epoch.
        baseline=compare(run, _own(_past_runs())) if run.status.is_final and not run.is_external else None,
        prediction=predict_running(run, epochs, db().now()) if run.status is Status.RUNNING else None,
    )


@accounts.get("/api/runs/<iid>/power")
@accounts.output(PowerReply)
def get_power(iid: str) -> Response:
    """Answer the power of each source over the run's time, oldest first; [] when none was logged."""
    return reply(PowerReply(points=tuple(list_points(get_whole_run(iid).run_id))))


@accounts.post("/api/predict")
@accounts.input(TrainBody, arg_name="body")
@accounts.output(Prediction)
def predict(body: TrainBody) -> Response:
    """Predict energy, CO₂ and duration of a run before it is queued; takes what POST /train takes.

    From past runs of the same network and dataset, on hosts whose workers serve its queue where there are
    such; else from the energy per operation of such a host. With options.carbon there is the plan, too.
    Nothing is stored.
    """
    hyper_params = validator(settings())(
        {**body.hyper_params, "demo": True} if body.demo else body.hyper_params
    )
    plan = planner().plan_submission(hyper_params, name_zones(body.options))
    past = past_of(body.options.queue, plan)
    return reply(predict_submission(hyper_params, past).model_copy(update={"plan": plan}))


def past_of(queue: str, plan: CarbonPlan | None = None) -> Past:
    """Return what runs of a queue are predicted from."""
    hosts = frozenset(worker.host for worker in db().workers.list_live() if queue in worker.queues)
    return Past(_past_runs(), hosts, _find_intensity(), db().accounts.list_extras, _expected(plan))


def compare(run: Run, past: Sequence[Run]) -> Baseline | None:
    """Return the medians of the other runs of the same dataset; None without any.

    CO₂ is compared with runs of the same provider and basis only.
    """
    dataset = run.hyper_params.get("dataset")
    others = [
        other
        for other in past
        if other.run_id != run.run_id
        and other.simulated == run.simulated
        and dataset is not None
        and other.hyper_params.get("dataset") == dataset
    ]
    if not others:
        return None
    own = source_of(run)
    alike = [o for o in others if (source_of(o).provider, source_of(o).basis) == (own.provider, own.basis)]
    return Baseline(
        runs=len(others),
        accuracy=_median([other.best_accuracy for other in others]),
        energy_kwh=_median([other.energy_kwh for other in others]),
        co2_g=_median([other.co2_g for other in alike]),
    )


def sum_by_source(epochs: Sequence[EpochResult]) -> dict[str, float] | None:
    """Add the energy of the epochs by source; None as soon as one does not know its own."""
    sums: dict[str, float] = {}
    for result in epochs:
        if result.energy_by_source is None:
            return None
        for source, kwh in result.energy_by_source.items():
            sums[source] = sums.get(source, 0.0) + kwh
    return sums or None


def _above_idle(run: Run) -> tuple[float | None, str | None]:
    idle_power_w = _number(run, "idle_power_w")
    if run.energy_kwh is None or run.duration_s is None:
        return None, "the run's energy is not known"
    if run.simulated:
        return None, "a simulated run has no device"
    if idle_power_w is None:
        return None, "the idle power before the run is not known, as when another run ended just then"
    share = _number(run, "energy_share")
    if share is None:
        return None, "which share of the machine's energy is the run's is known once it has ended"
    pue = _number(run, "pue") or 1.0
    return above_idle_kwh(run.energy_kwh, idle_power_w * share * pue, run.duration_s), None


def _error(run: Run, epochs: Sequence[EpochResult]) -> tuple[float | None, str | None]:
    """Return the bound of the run's energy and of a single epoch's, in words."""
    if run.energy_quality is None or run.energy_kwh is None or not run.duration_s:
        return None, None
    share = error_share(run.energy_quality, run.duration_s / max(1, run.attempt))
    if run.energy_quality == "estimated":
        return share, f"±{ESTIMATE_ERROR_SHARE:.0%}: estimated from load and rated power (arXiv 2509.22092)"
    if share is None or not epochs:
        return None, "invented by a simulation"
    shortest_s = min(result.duration_s for result in epochs)
    epoch = error_share("measured", shortest_s)
    single = "" if epoch is None else f"; at most ±{epoch:.2g} of its shortest epoch"
    return share, f"the counter knows ±{COUNTER_ERROR_S:g} s of power at the ends of each attempt{single}"


def _test_images(run: Run) -> int | None:
    images = run.environment.get("test_images")
    return images if isinstance(images, int) and images > 0 else None


def _number(run: Run, fact: str) -> float | None:
    value = run.environment.get(fact)
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _own(runs: Sequence[Run]) -> Sequence[Run]:
    bound = bound_project()
    return runs if bound is None else [run for run in runs if run.options.project == bound]


def _past_runs() -> Sequence[Run]:
    # What other people's scripts train is nothing to learn from, nor to be compared with.
    return db().runs.list(status=Status.DONE, limit=MAX_PAST_RUNS, is_external=False).runs


def _expected(plan: CarbonPlan | None) -> float | None:
    """Return what a plan expects of the grid, on the basis that CO₂ is counted on; None where it does not."""
    return plan.g_per_kwh if plan is not None and plan.basis == CHARGED_BASIS else None


def _find_intensity() -> Intensity | None:
    """Return the year's average where this program is; None where none is known."""
    try:
        return yearly_intensity(settings())
    except IntensityUnavailable:
        return None
