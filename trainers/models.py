"""The best and the last weights of a training, and how they become files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from schema import EpochResult, Metrics, ModelName, TrainingContext
from trainers.cards import (
    LICENCE_UNKNOWN,
    OPTIMISTIC,
    Card,
    FileFacts,
    ImageFacts,
    describe_dataset,
    is_better,
)
from trainers.datasets import Dataset
from trainers.saved_models import CARD_FILE, MODEL_FILE, STATE_DICT_FILE, write_card
from trainers.training import Training

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """The weights after an epoch, and what they achieved."""

    epoch: int
    metrics: Metrics
    weights: Weights


@dataclass(frozen=True)
class Kept:
    """The best and the last epoch so far; None before the first."""

    best: Snapshot | None = None
    last: Snapshot | None = None

    def after(self, snapshot: Snapshot) -> Kept:
        """Return what to keep after one more epoch."""
        is_best = self.best is None or is_better(snapshot.metrics, self.best.metrics)
        return Kept(snapshot if is_best else self.best, snapshot)

    def to_tree(self, *, is_epoch_start: bool) -> dict[str, object]:
        """Return it as plain containers, no weights twice.

        At the start of an epoch the network itself still has the last ones.
        """
        last = _to_tree(self.last, has_weights=not is_epoch_start)
        return {"last": last, "best": None if self.best is self.last else _to_tree(self.best)}

    @classmethod
    def from_tree(cls, tree: dict[str, Any], network: Weights) -> Kept:
        """Return what ``to_tree`` took apart; ``network`` are the weights beside it."""
        last = _from_tree(tree["last"], network)
        return cls(_from_tree(tree["best"], network) or last, last)


def _to_tree(snapshot: Snapshot | None, *, has_weights: bool = True) -> dict[str, object] | None:
    if snapshot is None:
        return None
    weights = snapshot.weights if has_weights else None
    return {"epoch": snapshot.epoch, "metrics": snapshot.metrics.model_dump(), "weights": weights}


def _from_tree(tree: dict[str, Any] | None, network: Weights) -> Snapshot | None:
    if tree is None:
        return None
    weights = network if tree["weights"] is None else tree["weights"]
    return Snapshot(tree["epoch"], Metrics.model_validate(tree["metrics"]), weights)


def take_snapshot(training: Training, result: EpochResult) -> Snapshot:
    """Copy the weights, which the network goes on to change, to the CPU: a device's memory is scarce.

    A sync point.
    """
    state = training.network.state_dict()
    weights = {name: value.detach().to("cpu", copy=True) for name, value in state.items()}
    return Snapshot(result.epoch, Metrics.of(result), weights)


class ModelWriter:
    """Writes the models of one run."""

    def __init__(
        self,
        context: TrainingContext,
        dataset: Dataset,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._context = context
        self._dataset = dataset
        self._now = now

    @property
    def has_place(self) -> bool:
        """True where models are written: elsewhere no weights need be kept for them."""
        return self._context.models is not None

    def write(self, training: Training, kept: Kept) -> None:
        """Write the best and the last model, replacing earlier ones. Raises OSError."""
        if self._context.models is None or kept.best is None or kept.last is None:
            return
        self._context.models.write("best", self._to_files("best", training, kept.best))
        self._context.models.write("last", self._to_files("last", training, kept.last))

    def _to_files(self, name: ModelName, training: Training, snapshot: Snapshot) -> dict[str, bytes]:
        weights = to_portable(snapshot.weights)
        metadata = describe_use(training, epoch=snapshot.epoch, run_id=self._context.run_id)
        files = {MODEL_FILE: save(weights, metadata=metadata)}
        if name == "best":
            files[STATE_DICT_FILE] = _pickle(weights)
        card = self._make_card(name, training, snapshot, files)
        return {**files, CARD_FILE: write_card(card)}

    def _make_card(
        self, name: ModelName, training: Training, snapshot: Snapshot, files: dict[str, bytes]
    ) -> Card:
        data, hyper_params = training.data, training.hyper_params
        by_test = data.validation is None
        return Card(
            run_id=self._context.run_id,
            model=name,
            trainer=hyper_params.trainer,
            network=hyper_params.network,
            classes=data.classes,
            class_names=data.class_names,
            input=ImageFacts(
                channels=data.channels,
                side=data.side,
                mean=tuple(data.mean.flatten().tolist()),
                std=tuple(data.std.flatten().tolist()),
            ),
            dataset=describe_dataset(
                self._dataset,
                train=len(data.train),
                validation=0 if data.validation is None else len(data.validation),
                test=len(data.test),
                folder=hyper_params.image_folder,
            ),
            hyper_params=hyper_params.model_dump(mode="json"),
            epoch=snapshot.epoch,
            chosen_on="last epoch" if name == "last" else "test" if by_test else "validation",
            chosen_note=OPTIMISTIC if name == "best" and by_test else None,
            metrics=snapshot.metrics,
            files={
                file: FileFacts(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
                for file, content in files.items()
            },
            licence=self._context.model_licence or LICENCE_UNKNOWN,
            created_at=self._now(),
        )


def to_portable(weights: Weights) -> Weights:
    """Return the weights on the CPU in the plain memory order, bits unchanged, no two sharing memory."""
    return {name: torch.empty(value.shape, dtype=value.dtype).copy_(value) for name, value in weights.items()}


def describe_use(training: Training, *, epoch: int, run_id: str) -> dict[str, str]:
    """Return what is needed to use the weights without the card; safetensors takes text alone."""
    data, hyper_params = training.data, training.hyper_params
    return {
        "format": "pt",
        "run_id": run_id,
        "epoch": str(epoch),
        "network": hyper_params.network,
        "dropout": str(hyper_params.dropout),
        "channels": str(data.channels),
        "side": str(data.side),
        "classes": str(data.classes),
        "class_names": json.dumps(data.class_names),
        "mean": json.dumps(data.mean.flatten().tolist()),
        "std": json.dumps(data.std.flatten().tolist()),
    }


def _pickle(weights: Weights) -> bytes:
    """Return the file that torch.load reads with weights_only=True."""
    stream = io.BytesIO()
    torch.save(weights, stream)
    return stream.getvalue()
