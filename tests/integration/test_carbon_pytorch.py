"""The PyTorch trainer with real modules, optimizers and files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer
from carbon_aware_trainer.errors import BasesMixed, CarbonError
from carbon_aware_trainer.integrations.pytorch import CarbonAwarePyTorchTrainer, Precision
from carbon_aware_trainer.integrations.state_files import load_state, save_state
from carbon_aware_trainer.providers import open_provider
from tests.carbon_parts import START, Clock, SteadyGauge, write_grid

CONFIG = TrainingConfig(pause_threshold=150.0, check_interval=600.0)


def batches(count: int = 6) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 16, 8, generator=generator)
    return [(each, each[:, :3].argmax(1)) for each in inputs]


def trainer(path: Path, hours: list[float | None], clock: Clock, **options: Any) -> CarbonAwarePyTorchTrainer:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
    given = {
        "config": CONFIG, "gauge": SteadyGauge(), "clock": clock, "carbon_model": "cached", "region": "US-CA",
        "api_key": write_grid(path / "grid.json", hours), "lr_scheduler": schedule, **options,
    }  # fmt: skip
    made = CarbonAwarePyTorchTrainer(model, optimizer, **given)
    made.on_state_change(lambda _: None)
    return made


class Slow(list[Any]):
    """Batches that take six minutes each."""

    def __init__(self, clock: Clock, items: list[Any]) -> None:
        super().__init__(items)
        self.clock = clock

    def __iter__(self) -> Any:
        for item in super().__iter__():
            yield item
            self.clock.pass_by(360)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_it_learns_in_every_precision(tmp_path: Path, precision: Precision) -> None:
    used = trainer(tmp_path, [100.0], Clock(), precision=precision)
    epochs = used.fit(batches(), epochs=8, validation=batches())
    assert epochs[-1].train_loss is not None
    assert epochs[0].train_loss is not None
    assert epochs[-1].train_loss < epochs[0].train_loss * 0.8
    assert epochs[-1].val_accuracy is not None
    assert epochs[-1].val_accuracy > 0.8


# torch.compile of this version calls what it itself deprecates
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.slow
def test_a_compiled_model_learns_and_saves_the_names_of_the_plain_one(tmp_path: Path) -> None:
    used = trainer(tmp_path, [100.0], Clock(), compile=True)
    with used:
        losses = [float(used.train_step(batch)) for batch in batches() * 3]
    assert losses[-1] < losses[0]
    state = load_state(used.save_checkpoint(tmp_path / "compiled"))
    assert set(state["model"]) == {"0.weight", "0.bias", "3.weight", "3.bias"}


def test_a_pause_changes_nothing_about_the_weights(tmp_path: Path) -> None:
    clock, steady = Clock(), Clock()
    paused = trainer(tmp_path, [100.0, 300.0, 300.0, 100.0, 100.0], clock)
    paused.fit(Slow(clock, batches()), epochs=2)
    straight = trainer(tmp_path, [100.0] * 5, steady)
    straight.fit(Slow(steady, batches()), epochs=2)
    assert paused.get_carbon_metrics().paused_duration == 2 * 3600
    for one, other in zip(paused.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_epochs_say_what_they_achieved_and_cost(tmp_path: Path) -> None:
    clock = Clock()
    used = trainer(tmp_path, [100.0, 300.0, 50.0, 50.0], clock, live=tmp_path / "live.csv")
    first, second = used.fit(Slow(clock, batches(10)), epochs=2)
    assert (first.steps, second.steps, first.paused_s, second.paused_s) == (10, 10, 0.0, 3600.0)
    assert first.co2_g == pytest.approx(100.0)
    assert second.co2_g == pytest.approx(300 + 50)  # this gauge draws as much in a pause
    assert second.saved_g == pytest.approx(300 - 350)
    with (tmp_path / "live.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["co2_g"]) == pytest.approx(350.0)


def test_a_loaded_checkpoint_goes_on_bit_by_bit_with_its_sums(tmp_path: Path) -> None:
    clock = Clock()
    whole = trainer(tmp_path, [100.0] * 8, clock)
    whole.fit(Slow(clock, batches()), epochs=4)

    clock = Clock()
    first = trainer(tmp_path, [100.0] * 8, clock)
    first.fit(Slow(clock, batches()), epochs=2, checkpoint=tmp_path / "last.safetensors")
    second = trainer(tmp_path, [100.0] * 8, clock)
    loaded = second.load_checkpoint(tmp_path / "last.safetensors")
    assert loaded.total_energy_kwh == pytest.approx(1.2)
    epochs = second.fit(Slow(clock, batches()), epochs=4)

    assert [each.epoch for each in epochs] == [3, 4]
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert second.lr_scheduler.get_last_lr() == whole.lr_scheduler.get_last_lr()
    metrics = second.get_carbon_metrics()
    assert (metrics.steps, metrics.energy_quality) == (24, "measured")
    assert metrics.total_energy_kwh == pytest.approx(2.4)
    assert metrics.total_carbon_kg == pytest.approx(0.24)
    assert metrics.average_intensity == pytest.approx(100.0)


def test_a_checkpoint_loaded_within_the_context_adds_nothing_to_the_next_epoch(tmp_path: Path) -> None:
    clock = Clock()
    first = trainer(tmp_path, [100.0] * 8, clock)
    first.fit(Slow(clock, batches()), epochs=2, checkpoint=tmp_path / "last")
    second = trainer(tmp_path, [100.0] * 8, clock)
    with second:
        second.load_checkpoint(tmp_path / "last")
        (third,) = second.fit(Slow(clock, batches()), epochs=3)
    assert (third.epoch, third.steps) == (3, 6)
    assert third.energy_kwh == pytest.approx(0.6)
    assert third.co2_g == pytest.approx(60.0)
    assert second.get_carbon_metrics().total_energy_kwh == pytest.approx(1.8)


def test_the_carbon_metrics_stand_beside_the_checkpoint(tmp_path: Path) -> None:
    clock = Clock()
    used = trainer(tmp_path, [100.0], clock)
    used.fit(Slow(clock, batches()), epochs=1, checkpoint=tmp_path / "last.safetensors")
    beside = json.loads((tmp_path / "last.json").read_text())
    assert beside["total_energy_kwh"] == pytest.approx(0.6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.json", "last.json", "last.safetensors"]


def test_sums_on_another_basis_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    used = trainer(tmp_path, [100.0], Clock())
    used.fit(batches(), epochs=1, checkpoint=tmp_path / "last")
    marginal = open_provider(
        "cached", api_key=str(tmp_path / "grid.json"), basis="marginal direct", now=lambda: START
    )
    other = trainer(tmp_path, [100.0], Clock(), provider=marginal)
    before = [each.clone() for each in other.model.parameters()]
    with pytest.raises(BasesMixed, match="average lifecycle, now it is marginal direct"):
        other.load_checkpoint(tmp_path / "last")
    assert other.epoch == 0
    assert all(torch.equal(one, two) for one, two in zip(before, other.model.parameters(), strict=True))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"cbuiltins\nexec\n")
    with pytest.raises(CarbonError, match="no checkpoint that can be read"):
        trainer(tmp_path, [100.0], Clock()).load_checkpoint(tmp_path / "bad")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    state = {
        "numbers": {0: 1, "one": 2.5, "none": None, "yes": True, "text": "a"},
        "tensors": [shared, shared.T, shared[0], torch.tensor(3, dtype=torch.bfloat16)],
        "pair": (1, (torch.zeros(0),)),
    }
    back = load_state(save_state(tmp_path / "state.safetensors", state))
    assert back["numbers"] == state["numbers"]
    assert isinstance(back["pair"], tuple)
    assert [each.dtype for each in back["tensors"]] == [torch.float32] * 3 + [torch.bfloat16]
    assert torch.equal(back["tensors"][1], shared.T)


def test_what_needs_pickle_is_refused_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = save_state(tmp_path / "state.safetensors", {"a": 1})
    with pytest.raises(CarbonError, match="a/b holds a object, which needs pickle"):
        save_state(path, {"a": {"b": object()}})
    assert load_state(path) == {"a": 1}


def test_outputs_that_are_no_classes_have_no_accuracy(tmp_path: Path) -> None:
    used = trainer(tmp_path, [100.0], Clock())
    used.loss_fn = nn.functional.mse_loss
    used.model.train()
    result = used.validate([(torch.zeros(4, 8), torch.zeros(4, 3))])
    assert result.accuracy is None
    assert used.model.training
    with pytest.raises(CarbonError, match="nothing to validate"):
        used.validate([])


def test_the_plain_trainer_takes_cross_entropy_when_nothing_else_is_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    file = write_grid(tmp_path / "grid.json", [100.0])
    with CarbonAwareTrainer(
        model, optimizer, carbon_model="cached", region="US-CA", api_key=file, config=CONFIG,
        gauge=SteadyGauge(), clock=Clock(),
    ) as used:  # fmt: skip
        inputs, targets = batches()[0]
        expected = nn.functional.cross_entropy(model(inputs), targets)
        loss = used.train_step_sync((inputs, targets))
    assert torch.equal(loss, expected)
    assert not loss.requires_grad
    assert nn.functional.cross_entropy(model(inputs), targets) < expected
