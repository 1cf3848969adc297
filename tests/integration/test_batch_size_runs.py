"""Whole runs whose batch size is tried out first."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import TrainingFailed
from schema import TrainingContext
from tests.integration.test_trainers import CollectingControl, run
from tests.integration.test_trainers_alone import run as run_alone
from tests.integration.test_training_runs import put_cifar
from trainers.checkpoints import open_checkpoints
from trainers.cnn import train_cnn
from trainers.params import CnnHyperParams


def test_a_run_that_died_in_its_first_epoch_does_not_choose_again(tmp_path: Path) -> None:
    dataset = put_cifar(tmp_path, "cifar10")
    hyper_params = CnnHyperParams(dataset="cifar10", batch_size="auto", num_epochs=2)
    controls = (CollectingControl(), CollectingControl())
    first, second = (
        TrainingContext(tmp_path, "cpu", control, checkpoints=open_checkpoints(str(tmp_path / "kept"), "a"))
        for control in controls
    )
    epochs = train_cnn(hyper_params, first, datasets={"cifar10": dataset})
    next(epochs)
    epochs.close()  # before the epoch's checkpoint

    results = list(train_cnn(hyper_params, second, datasets={"cifar10": dataset}))

    assert [result.epoch for result in results] == [1, 2]
    assert controls[0].facts["chosen_batch_size"] == 32
    assert "chosen_batch_size" not in controls[1].facts
    assert controls[1].facts["resume"] == "exact"
    assert "resumes in epoch 1 after 0 steps" in controls[1].lines


def test_sizes_that_leave_an_epoch_eight_steps_are_tried(tmp_path: Path) -> None:
    control = CollectingControl()
    run(tmp_path, control, dataset="fake", network="lenet5", batch_size="auto", num_epochs=1)
    sizes = [line.split(":")[0] for line in control.lines if "ms, energy unknown per image" in line]
    assert sizes == ["batch size 32", "batch size 64", "batch size 128"]  # 2,000 images: 8 steps of 250
    assert control.facts["chosen_batch_size"] in (32, 64, 128)


def test_where_no_batch_fits_the_run_fails_and_says_so(tmp_path: Path) -> None:
    hyper_params = CnnHyperParams(dataset="cifar10", batch_size="auto")
    context = TrainingContext(tmp_path, "cpu", CollectingControl())
    datasets = {"cifar10": put_cifar(tmp_path, "cifar10")}
    with pytest.raises(
        TrainingFailed, match="memory is too small for small_cnn with batch_size 2: A step takes"
    ):
        list(train_cnn(hyper_params, context, datasets=datasets, step_limit_bytes=1))


def test_alone_the_bar_waits_for_the_batch_size(tmp_path: Path) -> None:
    ended = run_alone(
        tmp_path, '{"dataset": "digits", "num_epochs": 1, "batch_size": "auto"}', "--device", "cpu"
    )
    assert ended.returncode == 0, ended.stderr
    assert "chosen_batch_size" in ended.stdout
    assert "epoch 1/1  train loss" in ended.stdout


def test_a_simulated_run_takes_auto_as_it_takes_a_number(tmp_path: Path) -> None:
    control = CollectingControl()
    (result,) = run(tmp_path, control, trainer="demo", num_epochs=1, batch_size="auto")
    assert result.energy_quality == "simulated"
    assert not any("batch size" in line for line in control.lines)
