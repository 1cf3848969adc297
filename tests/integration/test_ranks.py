"""Two processes of gloo train as one process does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from errors import DatasetUnavailable, TrainingFailed
from schema import Checkpoint, EpochResult, Request, TrainingContext
from tests.integration.test_trainers import CollectingControl
from trainers.checkpoints import Checkpoints, open_checkpoints
from trainers.cnn import train_cnn
from trainers.distributed import Ranks
from trainers.params import CnnHyperParams
from trainers.rank import RankControl
from trainers.rank_messages import Asked, encode
from trainers.saved_models import open_models

pytestmark = pytest.mark.slow

NETWORKS = ("resnet9", "mobilenet_v3_small")
# Dropout draws from each rank's own generator.
STOPPED: dict[str, object] = {"dropout": 0.3, "num_epochs": 12}
STOP_AT, LAST_STEP = 12, 108


@contextmanager
def nothing_left() -> Iterator[None]:
    """Assert that what is done inside ends the processes it starts; servers of other tests may run on."""
    before = psutil.Process().children()
    yield
    assert psutil.Process().children() == before


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Every test ends the processes it has started."""
    with nothing_left():
        yield


# Rank 1 aborts while the ranks part, before rank 0 has come through.
BREAKS_DOWN_AT_THE_END = """
import os, signal
if "RANK" in os.environ:
    from torch import distributed
    distributed.destroy_process_group = os.abort if os.environ["RANK"] == "1" else signal.pause
"""


class StoppingControl(CollectingControl):
    """Asks for a stop once a training has come as far as that."""

    def __init__(self, stop_at: int) -> None:
        super().__init__()
        self.stop_at = stop_at

    def after_step(self, step: int) -> Request | None:  # type: ignore[override] # the other never asks
        return Request.PREEMPT if step >= self.stop_at else None


def train(
    folder: Path,
    control: CollectingControl | None = None,
    checkpoint_every_s: float = 0,
    /,
    **hyper_params: object,
) -> list[EpochResult]:
    """Train on digits in batches of 160, the last of which has 157 images for its two ranks."""
    context = TrainingContext(
        datasets_dir=folder,
        device="cpu",
        control=control or CollectingControl(),
        checkpoints=open_checkpoints(str(folder), "run"),
        checkpoint_every_s=checkpoint_every_s,
        models=open_models(str(folder / "models"), "run"),
    )
    chosen = {"num_epochs": 2, "batch_size": 160, "validation_fraction": 0.1, "seed": 3, **hyper_params}
    return list(train_cnn(CnnHyperParams.model_validate(chosen), context))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    newest = open_checkpoints(str(folder), "run").find_newest()
    assert newest is not None
    network: dict[str, torch.Tensor] = newest.state["state"]["network"]
    return network


def assert_close(one: list[EpochResult], other: list[EpochResult], *, rel: float) -> None:
    names = ("train_loss", "test_loss", "validation_loss")
    for a, b in zip(one, other, strict=True):
        assert [getattr(a, name) for name in names] == pytest.approx(
            [getattr(b, name) for name in names], rel=rel
        )


def test_two_ranks_train_as_one_process(tmp_path: Path) -> None:
    chosen = {"augmentation": "crop_flip_cutout", "label_smoothing": 0.1, "optimizer": "adamw"}
    whole = train(tmp_path / "one", **chosen)
    control = CollectingControl()
    shared = train(tmp_path / "two", control, gpus=2, **chosen)

    assert_close(shared, whole, rel=1e-5)
    expected = weights(tmp_path / "one")
    for name, value in weights(tmp_path / "two").items():
        # A twentieth of one step's length: AdamW makes the most of gradients that are nearly 0.
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4)
    for name, value in load_file(tmp_path / "two" / "models" / "run" / "last" / "model.safetensors").items():
        assert torch.equal(value, weights(tmp_path / "two")[name])
    assert (tmp_path / "two" / "models" / "run" / "best" / "best_model.pt").is_file()
    assert (control.facts["gpus"], control.facts["backend"]) == (2, "gloo")
    assert any("1,293 training, 144 validation" in line for line in control.lines)


def test_a_network_with_batch_norm_trains_on_two_ranks_as_in_one_process(tmp_path: Path) -> None:
    # Small steps: with larger ones a value on the edge of a ReLU that falls to the other side shows.
    steps = {"optimizer": "sgd", "learning_rate": 0.001, "num_epochs": 1}
    # The network is large: five steps are enough, the last with 79 images for its two ranks.
    chosen = {"network": "resnet9", "validation_fraction": 0.5, **steps}
    # Its weights are large: saved once, at the end.
    whole = train(tmp_path / "one", None, 3_600, **chosen)
    shared = train(tmp_path / "two", None, 3_600, gpus=2, **chosen)

    assert_close(shared, whole, rel=1e-4)
    expected = weights(tmp_path / "one")
    for name, value in weights(tmp_path / "two").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=3e-4)


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the gradients of both networks, of the whole batch and of two ranks."""
    folder = tmp_path_factory.mktemp("derived")
    started = [
        subprocess.Popen([sys.executable, "-m", "tests.rank_gradients", str(rank), str(folder), *NETWORKS])
        for rank in (-1, 0, 1)
    ]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    return folder


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_and_running_statistics_are_those_of_the_whole_batch(derived: Path, network: str) -> None:
    whole, shared = (load_file(derived / f"{network}{rank}.safetensors") for rank in (-1, 0))
    assert whole.keys() == shared.keys()
    for name, expected in whole.items():
        torch.testing.assert_close(shared[name], expected, rtol=1e-7, atol=1e-10)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint of three ranks whose training was stopped on the way."""
    folder = tmp_path_factory.mktemp("stopped")
    with nothing_left():
        train(folder, StoppingControl(STOP_AT), gpus=3, **STOPPED)
    newest = open_checkpoints(str(folder), "run").find_newest()
    assert newest is not None
    assert STOP_AT <= newest.step < LAST_STEP
    return folder


