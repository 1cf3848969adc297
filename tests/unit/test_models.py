"""Which epoch is the best, what goes into the files of a model, and what its card says."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from schema import Checkpoint, EpochResult, Metrics, Run, Status, TrainingContext
from tests.unit.test_loop import drain, make_data, params, start
from tests.unit.test_resuming import Clock, Listener, Shelf
from trainers.cards import NOT_YET_KNOWN, Card, is_better
from trainers.datasets import DATASETS
from trainers.encoding import decode_state, encode_state
from trainers.loop import train
from trainers.models import Kept, ModelWriter, Snapshot, take_snapshot, to_portable
from trainers.resuming import Keeper, make_keeper
from trainers.saved_models import CARD_FILE, MODEL_FILE, STATE_DICT_FILE
from trainers.training import Training

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def metrics(
    test: float = 0.5, test_loss: float = 1.0, held: float | None = None, held_loss: float | None = None
) -> Metrics:
    return Metrics(
        train_loss=1.0,
        train_accuracy=0.5,
        test_loss=test_loss,
        test_accuracy=test,
        validation_accuracy=held,
        validation_loss=held_loss,
    )


def keep(*epochs: Metrics) -> Kept:
    kept = Kept()
    for epoch, achieved in enumerate(epochs, start=1):
        kept = kept.after(Snapshot(epoch, achieved, {}))
    return kept


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([metrics(0.5), metrics(0.7), metrics(0.6)], 2),
        ([metrics(0.5, 1.0), metrics(0.5, 0.9), metrics(0.5, 0.95)], 2),
        ([metrics(0.5, 1.0), metrics(0.5, 1.0)], 1),
        ([metrics(0.9, held=0.5, held_loss=1.0), metrics(0.1, held=0.6, held_loss=9.0)], 2),
        ([metrics(0.9, held=0.5, held_loss=1.0), metrics(0.1, held=0.5, held_loss=0.9)], 2),
        ([metrics(0.1, 9.0, 0.5, 1.0), metrics(0.9, 0.1, 0.5, 1.0)], 1),
    ],
    ids=["accuracy", "loss", "earlier", "validation accuracy", "validation loss", "never the test split"],
)
def test_the_best_epoch_is_the_one_of_the_highest_accuracy_then_the_lowest_loss_then_the_earliest(
    epochs: list[Metrics], best: int
) -> None:
    kept = keep(*epochs)
    assert kept.best is not None
    assert kept.last is not None
    assert (kept.best.epoch, kept.last.epoch) == (best, len(epochs))


def test_no_epoch_is_better_than_itself() -> None:
    assert not is_better(metrics(), metrics())


def snapshot(epoch: int, accuracy: float) -> Snapshot:
    return Snapshot(epoch, metrics(accuracy), {"weight": torch.full((2, 2), float(epoch))})


@pytest.mark.parametrize("is_epoch_start", [True, False])
@pytest.mark.parametrize("accuracies", [(0.5, 0.9), (0.9, 0.5)], ids=["last is best", "first is best"])
def test_the_best_so_far_comes_back_from_a_checkpoint(
    accuracies: tuple[float, float], is_epoch_start: bool
) -> None:
    kept = Kept().after(snapshot(1, accuracies[0])).after(snapshot(2, accuracies[1]))
    network = {"weight": torch.full((2, 2), 2.0 if is_epoch_start else 2.5)}
    tree = decode_state(*encode_state(kept.to_tree(is_epoch_start=is_epoch_start)))
    back = Kept.from_tree(tree, network)
    for one, other in ((kept.best, back.best), (kept.last, back.last)):
        assert one is not None
        assert other is not None
        assert (one.epoch, one.metrics) == (other.epoch, other.metrics)
        assert torch.equal(one.weights["weight"], other.weights["weight"])


def test_an_epoch_worse_than_the_best_before_the_resume_does_not_replace_it() -> None:
    tree = Kept().after(snapshot(1, 0.9)).to_tree(is_epoch_start=True)
    resumed = Kept.from_tree(tree, {"weight": torch.zeros(2, 2)}).after(snapshot(2, 0.8))
    assert resumed.best is not None
    assert resumed.best.epoch == 1


def test_weights_are_stored_in_plain_order_with_the_same_bits() -> None:
    strange = torch.tensor([float("nan"), -0.0, 1e-45, float("inf")]).view(1, 4, 1, 1).expand(2, 4, 3, 3)
    weights = {
        "channels_last": torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last),
        "one_channel": torch.randn(8, 1, 3, 3).contiguous(memory_format=torch.channels_last),
        "strange": strange.contiguous(memory_format=torch.channels_last),
        "count": torch.tensor(7),
    }
    weights["tied"] = weights["channels_last"]
    portable = to_portable(weights)
    for name, tensor in weights.items():
        assert portable[name].stride() == torch.empty(tensor.shape).stride()
        as_bits = [value.contiguous().reshape(-1).view(torch.uint8) for value in (portable[name], tensor)]
        assert torch.equal(*as_bits)
    assert portable["tied"].data_ptr() != portable["channels_last"].data_ptr()


class Trees:
    """Checkpoints in memory, as they are before they become files."""

    def __init__(self) -> None:
        self.saved: list[dict[str, Any]] = []

    def save(self, checkpoint: Checkpoint) -> None:
        self.saved.append(checkpoint.state)

    def find_newest(self) -> None:
        return None


class ModelShelf:
    """Models in memory."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.sets: dict[str, dict[str, bytes]] = {}
        self.is_full = is_full

    def write(self, name: str, files: dict[str, bytes]) -> None:
        if self.is_full:
            raise OSError("No space left on device")
        self.sets[name] = files

    def clear(self) -> None:
        self.sets.clear()


