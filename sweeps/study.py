"""A sweep's trials as an Optuna study, whose journal is in our own store.

Every process sees the same trials: what one asks or tells, the others read from the journal. Two at once do
no harm: who writes has read all that is there, or its write is refused (Conflict) and decided anew later.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning, OptunaError, UpdateFinishedTrialError
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as State

from schema.sweeps import (
    Choices,
    Dimension,
    FloatRange,
    Objective,
    Pruner,
    Sampler,
    Sweep,
    SweepRequest,
    Trial,
    TrialState,
)
from sweeps.known_epochs import KnownEpochs
from sweeps.ports import Journals
from sweeps.space import Point, shuffle_grid

log = logging.getLogger(__name__)

# Its own handler writes to stderr, whatever the program does with its log.
optuna.logging.disable_default_handler()
optuna.logging.enable_propagation()
optuna.logging.set_verbosity(optuna.logging.WARNING)

_NAME: Final = "trials"
# What a journal that nobody here has written makes Optuna raise, or the record of a trial.
UNREADABLE: Final = (
    *(OptunaError, ValueError, TypeError, KeyError, AttributeError, IndexError),
    *(AssertionError, OverflowError, RecursionError),
)
_STATES: Final = {
    State.RUNNING: TrialState.RUNNING,
    State.WAITING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAIL: TrialState.FAILED,
}
_ENDINGS: Final = {state: ending for ending, state in _STATES.items() if ending is not State.WAITING}
# What is noted of a trial beside what Optuna keeps.
_TOLD: Final = "told"
_QUEUED: Final = "queued"
_PRUNED: Final = "pruned"
_HELD: Final = "held"
_LOST: Final = "lost"
# Fewer than Optuna's own, which are made for hundreds of trials.
_PRUNED_AFTER_TRIALS: Final = 4
_KEPT_OF_RUNG: Final = 3


class Journal(BaseJournalBackend):
    """The journal of one sweep, to which is only written by who has read all of it."""

    def __init__(self, journals: Journals, sweep_id: str) -> None:
        self._journals = journals
        self._sweep_id = sweep_id
        self._read = 0

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Yield the entries from a number on, which begins at 0."""
        self._read = log_number_from
        for entry in self._journals.read_journal(self._sweep_id, log_number_from):
            self._read += 1
            yield entry

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries, all or none. Raises Conflict where another program has written meanwhile."""
        self._journals.append_journal(self._sweep_id, self._read, logs)


class _Given(BaseSampler):
    """Gives one point, such as the next one of a grid."""

    def __init__(self, point: Point) -> None:
        self._point = point

    def infer_relative_search_space(self, *_: object) -> dict[str, BaseDistribution]:
        """Leave all to ``sample_independent``."""
        return {}

    def sample_relative(self, *_: object) -> dict[str, Any]:
        """Leave all to ``sample_independent``."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002 - Optuna's own signature
        trial: FrozenTrial,  # noqa: ARG002 - as above
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002 - as above
    ) -> Any:
        """Return what was given."""
        return self._point[param_name]


@dataclass(frozen=True)
class Asked:
    """A trial that nobody has told about, and what was noted of it."""

    record: Trial
    is_whole: bool
    """False where not all its values are there: who asked for it died, or has only just begun."""
    is_queued: bool
    is_held: bool
    """Its run waits for the sweep to be resumed."""
    pruned: str | None

    @property
    def number(self) -> int:
        """Its number in the sweep."""
        return self.record.number

    @property
    def run_id(self) -> str:
        """The run that it is."""
        return self.record.run_id


