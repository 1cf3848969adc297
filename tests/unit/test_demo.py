"""The simulated trainer: the same figures every time, plausible ones, labelled, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from errors import InvalidInput, TrainingFailed
from schema import EpochResult, TrainingContext
from tests.unit.test_loop import RecordingControl, drain
from trainers import get_trainer, validate_hyper_params
from trainers.demo import NETWORKS, DemoHyperParams, simulate, train_demo
from trainers.params import NetworkName

ROOT = Path(__file__).resolve().parents[2]


class Deaf(RecordingControl):
    """A Control that lets a trainer log."""

    def log(self, text: str) -> None:
        pass


def hyper_params(**raw: object) -> DemoHyperParams:
    made = validate_hyper_params(
        {"demo": True, "dataset": "digits", **raw}, datasets_dir=Path("nowhere"), default_dataset=None
    )
    assert isinstance(made, DemoHyperParams)
    return made


def last(**raw: object) -> EpochResult:
    return list(simulate(hyper_params(**raw)))[-1]


def test_the_switch_selects_the_trainer_and_labels_the_run() -> None:
    made = hyper_params(trainer="cnn", network="resnet9")

    assert (made.trainer, made.network, made.simulated) == ("demo", "resnet9", True)
    assert get_trainer("demo").is_simulated
    assert not get_trainer("cnn").is_simulated


def test_the_switch_in_its_off_position_changes_nothing() -> None:
    made = validate_hyper_params(
        {"demo": False, "dataset": "digits"}, datasets_dir=Path("nowhere"), default_dataset=None
    )
    assert made.trainer == "cnn"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"demo": "yes"}, "hyper_params.demo"),
        ({"demo": 1}, "hyper_params.demo"),
        ({"demo": True, "trainer": "script"}, "hyper_params.demo"),
        ({"trainer": "demo", "simulated": False}, "hyper_params.simulated"),
        ({"trainer": "cnn", "simulated": True}, "hyper_params.simulated"),
    ],
)
def test_neither_the_switch_nor_the_label_can_be_bent(raw: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        validate_hyper_params(raw, datasets_dir=Path("nowhere"), default_dataset=None)
    assert [detail.field for detail in refused.value.details] == [field]


def test_the_same_hyper_params_give_the_same_figures_in_another_process() -> None:
    script = (
        "from tests.unit.test_demo import hyper_params, simulate\n"
        "print([result.model_dump() for result in simulate(hyper_params(num_epochs=3, seed=7))])"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    here = [result.model_dump() for result in simulate(hyper_params(num_epochs=3, seed=7))]
    assert other.stdout.strip() == str(here)


def test_another_seed_gives_other_figures_and_more_epochs_continue_the_same_run() -> None:
    short = [result.test_accuracy for result in simulate(hyper_params(num_epochs=5))]
    longer = [result.test_accuracy for result in simulate(hyper_params(num_epochs=9))]

    assert longer[:5] == short
    assert [result.test_accuracy for result in simulate(hyper_params(num_epochs=5, seed=1))] != short


def test_curves_rise_and_depend_on_what_is_trained() -> None:
    results = list(simulate(hyper_params(num_epochs=30)))

    assert [result.epoch for result in results] == list(range(1, 31))
    assert results[-1].test_accuracy > results[0].test_accuracy + 0.2
    assert results[-1].train_loss < results[0].train_loss
    assert last(dataset="cifar100").test_accuracy < last(dataset="cifar10").test_accuracy
    assert (
        last(dataset="cifar10", network="small_cnn").test_accuracy
        < last(dataset="cifar10", network="resnet9").test_accuracy
    )
    assert last(learning_rate=0.05).test_accuracy < last(learning_rate=0.002).test_accuracy
    assert last(optimizer="sgd", learning_rate=0.05).test_accuracy > 0.9


def test_every_network_has_a_behaviour_of_its_own() -> None:
    assert set(NETWORKS) == set(get_args(NetworkName))
    assert len({tuple(network) for network in NETWORKS.values()}) == len(NETWORKS)


def test_the_energy_is_marked_as_invented() -> None:
    results = list(simulate(hyper_params(num_epochs=3)))

    assert {result.energy_quality for result in results} == {"simulated"}
    assert all(result.energy_kwh and result.co2_g is None for result in results)


def test_a_learning_rate_far_too_high_fails_as_it_would_in_truth() -> None:
    with pytest.raises(TrainingFailed, match=r"Simulated: .* learning_rate 5\b"):
        list(simulate(hyper_params(learning_rate=5.0)))


def test_any_number_of_epochs_takes_seconds() -> None:
    assert sum(result.duration_s for result in simulate(hyper_params(num_epochs=2_000))) < 10


def test_a_validation_part_adds_figures_and_changes_no_other() -> None:
    plain = list(simulate(hyper_params(num_epochs=3)))
    with_part = list(simulate(hyper_params(num_epochs=3, validation_fraction=0.2)))

    assert {result.validation_accuracy for result in plain} == {None}
    assert all(result.validation_accuracy and result.validation_loss for result in with_part)


def test_a_target_accuracy_and_early_stopping_end_a_simulated_run_with_the_reason() -> None:
    for fields, reason in (({"target_accuracy": 0.3}, "Target reached"), ({"patience": 1}, "Stopped early")):
        wanted = hyper_params(num_epochs=400, validation_fraction=0.2, **fields)
        context = TrainingContext(datasets_dir=Path("nowhere"), device="cpu", control=Deaf())
        results, told = drain(train_demo(wanted, context))
        assert reason in (told or "")
        assert len(results) < 400
