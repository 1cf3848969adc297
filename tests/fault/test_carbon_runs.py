"""Runs that follow the grid, end to end: backend and workers as processes, a grid whose hours last 2 s."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue
from safetensors.torch import load_file

from client import Client
from errors import ApiUnavailable
from redis_db import RedisDB
from schema import CarbonOptions, Run, RunOptions, Status
from tests.grid import STEP_S, slot_of, write_replay
from tests.programs import Programs, wait_until
from trainers.saved_models import MODEL_FILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # three trainings, on a machine that may be busy

DIRTY, CLEAN = 600.0, 50.0
HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw",
    "learning_rate": 0.002, "num_epochs": 12, "batch_size": 32, "seed": 3,
}  # fmt: skip
FOREVER = 3_000.0
# Several slots, also when the machine gets four times as fast meanwhile.
TRAIN_S = 16.0


class Place:
    """A backend and the file its intensities are from."""

    def __init__(self, programs: Programs, data_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.programs = programs
        self.data_dir = data_dir
        self.file = data_dir / "grid.json"
        self.set_grid({"DE": [(FOREVER, DIRTY)], "FR": [(FOREVER, DIRTY)]})
        self.settings = {
            "carbon_model": "cached", "carbon_file": self.file, "carbon_stale_s": 8, "zone": "DE",
            "lease_s": 3, "port": port,
        }  # fmt: skip
        programs.start("backend.py", **self.settings)
        self.client = Client(f"http://127.0.0.1:{port}", timeout_s=20)
        wait_until(self._is_up, what="the backend answers")

    def set_grid(self, zones: dict[str, Sequence[tuple[float, float]]]) -> datetime:
        """Let the grid be that from the present slot on; returns when that began."""
        start = slot_of(datetime.now(UTC))
        write_replay(self.file, zones, start=start)
        return start

    def start_worker(self, *arguments: str, zone: str = "DE") -> None:
        self.programs.start_worker(*arguments, **{**self.settings, "zone": zone})

    def train_undisturbed(self, **changes: JsonValue) -> Run:
        """Train without a plan: what later runs are estimated from, and compared with."""
        iid = self.client.submit({**HYPER_PARAMS, **changes}).iid
        return self.wait_for_end(iid)

    def train_for(self, seconds: float) -> Run:
        """Train undisturbed for about so long, however fast this machine is now."""
        probe = self.train_undisturbed()
        epoch_s = (probe.duration_s or 1.0) / probe.epochs_done
        return self.train_undisturbed(num_epochs=max(12, math.ceil(seconds / epoch_s)))

    def wait_for_end(self, iid: str) -> Run:
        wait_until(lambda: self.client.get_run(iid).status.is_final, timeout_s=240, what="the run has ended")
        run = self.client.get_run(iid)
        assert run.status is Status.DONE, run.status_line
        return run

    def weights_of(self, iid: str) -> dict[str, torch.Tensor]:
        weights: dict[str, torch.Tensor] = load_file(self.data_dir / "models" / iid / "last" / MODEL_FILE)
        return weights

    def log_of(self, iid: str) -> str:
        return "\n".join(line.text for line in self.client.list_log(iid).lines)

    def _is_up(self) -> bool:
        try:
            return self.client.get_health().status == "ok"
        except ApiUnavailable:
            return False


@pytest.fixture
def place(programs: Programs, tmp_path: Path) -> Iterator[Place]:
    found = Place(programs, tmp_path / "data")
    yield found
    found.client.close()


def submit(place: Place, *, num_epochs: int = 12, **carbon: object) -> str:
    options = RunOptions(carbon=CarbonOptions.model_validate(carbon))
    return place.client.submit({**HYPER_PARAMS, "num_epochs": num_epochs}, options).iid


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
    iid = submit(place, num_epochs=undisturbed.epochs_done, deadline=deadline)

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
    """The realised saving is in the API, of the run and of its week."""
    wait_until(lambda: place.client.get_run(iid).carbon_outcome is not None, what="an outcome")
    outcome = place.client.get_run(iid).carbon_outcome
    assert outcome is not None
    assert outcome.reason is None
    assert outcome.saved_g is not None
    assert outcome.run_now_co2_g is not None
    assert outcome.co2_g is not None
    assert outcome.saved_g > 0.2 * outcome.run_now_co2_g
    assert outcome.pauses >= 1
    assert outcome.paused_s > 0
    week = place.client.list_savings(weeks=1).weeks[0]
    assert week.runs == 1
    assert week.saved_g == pytest.approx(outcome.saved_g, rel=1e-4)


def test_without_intensities_a_run_starts_at_once_and_says_why(place: Place) -> None:
    place.set_grid({"DE": [(FOREVER, DIRTY)]})
    place.file.unlink()
    iid = submit(place)
    run = place.client.get_run(iid)
    assert run.status is Status.WAITING
    assert "nothing can be planned" in (run.status_reason or "")
    place.start_worker("--burst")
    place.wait_for_end(iid)
    assert "nothing can be planned" in place.log_of(iid)


def test_a_deferred_run_starts_when_nothing_is_known_any_more(place: Place) -> None:
    place.start_worker()
    place.train_undisturbed()
    place.set_grid({"DE": [(1000, DIRTY), (FOREVER, CLEAN)]})
    iid = submit(place, max_delay_h=1)
    assert place.client.get_run(iid).status is Status.DEFERRED

    place.file.unlink()

    place.wait_for_end(iid)
    assert "nothing can be planned" in place.log_of(iid)


def test_run_now_overrides_the_plan(place: Place) -> None:
    place.start_worker()
    place.train_undisturbed()
    place.set_grid({"DE": [(1000, DIRTY), (FOREVER, CLEAN)]})
    iid = submit(place, max_delay_h=1)
    assert place.client.get_run(iid).status is Status.DEFERRED

    run = place.client.run_now(iid)

    assert run.carbon is not None
    assert run.carbon.is_override
    assert place.wait_for_end(iid).attempt == 1


def test_a_run_moves_to_the_zone_that_has_become_cleaner(place: Place) -> None:
    place.start_worker(zone="DE")
    undisturbed = place.train_for(TRAIN_S)
    place.start_worker(zone="FR")
    wait_until(lambda: len(place.client.list_workers().workers) == 2, what="two workers")
    zones = {worker.worker_id: worker.zone for worker in place.client.list_workers().workers}
    place.set_grid({"DE": [(FOREVER, CLEAN)], "FR": [(FOREVER, DIRTY)]})
    iid = submit(place, num_epochs=undisturbed.epochs_done, zones=("DE", "FR"), max_delay_h=0.05)
    wait_until(lambda: place.client.get_run(iid).epochs_done >= 1, what="an epoch in the first zone")

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
    wait_until(lambda: place.client.get_run(iid).carbon_outcome is not None, what="an outcome")
    outcome = place.client.get_run(iid).carbon_outcome
    assert outcome is not None
    assert (outcome.zone, outcome.reason) == ("DE, FR", None)


def test_the_store_knows_every_decision(place: Place, store: RedisDB) -> None:
    place.start_worker()
    place.train_undisturbed()
    place.set_grid({"DE": [(8, DIRTY), (FOREVER, CLEAN)]})
    iid = submit(place, max_delay_h=0.05)
    place.wait_for_end(iid)
    decisions = [event for event in store.events.list() if event.run_id == iid and event.kind == "replanned"]
    lines = [line for line in place.client.list_log(iid).lines if " in DE: " in line.text]
    assert len(lines) >= len(decisions) >= 1