class Study:
    """The trials of one sweep, for one thread at a time.

    Raises StoreUnavailable as the store does, and Conflict where another program wrote to the journal first.
    """

    def __init__(self, journals: Journals, sweep: Sweep) -> None:
        self.sweep = sweep
        self.request = sweep.request
        self.epochs = KnownEpochs()
        self._storage = JournalStorage(Journal(journals, sweep.sweep_id))
        self._distributions = distributions_of(self.request)
        self._told: dict[int, Trial] = {}
        self._best: tuple[int, frozenset[int]] = (0, frozenset())

    def list_asked(self) -> Sequence[Asked]:
        """Return the trials that nobody has told about, by number."""
        return [self._asked(trial) for trial in self._all() if not trial.state.is_finished()]

    def list_trials(self) -> Sequence[Trial]:
        """Return all trials by number, but those that were lost before they were one."""
        best = self._list_best()
        found = (self._record(trial) for trial in self._all() if _LOST not in trial.user_attrs)
        return [
            trial.model_copy(update={"is_best": True}) if trial.number in best else trial for trial in found
        ]

    def ask(self) -> Asked | None:
        """Choose the next trial; None where the grid has no more, or another program took it for lost."""
        sampler = self._sampler()
        if sampler is None:
            return None
        try:
            number = self._open(sampler).ask(self._distributions).number
        except UpdateFinishedTrialError:
            return None
        return self._asked(self._all()[number])

    @property
    def is_exhausted(self) -> bool:
        """True when every point of the grid has its trial."""
        return self.request.sampler is Sampler.GRID and self._next_point() is None

    def note_queued(self, number: int) -> bool:
        """Note that the run of a trial is queued: where it is gone after that, somebody deleted it.

        Returns False where another program has ended the trial meanwhile.
        """
        return self._note(number, _QUEUED, True)

    def note_pruned(self, number: int, reason: str) -> None:
        """Note that a trial is to be ended early."""
        self._note(number, _PRUNED, reason)

    def note_held(self, number: int, *, is_held: bool) -> None:
        """Note whether the run of a trial waits for the sweep to be resumed."""
        self._note(number, _HELD, is_held)

    def report(self, number: int, values: Mapping[int, float]) -> bool:
        """Report the results of epochs, by which trials are judged; False when all were known."""
        known = self._all()[number]
        new = sorted(values.keys() - known.intermediate_values.keys())
        for epoch in new:
            self._write(self._storage.set_trial_intermediate_value, known, epoch, values[epoch])
        return bool(new)

    def should_prune(self, number: int) -> bool:
        """Tell whether a trial should end now, by what was reported of it and of others."""
        trial = self._all()[number]
        study = self._open(RandomSampler())
        return not trial.state.is_finished() and study.pruner.prune(study, trial)

    def tell(self, told: Trial) -> None:
        """End a trial as its record says; nothing happens when it has ended already."""
        kept = told.model_dump(
            mode="json",
            exclude={"number", "run_id", "state", "params", "values", "is_best"},
            exclude_defaults=True,
        )
        self._note(told.number, _TOLD, kept)
        self._end(told.number, _ENDINGS[told.state], told.values)

    def drop(self, number: int) -> None:
        """Forget a trial that is still not whole; it counts for nothing."""
        if not self._is_whole(self._all()[number]):
            self._note(number, _LOST, True)
            self._end(number, State.FAIL, None)

    def _end(self, number: int, state: State, values: Sequence[float] | None) -> None:
        study = self._open(RandomSampler())
        self._write(study.tell, number, values, state, skip_if_finished=True)

    def _note(self, number: int, name: str, value: object) -> bool:
        trial = self._all()[number]
        if trial.user_attrs.get(name) == value:
            return True
        return self._write(self._storage.set_trial_user_attr, trial, name, value)

    def _write(
        self, write: Callable[..., object], about: FrozenTrial | int, *values: object, **how: bool
    ) -> bool:
        """Write about a trial; what another program has ended meanwhile stays as it ended it: False."""
        try:
            write(about if isinstance(about, int) else about._trial_id, *values, **how)
        except UpdateFinishedTrialError:
            log.info("another program told about a trial first sweep_id=%s", self.sweep.sweep_id)
            return False
        return True

    def _is_whole(self, trial: FrozenTrial) -> bool:
        return trial.params.keys() == self._distributions.keys() and _LOST not in trial.user_attrs

    def _asked(self, trial: FrozenTrial) -> Asked:
        noted = trial.user_attrs
        return Asked(
            record=self._record(trial),
            is_whole=self._is_whole(trial),
            is_queued=noted.get(_QUEUED, False),
            is_held=noted.get(_HELD, False),
            pruned=noted.get(_PRUNED),
        )

    def _all(self) -> Sequence[FrozenTrial]:
        return self._open(RandomSampler()).get_trials(deepcopy=False)

    def _open(self, sampler: BaseSampler) -> optuna.Study:
        given: dict[str, Any] = {
            "study_name": _NAME,
            "storage": self._storage,
            "sampler": sampler,
            "pruner": _pruner(self.request.pruner),
        }
        try:
            return optuna.load_study(**given)
        except KeyError:  # nobody has begun it yet
            return optuna.create_study(
                **given, directions=directions_of(self.request.goals), load_if_exists=True
            )

    def _sampler(self) -> BaseSampler | None:
        seed = _seed(self.request.seed, len(self._all()))
        kind = self.request.sampler
        if kind is Sampler.GRID:
            point = self._next_point()
            return None if point is None else _Given(point)
        if kind is Sampler.RANDOM:
            return RandomSampler(seed=seed)
        if kind is Sampler.NSGA2:
            population = max(4, min(50, self.request.limits.trials // 4))
            return NSGAIISampler(seed=seed, population_size=population)
        with warnings.catch_warnings():
            # Without it, trials that are asked for at once would be alike.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(seed=seed, constant_liar=True)

    def _next_point(self) -> Point | None:
        """Return a point of the grid that has no trial."""
        taken = {_frozen(trial.params) for trial in self._all() if _LOST not in trial.user_attrs}
        points = shuffle_grid(self.request)
        return next((point for point in points if _frozen(point) not in taken), None)

    def _record(self, trial: FrozenTrial) -> Trial:
        """Return a trial as it is shown; of one that has ended only once."""
        known = self._told.get(trial.number)
        if known is not None:
            return known
        record = Trial(
            number=trial.number,
            run_id=run_id_of(self.sweep.sweep_id, trial.number),
            state=_STATES[trial.state],
            params=dict(trial.params),
            values=None if trial.values is None else tuple(trial.values),
            **trial.user_attrs.get(_TOLD, {}),
        )
        if trial.state.is_finished():
            self._told[trial.number] = record
        return record

    def _list_best(self) -> frozenset[int]:
        ended = sum(trial.state is State.COMPLETE for trial in self._all())
        if ended != self._best[0]:
            best = self._open(RandomSampler()).best_trials
            self._best = (ended, frozenset(trial.number for trial in best))
        return self._best[1]


def run_id_of(sweep_id: str, number: int) -> str:
    """Return the id of the run that a trial is: always the same, so that no trial is queued twice."""
    return uuid5(UUID(sweep_id), str(number)).hex


def directions_of(goals: Sequence[Objective]) -> Sequence[StudyDirection]:
    """Return whether each value is to be large or small."""
    return [StudyDirection.MAXIMIZE if goal.is_maximised else StudyDirection.MINIMIZE for goal in goals]


def distributions_of(request: SweepRequest) -> dict[str, BaseDistribution]:
    """Return a search space as Optuna has it."""
    return {name: _distribution(dimension) for name, dimension in request.space.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension, FloatRange):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _pruner(kind: Pruner) -> BasePruner:
    if kind is Pruner.MEDIAN:
        return MedianPruner(n_startup_trials=_PRUNED_AFTER_TRIALS, n_warmup_steps=2)
    if kind is Pruner.HALVING:
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=_KEPT_OF_RUNG)
    return NopPruner()


def _seed(seed: int, trials: int) -> int:
    """Return the seed of one trial: whoever asks for it, it is the same."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{trials}".encode()).digest()[:4])


def _frozen(point: Mapping[str, Any]) -> frozenset[tuple[str, type, Any]]:
    # 1 and True are different choices, and equal to Python.
    return frozenset((name, type(value), value) for name, value in point.items())
