"""One step of a sweep: tell what has ended, prune, steer, and ask for what may be begun.

Safe to be killed at any line, and harmless twice at once: a trial is in the journal before its run is queued
under an id of its own, so the next one to drive finds what was asked for and queues it, or finds it queued;
and a step that another driver overtakes ends there (Conflict), for the next to look again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from errors import Conflict, InvalidInput, NotFound, TooMany, WattleError
from schema import EpochResult, Run, Status, Validate, can_take
from schema.sweeps import (
    MAX_PARALLEL,
    SWEEP_TAG,
    TRIAL_TAG,
    Pruner,
    Sweep,
    SweepState,
    SweepSummary,
    TrialState,
)
from sweeps.account import Limit, find_limit, is_hopeless, sum_up
from sweeps.outcome import end_of_trial, failed, live_trial, value_of_epoch
from sweeps.ports import Store
from sweeps.space import first_point

if TYPE_CHECKING:
    from sweeps.study import Asked, Study

    Followed = tuple[Asked, Run]

log = logging.getLogger(__name__)

_STOPPED: Final = "stopped with its sweep"
_LATE: Final = "its sweep had reached a limit before a worker began it"
_DELETED: Final = "its run was deleted before its result was read"


class Unfit(WattleError):
    """This program has not what the trials of a sweep need, their trainer or the archive; another may."""


def drive(store: Store, study: Study, validate: Validate, is_time_up: Callable[[], bool]) -> None:
    """Do what there is to do about a sweep now.

    validate: hyper_params → complete ones; raises InvalidInput. is_time_up: tells when to leave the rest to
    the next time. Raises Unfit where validate knows less than that by which the sweep was started, or a run
    is in an archive that this program was not given, and Conflict where another program drives it too: what
    was done is done, the next step does the rest.
    """
    sweep = store.sweeps.get(study.sweep.sweep_id)
    if not sweep.state.is_final:
        _Step(store, study, validate, sweep, is_time_up).take()


@dataclass
class _Step:
    store: Store
    study: Study
    validate: Validate
    sweep: Sweep
    is_time_up: Callable[[], bool]
    is_full: bool = False
    """A quota lets no more runs into the queue for now."""

    def take(self) -> None:
        """Look after the trials there are, then ask for more, then note how the sweep stands."""
        asked = self._look_after(self.study.list_asked())
        used, limit = self._judge(asked)
        if not used.counts[TrialState.RUNNING] and self._end(used, limit):
            return
        for trial, run in asked:
            self._steer(trial, run, is_withdrawn=limit is not None and limit.is_budget)
        if self.sweep.state is SweepState.RUNNING and not is_hopeless(used, self.sweep.request.limits):
            used = self._ask(used, limit, asked)
        if used != self.sweep.summary:
            self.store.sweeps.note(self.sweep.sweep_id, used)

    def _look_after(self, asked: Sequence[Asked]) -> Sequence[Followed]:
        """Queue, prune and tell what is to be; returns the trials that go on, with their runs."""
        runs = self.store.runs.find_many([trial.run_id for trial in asked])
        epochs = self.study.epochs.read(self.store.runs, runs)
        going_on: list[Followed] = []
        for trial in asked:
            run = runs.get(trial.run_id)
            if not trial.is_whole:
                self.study.drop(trial.number)
            elif run is None:
                going_on += self._queue(trial)
            elif run.status.is_final:
                self._tell(trial, run, epochs[run.run_id])
            else:
                self.study.note_queued(trial.number)
                self._prune(trial, run, epochs[run.run_id])
                live = live_trial(trial.record, run, epochs[run.run_id])
                going_on.append((replace(trial, record=live), run))
        return going_on

    def _queue(self, trial: Asked) -> Sequence[Followed]:
        """Queue the run of a trial; nothing where there will be none."""
        if self.sweep.state is SweepState.PAUSED and not trial.is_queued:
            return ()
        if self.sweep.state is SweepState.STOPPING or trial.is_queued:
            self._check_gone(trial)
            self.study.tell(failed(trial.record, _DELETED if trial.is_queued else _STOPPED))
            return ()
        request = self.sweep.request
        try:
            hyper_params = self.validate({**request.hyper_params, **trial.record.params})
        except InvalidInput as error:
            self._check_fit()
            self.study.tell(failed(trial.record, str(error)))
            return ()
        tags = (*request.options.tags, f"{SWEEP_TAG}{self.sweep.sweep_id}", f"{TRIAL_TAG}{trial.number}")
        options = request.options.model_copy(update={"tags": tags})
        try:
            run = self.store.queue.submit(hyper_params, options, run_id=trial.run_id)
        except TooMany as error:
            log.info("a sweep waits for its quota sweep_id=%s: %s", self.sweep.sweep_id, error)
            self.is_full = True
            return ()
        if not self.study.note_queued(trial.number):
            self._cancel(run, _STOPPED)
            raise Conflict(f"Sweep {self.sweep.sweep_id} was stopped by another program.")
        return [(trial, run)]

    def _check_gone(self, trial: Asked) -> None:
        """Raise Unfit where the run of a trial is in the archive, which other programs read.

        Raises Conflict where it is back from there.
        """
        if self.store.archiving.list_archived([trial.run_id]):
            raise Unfit(f"Run {trial.run_id} of a trial was moved to the archive and cannot be read here.")
        if self.store.runs.find_many([trial.run_id]):
            raise Conflict(f"Run {trial.run_id} of a trial was not there a moment ago.")

    def _check_fit(self) -> None:
        """Raise Unfit where not even that point can be trained that could be when the sweep was started."""
        request = self.sweep.request
        try:
            self.validate({**request.hyper_params, **first_point(request.space)})
        except InvalidInput as error:
            raise Unfit(f"The trials of sweep {self.sweep.sweep_id} are not valid here: {error}") from error

    def _tell(self, trial: Asked, run: Run, epochs: Sequence[EpochResult]) -> None:
        self._report(trial, epochs)
        told = end_of_trial(trial.record, run, epochs, self.sweep.request.goals, trial.pruned)
        self.study.tell(told)
        log.info(
            "trial told sweep_id=%s trial=%d run_id=%s state=%s",
            *(self.sweep.sweep_id, trial.number, run.run_id, told.state.value),
        )

    def _report(self, trial: Asked, epochs: Sequence[EpochResult]) -> bool:
        """Report the epochs of a trial that is pruned, or by which others are; True where one is new."""
        if self.sweep.request.pruner is Pruner.NONE:
            return False
        goal = self.sweep.request.goals[0]
        values = {epoch.epoch: value_of_epoch(goal, epoch) for epoch in epochs}
        return self.study.report(
            trial.number, {number: value for number, value in values.items() if value is not None}
        )

    def _prune(self, trial: Asked, run: Run, epochs: Sequence[EpochResult]) -> None:
        is_new = self._report(trial, epochs)
        reason = trial.pruned
        if reason is None:
            after = epochs[-1].epoch if is_new else run.num_epochs
            if after == run.num_epochs or not self.study.should_prune(trial.number):
                return
            reason = (
                f"pruned by its sweep after epoch {after} of {run.num_epochs}: others were better by then"
            )
            self.study.note_pruned(trial.number, reason)
        self._cancel(run, reason)

    def _judge(self, asked: Sequence[Followed]) -> tuple[SweepSummary, Limit | None]:
        live = {trial.number: trial.record for trial, _ in asked}
        trials = [live.get(trial.number, trial) for trial in self.study.list_trials()]
        used = sum_up(trials)
        limit = find_limit(self.sweep, used, self.store.now(), is_exhausted=self.study.is_exhausted)
        return used.model_copy(update={"limit": limit.text if limit else None}), limit

    def _end(self, used: SweepSummary, limit: Limit | None) -> bool:
        """Note the end of a sweep that has come to it; False where it goes on."""
        sweep_id, of = self.sweep.sweep_id, f"{used.trials} trials"
        if self.sweep.state is SweepState.STOPPING:
            return self.store.sweeps.note(
                sweep_id, used, end=SweepState.STOPPED, reason=f"stopped on request after {of}"
            )
        # A budget first: what it has withdrawn has failed as well, and says nothing about the others.
        is_spent = limit is not None and limit.is_budget
        if not is_spent and is_hopeless(used, self.sweep.request.limits):
            last = self.study.list_trials()[-1]
            reason = f"all of its first {of} failed; the last one: {last.reason}"
            return self.store.sweeps.note(sweep_id, used, end=SweepState.FAILED, reason=reason)
        if limit is None:
            return False
        reason = limit.text if limit.is_budget else f"all {of} have ended"
        return self.store.sweeps.note(sweep_id, used, end=SweepState.DONE, reason=reason)

    def _steer(self, trial: Asked, run: Run, *, is_withdrawn: bool) -> None:
        state = self.sweep.state
        has_begun = run.attempt > 0
        if state is SweepState.STOPPING:
            self._cancel(run, _STOPPED)
        elif is_withdrawn and not has_begun:
            self._cancel(run, _LATE)
        elif state is SweepState.PAUSED and run.status is Status.WAITING and not has_begun:
            self.study.note_held(trial.number, is_held=True)
            self._try(lambda: self.store.controls.pause(run.run_id))
        elif state is SweepState.RUNNING and trial.is_held:
            if run.status is Status.PAUSED:
                self._try(lambda: self.store.controls.resume(run.run_id))
            self.study.note_held(trial.number, is_held=False)

    def _cancel(self, run: Run, reason: str) -> None:
        if run.request != "cancel":
            self._try(lambda: self.store.controls.cancel(run.run_id, reason=reason))

    def _try(self, change: Callable[[], Run]) -> None:
        """Change a run; one that has ended or is gone meanwhile is told about the next time."""
        try:
            change()
        except (Conflict, NotFound) as error:
            log.info("a trial needs nothing any more sweep_id=%s: %s", self.sweep.sweep_id, error)

    def _ask(self, used: SweepSummary, limit: Limit | None, asked: Sequence[Followed]) -> SweepSummary:
        """Begin trials until enough are under way, a limit is reached or time is up."""
        under_way = list(asked)
        while (
            limit is None and not self.is_full and len(under_way) < self._parallel() and not self.is_time_up()
        ):
            trial = self.study.ask()
            if trial is None:
                break
            under_way += self._queue(trial) if trial.is_whole else ()
            used, limit = self._judge(under_way)
        return used

    def _parallel(self) -> int:
        """Return how many trials are to be under way: with no worker one, so that a worker is called for."""
        request = self.sweep.request
        if request.parallel is not None:
            return request.parallel
        options = request.options
        able = [
            worker
            for worker in self.store.workers.list_live()
            if not worker.is_draining and can_take(worker, options.queue, options.requires)
        ]
        return min(MAX_PARALLEL, max(1, len(able)))
