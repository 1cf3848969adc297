"""Runs that follow the grid, end to end: backend and workers as processes, a grid whose hours last 2 s."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from schema import Run, Status
from tests.carbon_place import CLEAN, DIRTY, FOREVER, Place
from tests.grid import STEP_S
from tests.programs import Programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # three trainings, on a machine that may be busy

# Several slots, also when the machine gets four times as fast meanwhile.
TRAIN_S = 16.0


@pytest.fixture
def place(programs: Programs, tmp_path: Path) -> Iterator[Place]:
    found = Place(programs, tmp_path / "data")
    yield found
    found.client.close()


def length_of(run: Run) -> float:
    assert run.started_at is not None
    assert run.ended_at is not None
    return (run.ended_at - run.started_at).total_seconds()


def test_a_run_waits_for_clean_hours_pauses_in_dirty_ones_and_is_done_in_time(place: Place) -> None:
    place.start_worker()
    undisturbed = place.train_for(TRAIN_S)
    length_s = length_of(undisturbed)
    start_s = length_s - (undisturbed.duration_s or 0.0)

    first_dirty_s = length_s + 4  # so that the run at once would have had no clean hour
    first_clean_s, pause_s = start_s + TRAIN_S / 4, 2 * start_s + 12
    phases = [(first_dirty_s, DIRTY), (first_clean_s, CLEAN), (pause_s, DIRTY), (FOREVER, CLEAN)]
    began = place.set_grid({"DE": phases})
    clean_again_s = first_dirty_s + first_clean_s + pause_s
    deadline = began + timedelta(seconds=clean_again_s + 3 * length_s + 60)
    iid = place.submit(num_epochs=undisturbed.epochs_done, deadline=deadline)

    waiting = place.client.get_run(iid)
    assert waiting.status is Status.DEFERRED, place.log_of(iid)
    assert waiting.carbon is not None
    assert waiting.carbon.saving > 0.3
    assert "less than" in waiting.status_line
    run = place.wait_for_end(iid)

    attempts = place.client.list_epochs(iid).attempts
    assert attempts[0].end_reason == "postponed", place.log_of(iid)
    assert attempts[0].started_at >= began + timedelta(seconds=first_dirty_s - STEP_S)
    assert len(attempts) >= 2
    assert run.ended_at is not None
    assert run.ended_at <= deadline
    paused, whole = place.weights_of(iid), place.weights_of(undisturbed.run_id)
    assert paused.keys() == whole.keys()
    assert all(torch.equal(paused[name], whole[name]) for name in whole)
    check_outcome(place, iid)
    log = place.log_of(iid)
    for said in ("Waits until", "Paused until", "Goes on in DE"):
        assert said in log, log


def check_outcome(place: Place, iid: str) -> None:
    """The realised saving is in the API, of the run and of its week, and there is one figure of its CO2."""
    place.wait(lambda: place.client.get_run(iid).carbon_outcome is not None, what="an outcome")
    outcome = place.client.get_run(iid).carbon_outcome
    assert outcome is not None
    assert outcome.reason is None
    assert outcome.saved_g is not None
    assert outcome.run_now_co2_g is not None
    assert outcome.co2_g is not None
    assert outcome.saved_g > 0.2 * outcome.run_now_co2_g
    run = place.client.get_run(iid)
    assert run.co2_g == pytest.approx(outcome.co2_g, rel=1e-5)
    assert run.environment["intensity_provider"] == "cached"
    epochs = place.client.list_epochs(iid)
    assert sum(attempt.co2_g or 0.0 for attempt in epochs.attempts) == pytest.approx(run.co2_g, rel=1e-5)
    assert {epoch.intensity_g_per_kwh for epoch in epochs.epochs} >= {CLEAN}
    assert outcome.pauses >= 1
    assert outcome.paused_s > 0
    week = place.client.list_savings(weeks=1).weeks[0]
    assert week.runs == 1
    assert week.saved_g == pytest.approx(outcome.saved_g, rel=1e-4)


def test_without_intensities_a_run_starts_at_once_and_says_why(place: Place) -> None:
    place.set_grid({"DE": [(FOREVER, DIRTY)]})
    place.file.unlink()
    iid = place.submit(num_epochs=2)
    run = place.client.get_run(iid)
    assert run.status is Status.WAITING
    assert "nothing can be planned" in (run.status_reason or "")
    place.start_worker("--burst")
    place.wait_for_end(iid)
    assert "nothing can be planned" in place.log_of(iid)


def test_a_run_moves_to_the_zone_that_has_become_cleaner(place: Place) -> None:
    place.start_worker(zone="DE")
    undisturbed = place.train_for(TRAIN_S)
    place.start_worker(zone="FR")
    place.wait(lambda: len(place.client.list_workers().workers) == 2, what="two workers")
    zones = {worker.worker_id: worker.zone for worker in place.client.list_workers().workers}
    place.set_grid({"DE": [(FOREVER, CLEAN)], "FR": [(FOREVER, DIRTY)]})
    iid = place.submit(num_epochs=undisturbed.epochs_done, zones=("DE", "FR"), max_delay_h=0.05)
    place.wait(lambda: place.client.get_run(iid).epochs_done >= 1, what="an epoch in the first zone")

    place.set_grid({"DE": [(FOREVER, DIRTY)], "FR": [(FOREVER, CLEAN)]})
    run = place.wait_for_end(iid)

    attempts = place.client.list_epochs(iid).attempts
    assert [zones[attempt.worker] for attempt in attempts] == ["DE", "FR"], place.log_of(iid)
    assert attempts[0].end_reason in ("postponed", "preempted")
    assert "Moves from DE to FR" in place.log_of(iid)
    assert run.carbon is not None
    assert [stay.zone for stay in run.carbon.stays] == ["DE"]
    whole, moved = place.weights_of(undisturbed.run_id), place.weights_of(iid)
    assert all(torch.equal(moved[name], whole[name]) for name in whole)
    place.wait(lambda: place.client.get_run(iid).carbon_outcome is not None, what="an outcome")
    outcome = place.client.get_run(iid).carbon_outcome
    assert outcome is not None
    assert (outcome.zone, outcome.reason) == ("DE, FR", None)
    assert place.client.get_run(iid).co2_g == pytest.approx(outcome.co2_g, rel=1e-5)
