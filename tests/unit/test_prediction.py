"""Predictions, and how often their intervals hold: on made series, on recorded ones, and on past runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scipy import stats  # type: ignore[import-untyped]

from api.predicting import Past, predict_running, predict_submission
from carbon_aware_trainer.prediction import PastRun, predict_from_past, predict_whole, t_95
from carbon_aware_trainer.records import Intensity
from schema import ExtraCost, Run, Status
from tests.records import epoch, extra

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORDED = Path(__file__).parents[1] / "data" / "epoch_series.json"
USA = Intensity("USA", 400.0, "static", "average", 2023, "a test")


def test_quantiles_are_those_of_students_t() -> None:
    for degrees in (1, 2, 5, 30, 31, 60, 1000):
        assert t_95(degrees) == pytest.approx(stats.t.ppf(0.95, degrees), rel=1e-3)


def test_even_epochs_are_predicted_exactly() -> None:
    found = predict_whole([5.0, 2.0, 2.0, 2.0], num_epochs=10)
    assert found is not None
    assert (found.value, found.low, found.high) == (23.0, 23.0, 23.0)


def test_the_first_epoch_warms_up_and_is_not_in_the_mean() -> None:
    found = predict_whole([9.0, 1.0, 1.2, 0.8], num_epochs=5)
    assert found is not None
    assert found.value == pytest.approx(12.0 + 1.0)
    half = 2.920 * 0.2 * (1 + 1 / 3) ** 0.5
    assert found.high == pytest.approx(13.0 + half)
    assert found.low == pytest.approx(13.0 - half)


@pytest.mark.parametrize("epochs", [[2.0], [5.0, 2.0]])
def test_one_epoch_says_nothing_about_the_spread(epochs: list[float]) -> None:
    found = predict_whole(epochs, num_epochs=10)
    assert found is not None
    assert found.value == pytest.approx(sum(epochs) + (10 - len(epochs)) * 2.0)
    assert (found.low, found.high) == (sum(epochs), None)


def test_before_the_first_epoch_nothing_is_predicted() -> None:
    assert predict_whole([], num_epochs=10) is None


def test_what_an_interrupted_attempt_used_is_added() -> None:
    found = predict_whole([1.0, 1.0, 1.0], num_epochs=3, used=5.0)
    assert found is not None
    assert (found.value, found.low, found.high) == (5.0, 5.0, 5.0)


def test_the_lower_bound_is_at_least_what_is_used() -> None:
    found = predict_whole([1.0, 0.1, 3.0], num_epochs=4)
    assert found is not None
    assert found.low == pytest.approx(4.1)


def share_covered(
    make: Callable[[random.Random], Sequence[float]], *, seen: int, trials: int = 1000
) -> float:
    """How often the interval from the first ``seen`` epochs holds the sum of all."""
    chance = random.Random(7)  # noqa: S311 - a simulation
    held = 0
    for _ in range(trials):
        costs = make(chance)
        found = predict_whole(costs[:seen], num_epochs=len(costs))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= sum(costs) <= found.high
    return held / trials


def independent(chance: random.Random) -> list[float]:
    return [3.0, *(abs(chance.gauss(1.0, 0.1)) for _ in range(39))]


def with_memory(chance: random.Random) -> list[float]:
    deviation, costs = 0.0, [3.0]
    for _ in range(39):
        deviation = 0.5 * deviation + chance.gauss(0, 0.05)
        costs.append(1.0 + deviation)
    return costs


def heavy_tailed(chance: random.Random) -> list[float]:
    return [3.0, *(chance.lognormvariate(0.0, 0.3) for _ in range(39))]


@pytest.mark.parametrize("seen", [3, 5, 10, 20])
def test_the_interval_holds_for_nine_in_ten_series(seen: int) -> None:
    assert 0.87 <= share_covered(independent, seen=seen) <= 0.95


@pytest.mark.parametrize("seen", [5, 10, 20])
@pytest.mark.parametrize("make", [with_memory, heavy_tailed])
def test_the_interval_holds_for_eight_in_ten_less_kind_series(
    make: Callable[[random.Random], Sequence[float]], seen: int
) -> None:
    assert share_covered(make, seen=seen) >= 0.8


def test_past_runs_are_scaled_by_their_work() -> None:
    found = predict_from_past([PastRun(10.0, 5.0), PastRun(44.0, 20.0)], 100.0)
    assert found is not None
    assert found.value == pytest.approx(210.0)
    half = 6.314 * 0.1414214 * 1.5**0.5
    assert (found.low, found.high) == pytest.approx((100 * (2.1 - half), 100 * (2.1 + half)))


def test_one_past_run_says_nothing_about_the_spread_and_none_nothing_at_all() -> None:
    found = predict_from_past([PastRun(10.0, 5.0)], 10.0)
    assert found is not None
    assert (found.value, found.low, found.high) == (20.0, None, None)
    assert predict_from_past([], 10.0) is None
    assert predict_from_past([PastRun(10.0, 0.0)], 10.0) is None


HYPER_PARAMS: dict[str, Any] = {
    "trainer": "cnn",
    "network": "small_cnn",
    "dataset": "digits",
    "batch_size": 64,
    "num_epochs": 10,
}


def done(run_id: str, energy_kwh: float | None, *, epochs: int = 5, **changes: Any) -> Run:
    """A finished run of 1,000 training images on the host h."""
    known: dict[str, Any] = {
        "run_id": run_id,
        "hyper_params": HYPER_PARAMS | {"num_epochs": epochs} | changes.pop("hyper_params", {}),
        "status": Status.DONE,
        "attempt": 1,
        "time_added": NOON,
        "epochs_done": epochs,
        "num_epochs": epochs,
        "energy_kwh": energy_kwh,
        "energy_quality": "measured",
        "duration_s": 10.0 * epochs,
        "environment": {"host": "h", "train_images": 1000, "flops_per_image": 694_784},
    }
    return Run.model_validate(known | changes)


def past(*runs: Run, hosts: frozenset[str] = frozenset({"h"}), extras: Sequence[ExtraCost] = ()) -> Past:
    """Runs that are done; ``extras`` are those of the run a."""
    return Past(runs, hosts, USA, lambda run_id: extras if run_id == "a" else ())


def test_what_a_plan_expects_of_the_grid_counts_before_what_past_runs_had() -> None:
    known = replace(past(done("a", 1.0), done("b", 3.0, epochs=15)), planned_g_per_kwh=150.0)
    found = predict_submission(HYPER_PARAMS, known)
    assert found.co2_g is not None
    assert found.co2_g.value == pytest.approx(2.0 * 150)
    assert "CO₂ with 150 g/kWh, as its plan expects." in found.basis


def test_a_run_is_predicted_from_runs_like_it_on_its_host() -> None:
    other_host = done("c", 50.0, environment={"host": "other", "train_images": 1000})
    found = predict_submission(HYPER_PARAMS, past(done("a", 1.0), done("b", 3.0, epochs=15), other_host))
    assert found.energy_kwh is not None
    assert found.energy_kwh.value == pytest.approx(2.0)
    assert found.co2_g is not None
    assert found.co2_g.value == pytest.approx(800.0)
    assert found.duration_s is not None
    assert found.duration_s.value == pytest.approx(100.0)
    assert found.runs_used == ["a", "b"]
    assert "2 done runs of the same network and dataset, on the host that may take it" in found.basis


def test_held_out_images_are_not_trained() -> None:
    found = predict_submission(HYPER_PARAMS | {"validation_fraction": 0.2}, past(done("a", 1.0)))
    assert found.energy_kwh is not None
    assert found.energy_kwh.value == pytest.approx(1.6)


def test_runs_of_the_same_batch_size_are_preferred_where_there_are_two() -> None:
    large = [done(f"l{number}", 0.5, hyper_params={"batch_size": 512}) for number in range(2)]
    runs = [done("a", 1.0), *large]
    assert predict_submission(HYPER_PARAMS | {"batch_size": 512}, past(*runs)).runs_used == ["l0", "l1"]
    assert predict_submission(HYPER_PARAMS, past(*runs)).runs_used == ["a", "l0", "l1"]


def test_runs_on_as_many_gpus_are_preferred_where_there_are_two() -> None:
    runs = [done(f"g{number}", 9.0, hyper_params={"gpus": 4}) for number in range(2)]
    runs += [done(f"o{number}", 1.0, hyper_params={"gpus": 1}) for number in range(2)]
    assert predict_submission(HYPER_PARAMS | {"gpus": 4}, past(*runs)).runs_used == ["g0", "g1"]


def test_what_a_past_run_used_besides_its_epochs_does_not_grow_with_them() -> None:
    trial = extra(energy_kwh=0.5, duration_s=20.0)
    found = predict_submission(HYPER_PARAMS, past(done("a", 1.5), done("b", 1.0), extras=[trial]))
    assert found.energy_kwh is not None
    assert (found.energy_kwh.value, found.energy_kwh.low) == pytest.approx((2.0, 2.0))
    assert found.duration_s is not None
    assert found.duration_s.value == pytest.approx((30 / 5 + 50 / 5) / 2 * 10)
    assert "without what is used besides them" in found.basis


def test_co2_is_predicted_with_the_intensity_of_the_past_runs_where_it_is_known() -> None:
    def of(zone: str) -> dict[str, Any]:
        facts = {"host": "h", "train_images": 1000, "intensity_zone": zone, "intensity_provider": "static"}
        return {"environment": facts | {"intensity_basis": "average lifecycle"}}

    french = [done("a", 1.0, co2_g=50.0, **of("FRA")), done("b", 1.0, co2_g=60.0, **of("FRA"))]
    found = predict_submission(HYPER_PARAMS, past(*french, done("c", 1.0, co2_g=700.0, **of("POL"))))
    assert found.co2_g is not None
    assert found.co2_g.value == pytest.approx(2.0 * 55)
    assert "55 g/kWh, as of 2 done runs in FRA" in found.basis


def test_an_epoch_that_was_resumed_says_nothing_about_those_to_come() -> None:
    run = done("a", 3.0, status=Status.RUNNING, num_epochs=10, duration_s=103.0)
    epochs = [
        *(epoch(number, energy_kwh=1.0, duration_s=1.0) for number in (1, 2)),
        epoch(3, energy_kwh=0.1, duration_s=100.0, resumed_after_s=99.0),
        epoch(4, energy_kwh=1.0, duration_s=1.0),
    ]
    found = predict_running(run, epochs, NOON)
    assert found is not None
    assert found.energy_kwh is not None
    assert found.duration_s is not None
    assert (found.energy_kwh.value, found.duration_s.value) == pytest.approx((3.0 + 6, 103.0 + 6))
    assert predict_running(run, epochs[2:3], NOON) is None


def test_without_a_run_like_it_the_energy_per_operation_of_its_host_is_taken() -> None:
    wanted = HYPER_PARAMS | {"dataset": "mnist", "num_epochs": 5}
    found = predict_submission(wanted, past(done("a", 1.0)))
    assert found.energy_kwh is not None
    assert found.energy_kwh.value == pytest.approx(60_000 * 8_482_304 / (1000 * 694_784))
    assert "energy per operation of one done run" in found.basis


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [
        (HYPER_PARAMS, ()),
        (HYPER_PARAMS | {"dataset": "mnist"}, (done("a", 1.0, environment={"host": "other"}),)),
        (HYPER_PARAMS, (done("a", 1.0, simulated=True),)),
        (HYPER_PARAMS | {"simulated": True}, (done("a", 1.0),)),
        (HYPER_PARAMS, (done("a", 1.0, attempt=2),)),
        ({"trainer": "script", "script": "b.py", "num_epochs": 3}, (done("a", 1.0),)),
    ],
)
def test_where_no_past_run_fits_it_says_so(wanted: dict[str, Any], runs: tuple[Run, ...]) -> None:
    found = predict_submission(wanted, past(*runs))
    assert (found.energy_kwh, found.co2_g, found.duration_s, found.runs_used) == (None, None, None, [])
    assert "no past run to predict from" in found.basis


def test_a_script_is_predicted_from_runs_of_the_same_script() -> None:
    script: dict[str, Any] = {"trainer": "script", "script": "b.py", "num_epochs": 4, "seed": 1}
    run = done("a", 1.0).model_copy(update={"hyper_params": script | {"seed": 0}})
    found = predict_submission(script | {"num_epochs": 10}, past(run))
    assert found.energy_kwh is not None
    assert found.energy_kwh.value == pytest.approx(2.0)


def test_unknown_energies_of_past_runs_leave_the_duration() -> None:
    found = predict_submission(HYPER_PARAMS, past(done("a", None, energy_quality=None)))
    assert (found.energy_kwh, found.co2_g, found.energy_quality) == (None, None, None)
    assert found.duration_s is not None


def test_a_running_run_is_predicted_from_its_epochs() -> None:
    run = done("a", 3.0, status=Status.RUNNING, num_epochs=10, duration_s=1.5, co2_g=None)
    epochs = [
        epoch(n, energy_kwh=1.0, ended_at=NOON + timedelta(seconds=n), duration_s=0.5) for n in (1, 2, 3)
    ]
    found = predict_running(run, epochs, NOON)
    assert found is not None
    assert found.energy_kwh is not None
    assert found.energy_kwh.value == pytest.approx(10.0)
    assert found.co2_g is None
    assert found.ends_at == NOON + timedelta(seconds=3 + 7 * 0.5)
    assert "7 epochs to come" in found.basis
    assert predict_running(run, [], NOON) is None


def test_the_interval_holds_on_recorded_runs_once_they_have_shown_how_even_they_are() -> None:
    # Recorded while others used the machine too, so an epoch of 0.05 s may take 0.5 s from some moment on. No
    # first epochs know that: 9 of 14 intervals hold after 5 epochs, 13 of 14 after 10 (docs/methods.md).
    recorded: list[dict[str, Any]] = json.loads(RECORDED.read_text())["series"]
    held = {5: 0, 10: 0}
    for series in recorded:
        costs = series["energy_kwh"]
        for seen in held:
            found = predict_whole(costs[:seen], num_epochs=len(costs))
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            held[seen] += found.low <= sum(costs) <= found.high
    assert len(recorded) == 14
    assert held == {5: 9, 10: 13}
