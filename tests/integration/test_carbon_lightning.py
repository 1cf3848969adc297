"""The callback in real Lightning trainings."""
# ruff: noqa: E402 - Lightning imports torchvision, which does not load by itself over a CPU-only torch

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainers.torchvision_cpu import declare_operators

declare_operators()

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.taking import StateChange
from carbon_aware_trainer.errors import BasesMixed, CarbonError, UnknownZone
from carbon_aware_trainer.integrations.lightning import CarbonAwareCallback
from tests.carbon_parts import Clock, SteadyGauge, write_grid

pytestmark = [
    # one process on two cores is meant; Lightning advises workers for loading
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # torch deprecates a call that Lightning 2.6 still makes
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    # the callback that wrote a checkpoint is not needed to read it
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint"),
]


class Classifier(pl.LightningModule):
    """Six minutes a batch."""

    def __init__(self, clock: Clock, *, fails_at: int | None = None) -> None:
        super().__init__()
        self.layer, self.clock, self.fails_at = nn.Linear(8, 3), clock, fails_at
        self.began_at = list[float]()

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        if len(self.began_at) == self.fails_at:
            raise RuntimeError("The disk is full.")
        self.began_at.append(self.clock.monotonic_ns() / 1e9 / 60)
        inputs, targets = batch
        self.clock.pass_by(360)
        return nn.functional.cross_entropy(self.layer(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(count: int = 5) -> torch.utils.data.DataLoader[Any]:
    inputs = torch.randn(count * 4, 8, generator=torch.Generator().manual_seed(1))
    data = torch.utils.data.TensorDataset(inputs, inputs[:, :3].argmax(1))
    return torch.utils.data.DataLoader(data, batch_size=4)


def callback(path: Path, hours: list[float | None], clock: Clock, **options: Any) -> CarbonAwareCallback:
    given: dict[str, Any] = {"gauge": SteadyGauge(), "clock": clock, "pause_threshold": 150.0, **options}
    file = write_grid(path / "grid.json", hours)
    return CarbonAwareCallback(regions=["US-CA", "DE"], carbon_model="cached", api_key=file, **given)


def fit(
    path: Path, model: Classifier, *callbacks: pl.Callback, epochs: int = 2, resume: Path | None = None,
    logger: Any = False,
) -> pl.Trainer:  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, callbacks=list(callbacks), logger=logger,
        default_root_dir=path, enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
        enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
    )  # fmt: skip
    trainer.fit(model, loader(), ckpt_path=resume, weights_only=False)
    return trainer


def model_of(clock: Clock, **options: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(clock, **options)


def test_a_training_pauses_before_a_batch_and_goes_on_with_the_same_weights(tmp_path: Path) -> None:
    clock, changes = Clock(), list[StateChange]()
    carbon = callback(tmp_path, [100.0, 300.0, 300.0, 100.0], clock)
    carbon.on_state_change(changes.append)
    paused = model_of(clock)
    fit(tmp_path, paused, carbon, epochs=3)

    assert paused.began_at == [*range(0, 60, 6), *range(180, 210, 6)]
    assert [change.state for change in changes] == ["running", "paused", "running", "stopped"]
    metrics = carbon.get_carbon_metrics()
    assert (metrics.steps, metrics.pauses, metrics.paused_duration) == (15, 1, 7200.0)
    assert metrics.total_energy_kwh == pytest.approx(3.5)

    straight = model_of(Clock())
    fit(tmp_path, straight, epochs=3)
    assert torch.equal(paused.layer.weight, straight.layer.weight)


def test_a_lightning_logger_gets_the_sums_of_every_epoch(tmp_path: Path) -> None:
    clock = Clock()
    carbon = callback(tmp_path, [100.0, 100.0], clock)
    fit(tmp_path, model_of(clock), carbon, logger=CSVLogger(tmp_path, name="logs", version="0"))
    with (tmp_path / "logs" / "0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["carbon/total_kg"]]
    assert [float(row["carbon/energy_kwh"]) for row in rows] == pytest.approx([0.5, 1.0])
    assert [float(row["carbon/total_kg"]) for row in rows] == pytest.approx([0.05, 0.1])
    assert [float(row["carbon/intensity_g_per_kwh"]) for row in rows] == [100.0, 100.0]


def test_a_checkpoint_holds_the_sums_and_a_resumed_training_goes_on_with_them(tmp_path: Path) -> None:
    clock = Clock()
    saved = ModelCheckpoint(tmp_path / "checkpoints", filename="last")
    fit(tmp_path, model_of(clock), callback(tmp_path, [100.0] * 4, clock), saved, epochs=1)
    resumed = callback(tmp_path, [100.0] * 4, clock)
    model = model_of(clock)
    fit(tmp_path, model, resumed, epochs=3, resume=tmp_path / "checkpoints" / "last.ckpt")
    assert len(model.began_at) == 10
    metrics = resumed.get_carbon_metrics()
    assert metrics.steps == 15
    assert metrics.total_energy_kwh == pytest.approx(1.5)
    assert metrics.total_carbon_kg == pytest.approx(0.15)


def test_a_pause_saves_a_checkpoint_from_which_another_machine_goes_on(tmp_path: Path) -> None:
    clock, checkpoint = Clock(), tmp_path / "paused.ckpt"
    carbon = callback(tmp_path, [100.0, 300.0, 100.0, 100.0], clock, checkpoint_on_pause=checkpoint)
    straight = model_of(clock)
    fit(tmp_path, straight, carbon, epochs=3)

    other = Clock(clock.at)
    moved = model_of(other)
    again = callback(tmp_path, [100.0] * 8, other)
    fit(tmp_path, moved, again, epochs=3, resume=checkpoint)
    assert len(moved.began_at) == 5, "ten of fifteen batches were done when it paused"
    assert torch.equal(moved.layer.weight, straight.layer.weight)
    assert again.get_carbon_metrics().total_energy_kwh == pytest.approx(1.5)


def test_sums_on_another_basis_start_no_training(tmp_path: Path) -> None:
    clock = Clock()
    saved = ModelCheckpoint(tmp_path / "checkpoints", filename="last")
    fit(tmp_path, model_of(clock), callback(tmp_path, [100.0] * 4, clock), saved, epochs=1)
    other = callback(tmp_path, [100.0] * 4, clock)
    path, model = tmp_path / "checkpoints" / "last.ckpt", model_of(clock)
    content = torch.load(path, weights_only=False)
    content["callbacks"]["CarbonAwareCallback"]["carbon"]["basis"] = "marginal direct"
    torch.save(content, path)
    with pytest.raises(BasesMixed):
        fit(tmp_path, model, other, epochs=2, resume=path)
    assert model.began_at == []


def test_a_training_that_fails_stops_measuring_and_says_why(tmp_path: Path) -> None:
    clock, gauge, changes = Clock(), SteadyGauge(), list[StateChange]()
    carbon = callback(tmp_path, [100.0], clock, gauge=gauge)
    carbon.on_state_change(changes.append)
    with pytest.raises(RuntimeError, match="disk is full"):
        fit(tmp_path, model_of(clock, fails_at=3), carbon)
    assert changes[-1].reason == "The training ended with RuntimeError: The disk is full."
    assert not gauge.is_on
    assert carbon.get_carbon_metrics().total_energy_kwh == pytest.approx(0.3)


def test_run_now_ends_the_waiting(tmp_path: Path) -> None:
    clock = Clock()
    carbon = callback(tmp_path, [300.0] * 6, clock)
    carbon.on_state_change(lambda change: carbon.run_now() if change.state == "paused" else None)
    fit(tmp_path, model_of(clock), carbon, epochs=1)
    assert len(clock.waits) == 1
    assert carbon.decisions[-1].reason == "Run now was asked for."


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"regions": []}, CarbonError),
        ({"regions": "US-CA"}, CarbonError),
        ({"regions": ["US-CAA"]}, UnknownZone),
        ({"regions": ["US-CA"], "config": TrainingConfig(), "carbon_threshold": 1.0}, CarbonError),
    ],
)
def test_what_cannot_work_is_said_before_the_training(
    tmp_path: Path, options: dict[str, Any], error: type[CarbonError]
) -> None:
    file = write_grid(tmp_path / "grid.json", [100.0])
    with pytest.raises(error):
        CarbonAwareCallback(carbon_model="cached", api_key=file, **options)


def test_before_the_training_there_are_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(CarbonError, match="has not begun"):
        callback(tmp_path, [100.0], Clock()).get_carbon_metrics()
