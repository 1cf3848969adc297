"""The batch size that a run's first attempt has chosen is that of all its attempts."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from pydantic import JsonValue

from redis_db import RedisDB
from schema import Status
from tests.fault.test_resume import weights_of, without_costs
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow

HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "lenet5", "num_epochs": 60, "batch_size": "auto",
}  # fmt: skip


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_resumed_run_keeps_its_batch_size_and_ends_with_the_bits_of_one_that_names_it(
    store: RedisDB, programs: Programs, tmp_path: Path, kind: signal.Signals
) -> None:
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    victim = programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).epochs_done >= 1, timeout_s=60)
    victim.send_signal(kind)
    victim.wait()
    first = store.runs.get(run_id).environment
    programs.start_worker(lease_s=0.5)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=120)

    run = store.runs.get(run_id)
    assert run.attempt == 2
    assert run.environment["resume"] == "exact"
    assert [cost.attempt for cost in store.accounts.list_extras(run_id) if cost.name == "batch_trial"] == [1]
    facts = ("chosen_batch_size", "scaled_learning_rate", "batch_trial", "batch_trial_s")
    assert [run.environment[name] for name in facts] == [first[name] for name in facts]
    lines = [line.text for line in store.log.list(run_id)]
    assert sum(line.startswith("batch size 32: ") for line in lines) == 1

    named = {
        "batch_size": run.environment["chosen_batch_size"],
        "learning_rate": run.environment["scaled_learning_rate"],
    }
    by_hand = store.queue.submit({**HYPER_PARAMS, **named}).run_id
    wait_until(lambda: store.runs.get(by_hand).status is Status.DONE, timeout_s=120)
    assert without_costs(store.runs.list_epochs(run_id)) == without_costs(store.runs.list_epochs(by_hand))
    mine, theirs = weights_of(tmp_path / "data", run_id), weights_of(tmp_path / "data", by_hand)
    assert all(mine[name].equal(value) for name, value in theirs.items())


def test_the_worker_s_meter_tells_the_joules_of_every_size_and_their_sum_is_the_run_s(
    store: RedisDB, programs: Programs
) -> None:
    run_id = store.queue.submit({**HYPER_PARAMS, "num_epochs": 1}).run_id
    assert programs.start_worker("--burst").wait(60) == 0

    run = store.runs.get(run_id)
    environment = run.environment
    (epoch,) = store.runs.list_epochs(run_id)
    trial_kwh = environment["batch_trial_energy_kwh"]
    assert isinstance(trial_kwh, float)
    assert trial_kwh > 0
    rest_kwh = environment["rest_energy_kwh"]
    assert isinstance(rest_kwh, float)
    assert run.energy_kwh == pytest.approx(trial_kwh + (epoch.energy_kwh or 0) + rest_kwh)
    assert environment["batch_trial_by"] == "joules"
    joules = re.findall(r"(\d+): [0-9.e-]+ ms, ([0-9.e-]+) mJ", str(environment["batch_trial"]))
    assert [int(size) for size, _ in joules][:2] == [32, 64]
    assert all(float(millijoules) > 0 for _, millijoules in joules)


def test_a_worker_that_is_stopped_while_sizes_are_tried_puts_the_run_back(
    store: RedisDB, programs: Programs
) -> None:
    run_id = store.queue.submit(HYPER_PARAMS).run_id
    worker = programs.start_worker()
    wait_until(lambda: any(line.text.startswith("batch size 32: ") for line in store.log.list(run_id)))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    run = store.runs.get(run_id)
    assert run.status is Status.WAITING
    assert run.failures == 0
    assert "chosen_batch_size" not in run.environment
    assert run.energy_kwh
    extras = {cost.name: cost.energy_kwh or 0.0 for cost in store.accounts.list_extras(run_id)}
    assert extras["batch_trial"] > 0
    assert run.energy_kwh == pytest.approx(sum(extras.values()))