def context(shelf: ModelShelf, listener: Listener) -> TrainingContext:
    return TrainingContext(
        datasets_dir=Path("unused"), device="cpu", control=listener, run_id="run1", models=shelf
    )


def train_models(
    *, has_validation: bool, is_full: bool = False
) -> tuple[ModelShelf, list[EpochResult], Listener, dict[str, torch.Tensor]]:
    shelf, listener, network, clock = ModelShelf(is_full=is_full), Listener(), start(), Clock()
    writer = ModelWriter(context(shelf, listener), DATASETS["digits"], now=lambda: NOW)
    keeper = Keeper(Shelf(clock), every_s=60, control=listener, models=writer, clock=clock)
    data = make_data(80, has_validation=has_validation)
    results, _ = drain(train(network, data, params(num_epochs=4), control=listener, keep=keeper))
    return shelf, results, listener, network.state_dict()


def card_of(shelf: ModelShelf, name: str) -> Card:
    return Card.model_validate_json(shelf.sets[name][CARD_FILE])


@pytest.mark.parametrize("has_validation", [True, False])
def test_a_training_leaves_its_best_and_its_last_model(has_validation: bool) -> None:
    shelf, results, _, weights = train_models(has_validation=has_validation)
    assert {name: list(files) for name, files in shelf.sets.items()} == {
        "best": [MODEL_FILE, STATE_DICT_FILE, CARD_FILE],
        "last": [MODEL_FILE, CARD_FILE],
    }
    last = load(shelf.sets["last"][MODEL_FILE])
    assert last.keys() == weights.keys()
    assert all(torch.equal(last[name], tensor) for name, tensor in weights.items())
    best, of_last = card_of(shelf, "best"), card_of(shelf, "last")
    chosen = max(results, key=lambda result: _rank(result, has_validation=has_validation))
    assert (best.epoch, best.metrics) == (chosen.epoch, Metrics.of(chosen))
    assert (of_last.epoch, of_last.metrics) == (4, Metrics.of(results[-1]))
    assert of_last.chosen_on == "last epoch"
    assert best.chosen_on == ("validation" if has_validation else "test")
    assert ("optimistic" in (best.chosen_note or "")) is not has_validation


def _rank(result: EpochResult, *, has_validation: bool) -> tuple[float, float, int]:
    accuracy = result.validation_accuracy if has_validation else result.test_accuracy
    loss = result.validation_loss if has_validation else result.test_loss
    assert accuracy is not None
    assert loss is not None
    return accuracy, -loss, -result.epoch


def test_the_file_alone_says_how_to_use_it(tmp_path: Path) -> None:
    shelf, *_ = train_models(has_validation=False)
    (tmp_path / "model").write_bytes(shelf.sets["best"][MODEL_FILE])
    with safe_open(tmp_path / "model", framework="pt") as file:
        said = file.metadata()
    assert (said["network"], said["classes"], said["channels"], said["side"]) == ("small_cnn", "8", "1", "8")
    assert (json.loads(said["mean"]), json.loads(said["std"])) == ([70.0], [50.0])


def test_a_full_disk_costs_the_models_and_not_the_run() -> None:
    _, results, listener, _ = train_models(has_validation=False, is_full=True)
    assert len(results) == 4
    assert "The models could not be saved: No space left on device" in listener.lines[-1]


def test_a_run_that_starts_anew_has_no_models_of_an_attempt_before() -> None:
    shelf, listener = ModelShelf(), Listener()
    shelf.sets = {"best": {}, "last": {}}
    anew = dataclasses.replace(context(shelf, listener), checkpoints=Shelf(Clock()))
    make_keeper(anew, DATASETS["digits"])
    assert shelf.sets == {}


