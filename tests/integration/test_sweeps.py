"""Sweeps on a real Redis: what was asked for is trained once, told once, and never lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from redis import Redis

from errors import Conflict, InvalidInput
from redis_db import RedisDB
from schema import Run, Status
from schema.quotas import QuotaLimits
from schema.sweeps import Sweep, SweepState, Trial, TrialState
from sweeps import SweepRounds
from sweeps.study import Study
from sweeps.views import SweepViews
from tests.records import claim, epoch
from tests.sweep_parts import fail, start, step, train, train_all, trials, validate


class Died(BaseException):
    """What a SIGKILL looks like from inside: nothing runs after it."""


class Eventful:
    """The store of a program to which something happens before, or after, its so-manieth write."""

    _WRITES = frozenset({"append_journal", "note", "submit", "cancel", "pause", "resume"})

    def __init__(self, part: Any, lives: list[int], event: Callable[[], object], *, is_after: bool = False):
        self._part, self._lives, self._event, self._is_after = part, lives, event, is_after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name in ("sweeps", "queue", "controls"):
            return Eventful(found, self._lives, self._event, is_after=self._is_after)
        return self._counted(found) if name in self._WRITES else found

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **how: Any) -> Any:
            self._lives[0] -= 1
            is_now = self._lives[0] == 0
            if is_now and not self._is_after:
                self._event()
            reply = write(*values, **how)
            if is_now and self._is_after:
                self._event()
            return reply

        return call


def die() -> None:
    raise Died


def numbers(found: list[Trial] | Any) -> list[int]:
    return [trial.number for trial in found]


def runs_of(db: RedisDB, sweep: Sweep) -> list[Run]:
    tag = f"sweep:{sweep.sweep_id}"
    return [run for run in db.runs.list().runs if tag in run.options.tags]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_sweep_trains_as_many_trials_as_it_was_asked_for(db: RedisDB, sampler: str) -> None:
    sweep = start(db, sampler=sampler)
    ended = train_all(db, sweep)
    assert (ended.state, ended.reason) == (SweepState.DONE, "all 6 trials have ended")
    assert ended.summary.counts[TrialState.COMPLETE] == len(runs_of(db, sweep)) == 6
    assert ended.summary.co2_g == pytest.approx(18.0)
    assert len({repr(trial.params) for trial in trials(db, sweep)}) == 6


def test_no_more_trials_are_under_way_than_it_may_have(db: RedisDB) -> None:
    sweep = start(db)
    step(db, sweep)
    step(db, sweep)
    assert db.queue.length() == 2


def test_a_grid_trains_each_of_its_points_once(db: RedisDB) -> None:
    space = {
        "network": {"type": "categorical", "choices": ["small_cnn", "lenet5"]},
        "dropout": {"type": "float", "low": 0.0, "high": 0.2, "step": 0.1},
    }
    sweep = start(db, sampler="grid", space=space, limits={})
    assert train_all(db, sweep).state is SweepState.DONE
    points = sorted((trial.params["network"], trial.params["dropout"]) for trial in trials(db, sweep))
    assert points == [(name, rate) for name in ("lenet5", "small_cnn") for rate in (0.0, 0.1, 0.2)]


def test_nsga_weighs_accuracy_against_co2_and_leaves_out_what_it_does_not_know(db: RedisDB) -> None:
    sweep = start(db, sampler="nsga2", limits={"trials": 4})
    step(db, sweep)
    train(db, co2_g=None)
    ended = train_all(db, sweep)
    unknown, *others = trials(db, sweep)
    assert (unknown.state, unknown.reason) == (
        TrialState.FAILED, "its CO₂ is not known, so it cannot be compared",
    )  # fmt: skip
    assert [trial.values for trial in others] == [(0.5, 3.0)] * 3
    assert ended.summary.unknown == 1


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_driver_that_dies_at_any_write_loses_and_doubles_no_trial(
    db: RedisDB, sampler: str, is_after: bool
) -> None:
    space = {"network": {"type": "categorical", "choices": ["small_cnn", "lenet5"]}, **SMALL}
    deaths = 0
    for lives in range(1, 20):
        sweep = start(db, sampler=sampler, space=space, limits={"trials": 4}, pruner="median")
        while not db.sweeps.get(sweep.sweep_id).state.is_final:
            try:
                step(Eventful(db, [lives], die, is_after=is_after), sweep)
            except Died:
                deaths += 1
                step(db, sweep)  # another program goes on
            if db.queue.length():
                train(db)
        found = trials(db, sweep)
        assert [trial.state for trial in found] == [TrialState.COMPLETE] * 4, lives
        assert {trial.run_id for trial in found} == {run.run_id for run in runs_of(db, sweep)}
        if sampler == "grid":
            assert len({repr(trial.params) for trial in found}) == 4
    assert deaths > 20


SMALL = {"nesterov": {"type": "categorical", "choices": [True, False]}}


def test_two_drivers_at_once_tell_each_trial_once(db: RedisDB) -> None:
    sweep = start(db, limits={"trials": 8}, parallel=4)
    both = [Study(db.sweeps, sweep) for _ in range(2)]
    while not db.sweeps.get(sweep.sweep_id).state.is_final:
        threads = [threading.Thread(target=drive_quietly, args=(db, study)) for study in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while db.queue.length():
            train(db)
    found = trials(db, sweep)
    # Both may have asked for the last ones before either saw the other's.
    assert 8 <= len(found) <= 12
    assert {trial.state for trial in found} == {TrialState.COMPLETE}
    assert len(runs_of(db, sweep)) == len(found)


def drive_quietly(db: RedisDB, study: Study) -> None:
    from sweeps.driving import drive

    with suppress(Conflict):
        drive(db, study, validate, lambda: False)


def test_a_driver_that_another_overtakes_at_any_write_queues_no_run_that_is_no_trial(db: RedisDB) -> None:
    overtaken = 0
    for lives in range(1, 20):
        sweep = start(db, limits={"trials": 4}, pruner="median", parallel=2)
        while not db.sweeps.get(sweep.sweep_id).state.is_final:
            try:
                step(Eventful(db, [lives], partial(step, db, sweep)), sweep)
            except Conflict:
                overtaken += 1
            while db.queue.length():
                train(db)
        found = trials(db, sweep)
        assert {trial.state for trial in found} == {TrialState.COMPLETE}, lives
        assert {trial.run_id for trial in found} == {run.run_id for run in runs_of(db, sweep)}
    assert overtaken > 20


def test_a_run_that_was_queued_while_its_sweep_was_stopped_is_cancelled(db: RedisDB) -> None:
    sweep = start(db, limits={"trials": 4}, parallel=1)

    def stop() -> None:
        db.sweeps.steer(sweep.sweep_id, SweepState.STOPPING)
        step(db, sweep)

    # The journal is begun, a trial opened and given its values; the next write queues its run.
    writes = 3 + len(sweep.request.space)
    with pytest.raises(Conflict, match="was stopped by another program"):
        step(Eventful(db, [writes], stop), sweep)
    while not db.sweeps.get(sweep.sweep_id).state.is_final:
        step(db, sweep)
    (run,) = runs_of(db, sweep)
    assert run.status is Status.CANCELLED


def test_a_trial_that_lags_behind_is_pruned_and_what_that_saved_is_estimated(db: RedisDB) -> None:
    sweep = start(db, pruner="median", limits={"trials": 5}, parallel=1)
    for _ in range(4):
        step(db, sweep)
        train(db, accuracy=0.9)
    step(db, sweep)
    lease = claim(db)
    for number in (1, 2):
        db.runs.record_epoch(lease, epoch(number, validation_accuracy=0.01, energy_kwh=0.001, co2_g=2.0))
        step(db, sweep)
    assert db.runs.get(lease.run_id).request == "cancel"
    db.queue.release(lease, reason="stopped")
    run = db.runs.get(lease.run_id)
    assert run.status is Status.CANCELLED
    assert run.status_reason == "pruned by its sweep after epoch 2 of 3: others were better by then"
    step(db, sweep)
    last = trials(db, sweep)[-1]
    assert (last.state, last.co2_g) == (TrialState.PRUNED, 4.0)
    assert last.saved_co2_g == pytest.approx(2.0)
    assert db.sweeps.get(sweep.sweep_id).summary.saved_co2_g == pytest.approx(2.0)


def test_failed_cancelled_and_deleted_runs_are_failed_trials_and_the_sweep_goes_on(db: RedisDB) -> None:
    sweep = start(db, parallel=3)
    step(db, sweep)
    train(db)
    fail(db)
    third = runs_of(db, sweep)[0]
    db.controls.cancel(third.run_id)
    db.controls.delete(third.run_id)
    ended = train_all(db, sweep)
    assert [trial.reason for trial in trials(db, sweep)][1:3] == [
        "the loss is no longer a number", "its run was deleted before its result was read",
    ]  # fmt: skip
    assert ended.state is SweepState.DONE
    assert ended.summary.counts[TrialState.COMPLETE] == 4


def test_a_sweep_whose_first_trials_all_fail_ends_and_says_why(db: RedisDB) -> None:
    sweep = start(db, limits={"trials": 50})
    while not db.sweeps.get(sweep.sweep_id).state.is_final:
        step(db, sweep)
        if db.queue.length():
            fail(db)
    ended = db.sweeps.get(sweep.sweep_id)
    assert ended.state is SweepState.FAILED
    assert ended.summary.trials < 8
    assert "the last one: the loss is no longer a number" in str(ended.reason)


def test_a_budget_that_is_used_up_withdraws_what_waits(db: RedisDB) -> None:
    sweep = start(db, limits={"trials": 50, "co2_g": 5.0})
    step(db, sweep)
    train(db)
    step(db, sweep)
    train(db)
    for _ in range(3):
        step(db, sweep)
    ended = db.sweeps.get(sweep.sweep_id)
    assert (ended.state, ended.reason) == (SweepState.DONE, "6 g of CO₂ are used, and the limit is 5 g")
    assert [trial.state.value for trial in trials(db, sweep)] == ["complete", "complete", "failed"]


def test_a_paused_sweep_begins_nothing_until_it_is_resumed(db: RedisDB) -> None:
    sweep = start(db)
    step(db, sweep)
    lease = claim(db)
    db.sweeps.steer(sweep.sweep_id, SweepState.PAUSED)
    step(db, sweep)
    assert db.queue.length() == 0
    db.queue.finish(lease, Status.FAILED)
    step(db, sweep)
    assert len(trials(db, sweep)) == 2
    db.sweeps.steer(sweep.sweep_id, SweepState.RUNNING)
    step(db, sweep)
    assert db.queue.length() == 2


def test_a_stopped_sweep_cancels_its_trials_and_keeps_what_they_used(db: RedisDB) -> None:
    sweep = start(db)
    step(db, sweep)
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.001, co2_g=2.0, validation_accuracy=0.3))
    db.sweeps.steer(sweep.sweep_id, SweepState.STOPPING)
    step(db, sweep)
    db.queue.release(lease, reason="stopped")
    step(db, sweep)
    ended = db.sweeps.get(sweep.sweep_id)
    assert (ended.state, ended.summary.co2_g) == (SweepState.STOPPED, 2.0)
    assert {run.status_reason for run in runs_of(db, sweep)} == {"stopped with its sweep"}
    with pytest.raises(Conflict, match="has ended"):
        db.sweeps.steer(sweep.sweep_id, SweepState.PAUSED)


def test_a_round_drives_every_sweep_that_has_not_ended(db: RedisDB) -> None:
    first, second = start(db), start(db, seed=1)
    SweepRounds(db, validate).run_round()
    assert len(runs_of(db, first)) == len(runs_of(db, second)) == 2


def test_a_program_that_is_not_the_one_to_drive_drives_nothing(db: RedisDB) -> None:
    start(db)
    assert db.sweeps.lead("another", ttl_s=60)
    rounds = SweepRounds(db, validate)
    rounds.begin()
    rounds.wait(60)
    assert db.queue.length() == 0


def test_a_sweep_that_cannot_be_driven_keeps_no_other_from_it_and_is_ended(db: RedisDB) -> None:
    broken, sound = sorted((start(db), start(db, seed=1)), key=lambda sweep: sweep.sweep_id)
    db.sweeps.append_journal(broken.sweep_id, 0, [{"an entry": "of nobody"}])
    rounds = SweepRounds(db, validate)
    rounds.run_round()
    assert len(runs_of(db, sound)) == 2
    for _ in range(4):
        rounds.run_round()
    ended = db.sweeps.get(broken.sweep_id)
    assert (ended.state, "it cannot be driven: KeyError" in str(ended.reason)) == (SweepState.FAILED, True)
    assert db.sweeps.list_active() == [sound.sweep_id]


def test_a_program_without_the_trainer_of_a_sweep_leaves_it_to_another_one(db: RedisDB, raw: Redis) -> None:
    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise InvalidInput("hyper_params.trainer: there is no 'cnn'.")

    sweep = start(db)
    poor = SweepRounds(db, refuse)
    poor.begin()
    poor.wait(60)
    assert [trial.state for trial in trials(db, sweep)] == [TrialState.RUNNING]
    # When its lead has lapsed, it does not take it again at once.
    raw.delete("lock:sweeps")
    poor.begin()
    poor.wait(60)
    assert db.sweeps.lead("another", ttl_s=60)
    step(db, sweep)
    assert db.queue.length() == 2


def test_a_sweep_is_drawn_anew_when_another_trial_is_complete_and_not_before(db: RedisDB) -> None:
    sweep = start(db)
    views = SweepViews(db)
    for _ in range(2):
        step(db, sweep)
        train(db)
        step(db, sweep)
        drawn = views.draw(sweep.sweep_id)
        assert views.draw(sweep.sweep_id) is drawn
    assert json.loads(drawn.history[0])["data"][0]["x"] == [0, 1]


def test_trials_that_a_limit_has_withdrawn_make_no_sweep_hopeless(db: RedisDB) -> None:
    sweep = start(db, limits={"trials": 20, "co2_g": 1.0}, parallel=6)
    step(db, sweep)
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1, energy_kwh=0.001, co2_g=2.0, validation_accuracy=0.3))
    db.queue.finish(lease, Status.FAILED)
    for _ in range(2):
        step(db, sweep)
    ended = db.sweeps.get(sweep.sweep_id)
    assert (ended.state, ended.reason) == (SweepState.DONE, "2 g of CO₂ are used, and the limit is 1 g")
    assert ended.summary.counts[TrialState.FAILED] == 6


def test_a_sweep_that_waits_for_its_quota_can_be_paused_and_says_how_it_stands(db: RedisDB) -> None:
    db.quotas.put("project", "default", QuotaLimits(waiting_runs=2))
    sweep = start(db, limits={"trials": 6}, parallel=4)
    step(db, sweep)
    assert db.sweeps.get(sweep.sweep_id).summary.trials == 3
    assert db.queue.length() == 2
    db.sweeps.steer(sweep.sweep_id, SweepState.PAUSED)
    step(db, sweep)
    assert db.queue.length() == 0
    db.quotas.put("project", "default", QuotaLimits())
    step(db, sweep)
    assert db.queue.length() == 0
    db.sweeps.steer(sweep.sweep_id, SweepState.RUNNING)
    train_all(db, sweep)
    assert {trial.state for trial in trials(db, sweep)} == {TrialState.COMPLETE}
    assert {trial.run_id for trial in trials(db, sweep)} == {run.run_id for run in runs_of(db, sweep)}
