"""What a run comes to and will take, over the real API; and the recomputation of all done runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from backend import create_app
from cli.data_commands import list_done, recompute_all
from client import Client
from errors import ApiRefused
from redis_db import RedisDB
from schema import EpochResult, IntensityValue, PowerPoint, RecomputeRequest, RunOptions, Scalar, Status
from settings import Settings
from tests.acted_run import ActedRun
from tests.records import TORCH_WORKER

FACTS: dict[str, Scalar] = {
    "host": "host",
    "idle_power_w": 100.0,
    "energy_share": 0.5,
    "pue": 1.2,
    "codecarbon_energy_kwh": 0.02,
    "test_images": 1000,
    "train_images": 1437,
    "flops_per_image": 694_784,
    "intensity_zone": "USA",
    "intensity_provider": "static",
    "intensity_basis": "average lifecycle",
}


@pytest.fixture
def client(db: RedisDB, tmp_path: Path) -> Iterator[Client]:
    app = create_app(Settings(data_dir=tmp_path), db)
    with Client("http://localhost:5000", transport=httpx.WSGITransport(app)) as client:
        yield client


def record(db: RedisDB, run: ActedRun, count: int, *, accuracy: float = 0.5) -> None:
    """Record so many epochs of 10 s, 0.01 kWh on a GPU and 0.002 kWh on the CPU, with a PUE of 1.2."""
    db.runs.describe(run.lease, FACTS)
    start = run.lease.run.started_at
    assert start is not None
    for number in range(run.epochs + 1, run.epochs + count + 1):
        db.runs.record_epoch(
            run.lease,
            EpochResult(
                epoch=number,
                train_loss=1.0,
                train_accuracy=0.5,
                test_loss=1.0,
                test_accuracy=accuracy,
                duration_s=10.0,
                energy_kwh=0.0144,
                energy_quality="measured",
                co2_g=5.0,
                intensity_g_per_kwh=5.0 / 0.0144,
                energy_by_source={"gpu:0": 0.01, "cpu": 0.002},
                ended_at=start + timedelta(seconds=10 * number),
            ),
        )
    run.epochs += count


def done(db: RedisDB, epochs: int = 3, *, accuracy: float = 0.5) -> ActedRun:
    run = ActedRun(db, num_epochs=epochs)
    record(db, run, epochs, accuracy=accuracy)
    run.finish()
    return run


def test_a_run_s_account_says_what_its_energy_comes_to(client: Client, db: RedisDB) -> None:
    run = done(db)
    account = client.get_account(run.run_id)
    assert account.energy_by_source == pytest.approx({"gpu:0": 0.03, "cpu": 0.006})
    assert account.above_idle_kwh == pytest.approx(0.0432 - 100 * 0.5 * 1.2 * 30 / 3.6e6)
    assert account.g_per_correct == pytest.approx(15 / 500)
    assert account.accuracy_per_kwh == pytest.approx(0.5 / 0.0432)
    assert account.codecarbon_energy_kwh == 0.02
    assert account.error_share == pytest.approx(0.2 / 30)
    assert "±0.02 of its shortest epoch" in (account.error_reason or "")
    assert [round(found.amount, 3) for found in account.equivalents] == [0.061, 1.21]
    assert (account.baseline, account.prediction) == (None, None)


def test_a_run_whose_machine_said_little_has_reasons_instead_of_figures(client: Client, db: RedisDB) -> None:
    run = ActedRun(db, num_epochs=3)
    run.record(1)
    account = client.get_account(run.run_id)
    assert account.above_idle_kwh is None
    assert "idle power" in (account.above_idle_reason or "")
    assert (account.energy_by_source, account.g_per_correct, account.test_images) == (None, None, None)
    assert account.error_share == 0.4


def test_a_run_is_compared_with_the_median_of_its_dataset(client: Client, db: RedisDB) -> None:
    for accuracy in (0.6, 0.8, 0.7):
        done(db, accuracy=accuracy)
    simulated = ActedRun(db, num_epochs=1, simulated=True)
    simulated.record(1, quality="simulated")
    simulated.finish()
    baseline = client.get_account(done(db, 6).run_id).baseline
    assert baseline is not None
    assert (baseline.runs, baseline.accuracy) == (3, 0.7)
    assert (baseline.energy_kwh, baseline.co2_g) == pytest.approx((0.0432, 15))
    assert client.get_account(simulated.run_id).baseline is None


def test_co2_on_another_basis_is_not_compared(client: Client, db: RedisDB) -> None:
    other = done(db)
    value = IntensityValue(start=db.now() - timedelta(1), end=db.now() + timedelta(1), g_per_kwh=100)
    request = RecomputeRequest(zone="USA", provider="grid", basis="average lifecycle", values=[value])
    assert client.recompute(other.run_id, request).co2_g == pytest.approx(4.32)
    baseline = client.get_account(done(db).run_id).baseline
    assert baseline is not None
    assert baseline.co2_g is None
    assert baseline.energy_kwh == pytest.approx(0.0432)


def test_a_running_run_is_predicted_until_it_ends(client: Client, db: RedisDB) -> None:
    run = ActedRun(db, num_epochs=10)
    assert client.get_account(run.run_id).prediction is None
    record(db, run, 4)
    predicted = client.get_account(run.run_id).prediction
    assert predicted is not None
    assert predicted.energy_kwh is not None
    assert predicted.energy_kwh.value == pytest.approx(0.144)
    assert predicted.ends_at is not None
    run.finish()
    assert client.get_account(run.run_id).prediction is None


def test_a_run_is_predicted_from_past_ones_before_it_is_queued(client: Client, db: RedisDB) -> None:
    db.workers.beat(TORCH_WORKER, ttl_s=60)
    past = done(db)
    predicted = client.predict({"dataset": "digits", "num_epochs": 6}, RunOptions())
    assert predicted.runs_used == [past.run_id]
    assert predicted.energy_kwh is not None
    assert predicted.energy_kwh.value == pytest.approx(0.0864)
    assert "on the host that may take it" in predicted.basis
    elsewhere = client.predict({"dataset": "digits", "num_epochs": 6}, RunOptions(queue="elsewhere"))
    assert "on other hosts" in elsewhere.basis
    assert client.list_runs().total == 1


def test_a_run_that_could_not_be_queued_is_not_predicted_either(client: Client) -> None:
    with pytest.raises(ApiRefused) as refused:
        client.predict({"learning_rate": -1})
    assert refused.value.status == 422
    assert refused.value.details[0].field == "hyper_params.learning_rate"


def test_without_past_runs_a_prediction_says_so(client: Client) -> None:
    predicted = client.predict({"dataset": "digits"})
    assert (predicted.energy_kwh, predicted.runs_used) == (None, [])
    assert "no past run to predict from" in predicted.basis


def test_power_over_time_is_answered_as_it_was_logged(client: Client, db: RedisDB) -> None:
    run = ActedRun(db)
    assert client.list_power(run.run_id).points == ()
    points = [PowerPoint(at=db.now(), power_w={"gpu:0": 250.0, "cpu": 50.0})]
    db.power.append(run.lease, points, interval_s=1.0)
    (found,) = client.list_power(run.run_id).points
    assert found.power_w == {"gpu:0": 250.0, "cpu": 50.0}


def test_power_says_when_within_an_epoch_its_energy_was_used(client: Client, db: RedisDB) -> None:
    run = ActedRun(db, num_epochs=1)
    record(db, run, 1)
    end = db.runs.list_epochs(run.run_id)[0].ended_at
    assert end is not None
    points = [
        PowerPoint(at=end - timedelta(seconds=after), power_w={"gpu:0": w})
        for after, w in ((5, 300), (0, 100))
    ]
    db.power.append(run.lease, points, interval_s=5.0)
    run.finish()
    values = [
        IntensityValue(start=end - timedelta(seconds=60), end=end - timedelta(seconds=5), g_per_kwh=100),
        IntensityValue(start=end - timedelta(seconds=5), end=end, g_per_kwh=500),
    ]
    request = RecomputeRequest(zone="USA", provider="grid", basis="average lifecycle", values=values)
    assert client.recompute(run.run_id, request).co2_g == pytest.approx(0.0144 * (0.75 * 100 + 0.25 * 500))


def test_all_done_runs_are_recomputed_once(
    client: Client, db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        done(db)
    running = ActedRun(db)
    record(db, running, 1)
    assert recompute_all(client, list_done(client)) == 0
    assert "3 done runs: 3 changed, 0 as they were, 0 refused" in capsys.readouterr().out
    assert recompute_all(client, list_done(client)) == 0
    assert "3 done runs: 0 changed, 3 as they were, 0 refused" in capsys.readouterr().out
    runs = db.runs.list(status=Status.DONE).runs
    assert [run.co2_g for run in runs] == [pytest.approx(0.0432 * 369.473, rel=1e-4)] * 3
    assert db.runs.get(running.run_id).co2_g == 5.0


def test_a_run_that_cannot_be_recomputed_does_not_stop_the_others(
    client: Client, db: RedisDB, capsys: pytest.CaptureFixture[str]
) -> None:
    marginal = ActedRun(db, num_epochs=1)
    record(db, marginal, 1)
    db.runs.describe(marginal.lease, {"intensity_basis": "marginal direct"})
    marginal.finish()
    done(db)
    assert recompute_all(client, list_done(client)) == 1
    printed = capsys.readouterr()
    assert "not recomputed" in printed.err
    assert "2 done runs: 1 changed, 0 as they were, 1 refused" in printed.out