def test_the_weights_of_an_epoch_are_not_those_the_network_goes_on_to() -> None:
    training = Training(start(), make_data(40), params())
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    kept = Kept().after(_take(training))
    training.learn_batch()
    assert kept.last is not None
    assert all(torch.equal(kept.last.weights[name], tensor) for name, tensor in before.items())


def test_weights_that_no_model_is_made_of_are_not_copied() -> None:
    listener, network, trees = Listener(), start(), Trees()
    without = ModelWriter(
        dataclasses.replace(context(ModelShelf(), listener), models=None), DATASETS["digits"]
    )
    earlier = Kept().after(_take(Training(start(), make_data(40), params())))
    keeper = Keeper(trees, every_s=60, control=listener, models=without, kept=earlier, clock=Clock())
    drain(train(network, make_data(40), params(num_epochs=2), control=listener, keep=keeper))
    assert [tree["models"] for tree in trees.saved] == [{"last": None, "best": None}] * 2


def test_a_checkpoint_has_the_weights_kept_as_the_network_has_its_own_also_after_a_resume() -> None:
    training = Training(start("resnet9"), make_data(40), params())
    kept = Kept().after(snapshot(1, 0.9)).after(_take(training))
    assert kept.last is not None
    assert encode_state(kept.last.weights) == encode_state(training.network.state_dict())
    first = encode_state(kept.to_tree(is_epoch_start=False))
    back = Kept.from_tree(decode_state(*first), {})
    assert encode_state(back.to_tree(is_epoch_start=False)) == first


def test_the_weights_of_an_epoch_leave_the_device_they_were_on() -> None:
    # On the device meta there are shapes and no values: copies may be made there and none elsewhere.
    training = Training(start().to("meta"), make_data(40), params())
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        _take(training)


def _take(training: Training) -> Snapshot:
    result = EpochResult(epoch=1, train_loss=1, train_accuracy=0, test_loss=1, test_accuracy=0, duration_s=0)
    return take_snapshot(training, result)


def done_run(**changes: Any) -> Run:
    facts = {
        "device": "cpu",
        "precision": "fp32",
        "parameters": 9,
        "flops_per_image": 18,
        "git_commit": "abc",
    }
    versions = {"wattle": "1", "torch": "2", "python": "3"}
    known = {
        "run_id": "run1",
        "hyper_params": {},
        "status": Status.DONE,
        "time_added": NOW,
        "num_epochs": 4,
        "energy_kwh": 1e-6,
        "energy_quality": "estimated",
        "co2_g": 0.4,
        "duration_s": 2.0,
        "environment": {**facts, **versions},
    }
    return Run.model_validate({**known, **changes})


def test_the_card_is_completed_with_what_the_run_cost() -> None:
    shelf, *_ = train_models(has_validation=False)
    card = card_of(shelf, "best")
    assert (card.energy_kwh, card.energy_reason) == (None, NOT_YET_KNOWN)
    complete = Card.model_validate_json(card.complete(done_run()).model_dump_json())
    assert (complete.energy_kwh, complete.energy_quality, complete.energy_reason) == (1e-6, "estimated", None)
    assert (complete.co2_g, complete.duration_s, complete.git_commit) == (0.4, 2.0, "abc")
    assert (complete.parameters, complete.flops_per_image, complete.precision) == (9, 18, "fp32")
    assert complete.versions == {"wattle": "1", "torch": "2", "python": "3"}
    kept = {field for field in Card.model_fields if getattr(card, field) == getattr(complete, field)}
    assert {"epoch", "metrics", "files", "dataset", "hyper_params", "created_at"} <= kept


def test_unknown_energy_is_null_with_the_reason_and_never_zero() -> None:
    shelf, *_ = train_models(has_validation=False)
    run = done_run(energy_kwh=None, energy_quality=None, co2_g=None, unknown_energy_epochs=2)
    complete = card_of(shelf, "best").complete(run)
    assert (complete.energy_kwh, complete.co2_g) == (None, None)
    assert "2 epochs" in (complete.energy_reason or "")


def test_a_licence_of_a_dataset_names_its_source() -> None:
    for dataset in DATASETS.values():
        assert (dataset.licence is None) == (dataset.licence_source is None), dataset.name
        assert len(dataset.class_names) in (0, dataset.classes), dataset.name


def test_without_a_store_for_models_none_is_made() -> None:
    listener = Listener()
    without = dataclasses.replace(context(ModelShelf(), listener), models=None)
    training = Training(start(), make_data(40), params())
    ModelWriter(without, DATASETS["digits"]).write(training, Kept().after(_take(training)))
    assert listener.lines == []
