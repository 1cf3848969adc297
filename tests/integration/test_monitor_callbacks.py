"""The SDK's bridges to training libraries, each with the library itself on the CPU."""
# ruff: noqa: E402 - Lightning imports torchvision, which does not load by itself over a CPU-only torch

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier
from torch import nn

from trainers.torchvision_cpu import declare_operators

declare_operators()

import lightning.pytorch as pl

from tests.monitor_server import MonitorServer, Recorded
from training_monitor import MonitorError, TrainingMonitor
from training_monitor.callbacks import lightning, sklearn
from training_monitor.media.graphs import draw

Start = Callable[..., TrainingMonitor]

warnings_of_libraries = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # torch deprecates a call that Lightning 2.6 still makes
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    # Keras and transformers are not ours to keep quiet
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
pytestmark = warnings_of_libraries


def need(library: str) -> Any:
    """Return a library that is big and only tested here; without it skip at home and fail in CI."""
    if os.environ.get("CI") == "true":
        return __import__(library)
    return pytest.importorskip(library)


def steps_of(run: Recorded, name: str) -> list[int]:
    return [point[0] for point in run.points[name]]


class Classifier(pl.LightningModule):
    def __init__(self, width: int = 3, *, fails_at: int | None = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer, self.fails_at = nn.Linear(8, width), fails_at

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        if index == self.fails_at:
            raise RuntimeError("The disk is full.")
        loss = nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _index: int) -> None:
        right = (self.layer(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log("val_accuracy", right)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(path: Path, module: Classifier, callback: pl.Callback, epochs: int = 3) -> pl.Trainer:
    inputs = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    data = torch.utils.data.TensorDataset(inputs, inputs[:, :3].argmax(1))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=epochs, callbacks=[callback], logger=False,
        log_every_n_steps=1, default_root_dir=path, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    return trainer


def test_lightning_logs_what_its_module_logs(start: Start, server: MonitorServer, tmp_path: Path) -> None:
    with start() as monitor:
        fit(tmp_path, Classifier(), lightning.MonitorCallback(monitor))
    run = server.only_run
    assert steps_of(run, "train_loss") == list(range(15))
    assert steps_of(run, "val_accuracy") == [4, 9, 14]
    assert run.points["epoch"][-1][1] == 2.0
    assert run.acts[0] == ("params", {"params": {"width": 3, "fails_at": None}})
    assert run.acts[-1] == ("status", {"status": "done"})


def test_lightning_stops_when_the_page_asks_and_says_what_failed(
    start: Start, server: MonitorServer, tmp_path: Path
) -> None:
    monitor = start(strict=True)
    monitor._note_request("cancel")
    assert fit(tmp_path, Classifier(), lightning.MonitorCallback(monitor)).global_step == 1
    monitor.finish("cancelled")
    failing = start("failing", strict=True)
    with pytest.raises(RuntimeError, match="disk is full"):
        fit(tmp_path, Classifier(fails_at=2), lightning.MonitorCallback(failing))
    assert list(server.runs.values())[1].acts[-1][1]["error"]["message"] == "The disk is full."


def test_scikit_learn_trains_in_batches(start: Start, server: MonitorServer) -> None:
    x, y = load_digits(return_X_y=True)
    batches = [(x[at : at + 100] / 16, y[at : at + 100]) for at in range(0, 1_500, 100)]
    with start() as monitor:
        model = sklearn.partial_fit(
            monitor, MLPClassifier((16,), random_state=0), batches, classes=np.arange(10),
            validation=(x[1_500:] / 16, y[1_500:]), validate_every=5,
        )  # fmt: skip
    run = server.only_run
    assert steps_of(run, "train_loss") == list(range(15))
    assert steps_of(run, "val_accuracy") == [0, 5, 10]
    assert run.points["train_accuracy"][-1][1] == model.score(*batches[-1])
    assert run.acts[0][1]["params"]["estimator"] == "MLPClassifier"


def test_scikit_learn_stops_a_training_in_batches_when_the_page_asks(
    start: Start, server: MonitorServer
) -> None:
    monitor = start()
    monitor._note_request("cancel")
    x, y = load_digits(return_X_y=True)
    sklearn.partial_fit(monitor, SGDClassifier(), [(x, y)] * 3, classes=np.arange(10))
    monitor.finish("cancelled")
    assert steps_of(server.only_run, "train_accuracy") == [0]


def test_scikit_learn_cross_validates_each_fold_a_step(start: Start, server: MonitorServer) -> None:
    x, y = load_digits(return_X_y=True)
    with start() as monitor:
        found = sklearn.cross_validate(
            monitor, SGDClassifier(random_state=0), x, y, cv=4, return_train_score=True
        )
    with start("regression") as monitor:
        sklearn.cross_validate(
            monitor, LinearRegression(), x, y, cv=3, scoring=["r2", "neg_mean_absolute_error"]
        )
    first, second = server.runs.values()
    assert [point[:2] for point in first.points["test_accuracy"]] == list(enumerate(found["test_score"]))
    assert set(first.points) == {"fit_duration_s", "score_duration_s", "test_accuracy", "train_accuracy"}
    assert steps_of(second, "test_r2") == steps_of(second, "test_neg_mean_absolute_error") == [0, 1, 2]


def test_keras_logs_epochs_and_batches(
    start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = need("keras")
    from training_monitor.callbacks.keras import MonitorCallback

    x, y = load_digits(return_X_y=True)
    model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def fit_keras(monitor: TrainingMonitor) -> None:
        model.fit(
            x[:400], y[:400], epochs=3, validation_split=0.5, verbose=0,
            callbacks=[MonitorCallback(monitor, every_batches=2)],
        )  # fmt: skip

    with start() as monitor:
        fit_keras(monitor)
    with start("cancelled") as monitor:
        monitor._note_request("cancel")
        fit_keras(monitor)
    run, stopped = server.runs.values()
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "batch/loss"} <= set(run.points)
    assert steps_of(run, "val_accuracy") == [0, 1, 2]
    assert steps_of(run, "batch/loss") == list(range(0, 21, 2))
    assert run.acts[0][1]["params"]["optimizer"]["name"] == "adam"
    assert steps_of(stopped, "loss") == [0]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.layer(x)
        assert labels is not None
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def test_hugging_face_logs_what_its_trainer_logs(start: Start, server: MonitorServer, tmp_path: Path) -> None:
    transformers = need("transformers")
    from training_monitor.callbacks.transformers import MonitorCallback

    x, y = load_digits(return_X_y=True)
    data = [
        {"x": torch.tensor(row, dtype=torch.float32), "labels": int(label)}
        for row, label in zip(x, y, strict=True)
    ]

    def train(monitor: TrainingMonitor) -> None:
        arguments = transformers.TrainingArguments(
            str(tmp_path), num_train_epochs=2, logging_steps=1, eval_strategy="epoch", report_to=[],
            use_cpu=True, per_device_train_batch_size=100, save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        transformers.Trainer(
            Net(),
            arguments,
            train_dataset=data[:400],
            eval_dataset=data[400:500],
            callbacks=[MonitorCallback(monitor)],
        ).train()

    with start() as monitor:
        train(monitor)
    with start("cancelled") as monitor:
        monitor._note_request("cancel")
        train(monitor)
    run, stopped = server.runs.values()
    assert steps_of(run, "loss") == list(range(1, 9))
    assert steps_of(run, "eval_loss") == [4, 8]
    assert run.acts[0][1]["params"]["num_train_epochs"] == 2
    assert steps_of(stopped, "loss") == [1]


def test_the_graph_of_a_keras_network_is_that_of_its_description() -> None:
    keras = need("keras")
    first = keras.Input((8,), name="images")
    hidden = keras.layers.Dense(8, name="hidden", trainable=False)(first)
    model = keras.Model(first, keras.layers.Add(name="sum")([first, hidden]))
    graph = json.loads(draw(model).data)
    assert graph["framework"] == "keras"
    assert sorted(map(tuple, graph["edges"])) == [
        ("hidden", "sum"), ("images", "hidden"), ("images", "sum"),
    ]  # fmt: skip
    assert (graph["parameters"], graph["trainable"]) == (72, 0)
    assert graph["nodes"][-1]["output_shapes"] == [[None, 8]]


def test_a_keras_network_without_weights_is_called_with_the_sample_for_them() -> None:
    keras = need("keras")
    model = keras.Sequential([keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")])
    with pytest.raises(MonitorError, match="sample"):
        draw(model)
    graph = json.loads(draw(model, np.zeros((1, 4), np.float32)).data)
    assert graph["edges"] == [["a", "b"]]
    assert [node["parameters"] for node in graph["nodes"]] == [15, 8]
