"""The trainer ``cnn`` from hyper_params to results, and trainers that others install."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from errors import InvalidInput, TrainingFailed
from schema import Checkpoint, EpochResult, Scalar, TrainingContext
from trainers import get_trainer, list_trainers, load_trainer, validate_hyper_params

PLUGIN = """
from schema import EpochResult
from trainers import HyperParams, TrainerSpec

def epoch_result(epoch):
    return EpochResult(
        epoch=epoch, train_loss=1, train_accuracy=0, test_loss=1, test_accuracy=0, duration_s=0
    )

class CountingHyperParams(HyperParams):
    upto: int = 3

def count(hyper_params, context):
    for epoch in range(1, hyper_params.upto + 1):
        yield epoch_result(epoch)

COUNTING = TrainerSpec(
    name="counting",
    title="Counting",
    summary="Counts.",
    hyper_params=CountingHyperParams,
    entry="wattle_counting:count",
)
LOST = TrainerSpec("lost", "Lost", "Has no code.", HyperParams, "wattle_counting:nothing")
CNN = TrainerSpec("cnn", "Impostor", "Takes a name.", HyperParams, "wattle_counting:count")
"""


class CollectingControl:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.facts: dict[str, Scalar] = {}

    def after_step(self, step: int) -> None:
        del step

    def log(self, text: str) -> None:
        self.lines.append(text)

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        self.facts.update(facts)


def run(datasets_dir: Path, control: CollectingControl | None = None, /, **raw: object) -> list[EpochResult]:
    hyper_params = validate_hyper_params(raw, datasets_dir=datasets_dir, default_dataset=None)
    context = TrainingContext(datasets_dir=datasets_dir, device="cpu", control=control or CollectingControl())
    return list(load_trainer(hyper_params.trainer)(hyper_params, context))


class OneCheckpoint:
    """A CheckpointStore that keeps the newest."""

    newest: Checkpoint | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        self.newest = checkpoint

    def find_newest(self) -> Checkpoint | None:
        return self.newest


def test_a_resumed_run_tells_the_precision_it_goes_on_in_and_not_what_this_host_would_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, checkpoints = CollectingControl(), OneCheckpoint()
    hyper_params = validate_hyper_params({"num_epochs": 2}, datasets_dir=tmp_path, default_dataset="digits")
    context = TrainingContext(tmp_path, "cpu", control, checkpoints=checkpoints, checkpoint_every_s=0)
    next(load_trainer("cnn")(hyper_params, context))
    assert control.facts["precision"] == "fp32"

    monkeypatch.setattr("trainers.precision._fastest", lambda _: "bf16")
    assert len(list(load_trainer("cnn")(hyper_params, context))) in (1, 2)

    assert control.facts["resume"] == "exact"
    assert control.facts["precision"] == "fp32"


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, entry_points: str) -> None:
    """Put a distribution with these entry points on the search path."""
    (folder / "wattle_counting.py").write_text(PLUGIN)
    info = folder / "wattle_counting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wattle-counting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[wattle.trainers]\n{entry_points}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "wattle_counting", raising=False)


def test_the_defaults_reach_98_percent_on_digits(tmp_path: Path) -> None:
    results = run(tmp_path, dataset="digits")
    assert max(result.test_accuracy for result in results) >= 0.98
    assert [result.epoch for result in results] == list(range(1, 21))


def test_a_run_says_what_it_runs_on(tmp_path: Path) -> None:
    control = CollectingControl()
    run(tmp_path, control, dataset="digits", num_epochs=1, validation_fraction=0.1)
    assert control.lines == ["digits: 1,293 training, 144 validation and 360 test images of 8 x 8 x 1"]
    assert control.facts.pop("torch")
    assert control.facts.pop("threads")
    assert control.facts.pop("images_per_s")
    assert control.facts.pop("profiled_steps") == 16
    for phase in ("data", "forward", "backward", "optimizer"):
        assert control.facts.pop(f"step_{phase}_ms")
    assert control.facts == {
        "device": "cpu",
        "precision": "fp32",
        "memory_format": "channels_last",
        "parameters": 53_002,
        "flops_per_image": 694_784,
        "data_on": "device",
        "train_images": 1293,
        "validation_images": 144,
        "test_images": 360,
    }


@pytest.mark.slow
def test_two_processes_get_identical_epochs(tmp_path: Path) -> None:
    script = f"""
import json
from pathlib import Path
from tests.integration.test_trainers import run
# A large network is given fewer images to learn from.
for network, held_out in (("small_cnn", 0.0), ("resnet9", 0.5)):
    chosen = {{"network": network, "validation_fraction": held_out, "batch_size": 256, "seed": 3}}
    for result in run(Path({str(tmp_path)!r}), dataset="digits", num_epochs=2, **chosen):
        print(json.dumps(result.model_dump(exclude={{"duration_s"}})))
"""
    one, other = (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert [json.loads(line)["epoch"] for line in one.splitlines()] == [1, 2, 1, 2]
    assert one == other


@pytest.mark.slow
def test_torchvision_imports_beside_this_torch() -> None:
    script = """
from trainers.torchvision_cpu import declare_operators
declare_operators()
declare_operators()
import torchvision.models
print(torchvision.models.resnet18.__name__)
"""
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "resnet18\n"


def test_an_installed_trainer_is_offered_validated_and_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path, "counting = wattle_counting:COUNTING")
    assert [spec.name for spec in list_trainers()] == ["cnn", "demo", "counting"]
    hyper_params = validate_hyper_params(
        {"trainer": "Counting", "num_epochs": 2}, datasets_dir=tmp_path, default_dataset="mnist"
    )
    assert hyper_params.model_dump(exclude_none=True) == {
        "trainer": "counting", "num_epochs": 2, "seed": 0, "upto": 3,
    }  # fmt: skip
    context = TrainingContext(datasets_dir=tmp_path, device="cpu", control=CollectingControl())
    results = load_trainer("counting")(hyper_params, context)
    assert [result.epoch for result in results] == [1, 2, 3]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("gone = wattle_not_installed:SPEC", "ModuleNotFoundError"),
        ("gone = wattle_counting:MISSING", "AttributeError"),
        ("gone = wattle_counting:count", "TypeError"),
        ("gone = wattle_counting:COUNTING", "ValueError"),
        ("cnn = wattle_counting:CNN", "ValueError"),
    ],
)
def test_a_broken_trainer_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    broken: str,
    reason: str,
) -> None:
    install(monkeypatch, tmp_path, f"{broken}\ncounting = wattle_counting:COUNTING")
    with caplog.at_level(logging.WARNING, "trainers.registry"):
        assert [spec.name for spec in list_trainers()] == ["cnn", "demo", "counting"]
    assert reason in caplog.text
    assert list_trainers()[0].title == "Image classifier"
    if broken.startswith("gone"):
        with pytest.raises(InvalidInput, match=f"'gone' is installed but does not work: {reason}"):
            get_trainer("gone")


def test_a_trainer_whose_code_is_missing_fails_when_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tmp_path, "lost = wattle_counting:LOST")
    with pytest.raises(TrainingFailed, match="'lost' cannot be loaded from wattle_counting:nothing"):
        load_trainer("lost")
