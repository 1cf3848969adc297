"""A search for hyperparameters that counts its CO2, keeps to a budget and waits for clean hours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.core.opening import Options, open_session
from carbon_aware_trainer.core.session import CarbonSession, reason_of
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.integrations.needed import missing

try:
    import optuna
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial, TrialState
except ModuleNotFoundError as err:
    raise missing(err) from err

log = logging.getLogger(__name__)
CO2, ENERGY, REASON = "carbon.co2_g", "carbon.energy_kwh", "carbon.reason"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)

Objective = Callable[[Trial], float]
CarbonObjective = Callable[["Trial", CarbonSession], float]


class CarbonStudy:
    """Runs trials one by one, each measured by itself; call it as Optuna's objective.

    with_co2: return ``(value, grams)`` for a study with two directions, whose best trials are then the Pareto
    front of both. An objective that takes a second argument gets the trial's session and may call
    ``session.before_step()`` before each step, to wait in the middle of a trial, too.
    """

    def __init__(
        self,
        objective: Objective | CarbonObjective,
        *,
        with_co2: bool = False,
        takes_session: bool = False,
        device: str = "cpu",
        **options: Unpack[Options],
    ) -> None:
        """Take the objective, and the options of CarbonAwareTrainer. Raises CarbonError where those fail."""
        if not options.get("region"):
            raise CarbonError('Name the region whose grid counts, such as region="US-CA".')
        self._objective: Any = objective
        self._with_co2, self._takes_session = with_co2, takes_session
        self._device, self._options = device, options
        self.metrics: list[CarbonMetrics] = []

    def __call__(self, trial: Trial) -> float | tuple[float, float]:
        """Wait until the grid is clean, run the trial and note its energy and CO2 as its attributes.

        Raises CarbonError when grams are an objective and are not known.
        """
        session = open_session(self._device, self._options)
        session.open()
        try:
            session.before_step()
            value = self._objective(trial, session) if self._takes_session else self._objective(trial)
        except BaseException as err:
            self._note(trial, session, reason_of(type(err), err))
            raise
        metrics = self._note(trial, session, "The trial is done.")
        if not self._with_co2:
            return float(value)
        grams = _all_grams(metrics)
        if grams is None:
            raise CarbonError(f"The CO2 of trial {trial.number} is not known: {metrics.reason}")
        return float(value), grams

    def _note(self, trial: Trial, session: CarbonSession, reason: str) -> CarbonMetrics:
        session.close(reason)
        metrics = session.metrics()
        self.metrics.append(metrics)
        trial.set_user_attr(CO2, _all_grams(metrics))
        trial.set_user_attr(ENERGY, _all_energy(metrics))
        if metrics.reason is not None:
            trial.set_user_attr(REASON, metrics.reason)
        return metrics


def _all_grams(metrics: CarbonMetrics) -> float | None:
    """Return the grams of a trial; None when a part is unknown, for which it would look the cleaner."""
    known = metrics.total_carbon_kg
    return None if known is None or metrics.unknown_carbon_duration else known * 1000


def _all_energy(metrics: CarbonMetrics) -> float | None:
    """Return the energy of a trial; None when a part is unknown, as of its grams."""
    return None if metrics.unknown_energy_duration else metrics.total_energy_kwh


class CarbonBudget:
    """Stops a study once its trials have emitted ``limit_g``, or the next one is expected to exceed it.

    Give it as a callback. A trial is expected to emit what the mean of those before did; one whose CO2 is not
    known counts as that mean, and where none is known nothing can be stopped, which is logged.
    """

    def __init__(self, limit_g: float) -> None:
        """Raises CarbonError for a budget that allows nothing."""
        if not limit_g > 0:
            raise CarbonError(f"A budget of {limit_g:g} g allows nothing. Set one above zero.")
        self.limit_g = limit_g
        self.reason: str | None = None
        """Why it stopped the study; None while it did not."""

    def __call__(self, study: Study, _trial: FrozenTrial) -> None:
        """Stop the study where the budget says so."""
        ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state in _ENDED]
        known = [float(trial.user_attrs[CO2]) for trial in ended if trial.user_attrs.get(CO2) is not None]
        if not known:
            log.warning("no CO2 of any trial is known: the budget of %g g cannot be kept", self.limit_g)
            return
        mean = sum(known) / len(known)
        spent = sum(known) + mean * (len(ended) - len(known))
        if spent + mean > self.limit_g:
            self.reason = (
                f"{spent:.3g} of {self.limit_g:.3g} g are spent, and a trial emits {mean:.3g} g on average."
            )
            log.info("study stopped: %s", self.reason)
            study.stop()


def spent_g(study: Study) -> float:
    """Return the grams of all trials whose CO2 is known."""
    attrs = (trial.user_attrs.get(CO2) for trial in study.get_trials(deepcopy=False))
    return sum(float(co2) for co2 in attrs if co2 is not None)


def pareto_front(study: Study) -> list[FrozenTrial]:
    """Return the trials to which no other is better in both value and CO2, the cleanest first.

    Also of a study with one direction, from what its trials noted.
    """
    if len(study.directions) > 1:
        return sorted(study.best_trials, key=_co2)
    sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
    done = [
        trial for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if trial.user_attrs.get(CO2) is not None
    ]  # fmt: skip
    return _undominated(sorted(done, key=lambda trial: (_co2(trial), sign * (trial.value or 0.0))), sign)


def _undominated(ordered: Sequence[FrozenTrial], sign: float) -> list[FrozenTrial]:
    front: list[FrozenTrial] = []
    for trial in ordered:
        if not front or sign * (trial.value or 0.0) < sign * (front[-1].value or 0.0):
            front.append(trial)
    return front


def _co2(trial: FrozenTrial) -> float:
    return float(trial.user_attrs[CO2])