def test_ranks_that_are_stopped_go_on_with_the_same_bits(stopped: Path, tmp_path: Path) -> None:
    # The order of a sum shows in those of three.
    parts, folder = shutil.copytree(stopped, tmp_path / "parts"), tmp_path / "whole"
    whole = train(folder, gpus=3, **STOPPED)
    control = CollectingControl()
    rest = train(parts, control, gpus=3, **STOPPED)

    assert control.facts["resume"] == "exact"
    assert 0 < len(rest) <= len(whole)
    same = {"duration_s", "resumed_after_s"}
    assert [result.model_dump(exclude=same) for result in rest] == [
        result.model_dump(exclude=same) for result in whole[-len(rest) :]
    ]
    expected = weights(folder)
    assert all(torch.equal(value, expected[name]) for name, value in weights(parts).items())


def test_another_number_of_ranks_resumes_and_is_called_inexact(stopped: Path, tmp_path: Path) -> None:
    parts = shutil.copytree(stopped, tmp_path / "parts")
    control = CollectingControl()
    results = train(parts, control, **STOPPED)
    assert results[-1].epoch == 12
    assert results[-1].test_accuracy > 0.95
    assert "gpus" in str(control.facts["resume"])
    assert str(control.facts["resume"]).startswith("inexact")


def test_a_loss_that_is_no_number_fails_as_in_one_process(tmp_path: Path) -> None:
    chosen = {"optimizer": "sgd", "learning_rate": 10.0, "network": "lenet5", "weight_decay": 1.0}
    with pytest.raises(TrainingFailed) as alone:
        train(tmp_path / "one", num_epochs=50, **chosen)
    with pytest.raises(TrainingFailed) as shared:
        train(tmp_path / "two", gpus=2, num_epochs=50, **chosen)
    assert str(alone.value).startswith("The loss is no longer a number at step")
    assert str(shared.value).startswith("The loss is no longer a number at step")


def test_what_a_rank_cannot_explain_arrives_with_its_traceback(tmp_path: Path) -> None:
    open_checkpoints(str(tmp_path), "run").save(Checkpoint(5, {"made_with": {}}))
    with pytest.raises(TrainingFailed, match=r"Rank [01] failed: KeyError: 'threads'") as failure:
        train(tmp_path, gpus=2)
    assert "Traceback" in str(failure.value)
    assert "in resume" in str(failure.value)


def test_files_that_are_missing_are_named_before_any_rank_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DatasetUnavailable, match="empty"):
        train(tmp_path, gpus=2, dataset="image_folder", image_folder="empty")


def test_a_step_makes_no_selector_to_hear_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team = Ranks(0, 1, torch.device("cpu"), tmp_path / "meeting")
    ours, theirs = Pipe()
    control = RankControl(ours, team)
    # What Connection.poll makes each time.
    monkeypatch.delattr("multiprocessing.connection._WaitSelector")
    assert control.after_step(1) is None
    theirs.send_bytes(encode(Asked(request=Request.PREEMPT)))
    assert control.after_step(2) is Request.PREEMPT
    team.part_ways()
    ours.close()
    theirs.close()


def test_who_takes_the_epochs_late_gets_them_all(tmp_path: Path) -> None:
    # Without a store: ranks wait for what they have to save.
    context = TrainingContext(datasets_dir=tmp_path, device="cpu", control=CollectingControl())
    before = psutil.Process().children()
    epochs = train_cnn(CnnHyperParams.model_validate({"num_epochs": 4, "gpus": 2}), context)
    assert next(epochs).epoch == 1
    [leash] = [child for child in psutil.Process().children() if child not in before]
    while leash.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    assert [result.epoch for result in epochs] == [2, 3, 4]


class FullDisk(Checkpoints):
    def save(self, checkpoint: Checkpoint) -> None:
        raise OSError(f"No space left for step {checkpoint.step}")


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[EpochResult], CollectingControl]:
    """What comes of two epochs without space for a checkpoint, after which a rank breaks down."""
    folder = tmp_path_factory.mktemp("troubled")
    (folder / "sitecustomize.py").write_text(BREAKS_DOWN_AT_THE_END)
    control = CollectingControl()
    context = TrainingContext(
        datasets_dir=folder,
        device="cpu",
        control=control,
        checkpoints=FullDisk(open_checkpoints(str(folder), "run")._folder),
    )
    hyper_params = CnnHyperParams.model_validate({"num_epochs": 2, "gpus": 2})
    with pytest.MonkeyPatch.context() as patch, nothing_left():
        patch.setenv("PYTHONPATH", str(folder))
        results = list(train_cnn(hyper_params, context))
    return results, control


def test_a_rank_that_breaks_down_after_the_training_does_not_fail_it(
    troubled: tuple[list[EpochResult], CollectingControl],
) -> None:
    results, _ = troubled
    assert [result.epoch for result in results] == [1, 2]


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    troubled: tuple[list[EpochResult], CollectingControl],
) -> None:
    results, control = troubled
    assert len(results) == 2
    assert any("No space left" in line and "The run goes on" in line for line in control.lines)
