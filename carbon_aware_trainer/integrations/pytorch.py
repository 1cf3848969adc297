"""A PyTorch training that waits for clean hours: mixed precision, compiling, validation, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Unpack

from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.core.opening import Options, open_session
from carbon_aware_trainer.core.session import CarbonSession, reason_of
from carbon_aware_trainer.core.taking import Listener
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.integrations.needed import missing
from carbon_aware_trainer.integrations.state_files import load_state, save_state
from carbon_aware_trainer.monitoring.collector import EpochSummary, MetricsCollector

try:
    import torch
    from torch import nn
except ModuleNotFoundError as err:
    raise missing(err) from err

Precision = Literal["fp32", "bf16", "fp16"]
Batches = Iterable[tuple[Any, Any]]
Loss = Callable[[Any, Any], torch.Tensor]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
cross_entropy: Loss = nn.functional.cross_entropy


@dataclass(frozen=True, slots=True)
class Validation:
    """How a model does on data it was not trained on; accuracy is None where the output is no class."""

    loss: float
    accuracy: float | None


class CarbonAwarePyTorchTrainer:
    """Trains a module on batches ``(inputs, targets)``, waiting before a step while the grid is dirty.

    A context manager; ``fit`` outside of one is one by itself. precision: of the forward pass; fp16 scales
    its gradients. compile: with torch.compile, whose time counts as running.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_fn: Loss | None = None,
        *,
        lr_scheduler: Any = None,
        device: str | torch.device | None = None,
        precision: Precision = "fp32",
        compile: bool = False,  # noqa: A002 torch's own word
        live: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Take what is trained, and the options of CarbonAwareTrainer; ``live`` is a file of the epochs.

        lr_scheduler: stepped after each epoch. Raises CarbonError for what cannot work.
        """
        if not options.get("region"):
            raise CarbonError('Name the region whose grid counts, such as region="US-CA".')
        if precision not in ("fp32", *_TYPES):
            raise CarbonError(f"The precision {precision!r} does not exist. Use fp32, bf16 or fp16.")
        self.device = torch.device(device) if device is not None else _device_of(model)
        self.model, self.optimizer, self.loss_fn = model.to(self.device), optimizer, loss_fn or cross_entropy
        self.lr_scheduler, self.precision = lr_scheduler, precision
        self.epoch = 0
        self.session: CarbonSession = open_session(str(self.device), options)
        self.collector: MetricsCollector | None = None
        self._forward: Any = torch.compile(model) if compile else model
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self._earlier: dict[str, Any] | None = None
        self._live = live

    def fit(
        self,
        train: Batches,
        *,
        epochs: int,
        validation: Batches | None = None,
        checkpoint: str | Path | None = None,
    ) -> list[EpochSummary]:
        """Train up to the epoch numbered ``epochs`` and return those trained; each ends with a checkpoint."""
        if self.collector is None:
            with self:
                return self.fit(train, epochs=epochs, validation=validation, checkpoint=checkpoint)
        while self.epoch < epochs:
            self.train_epoch(train)
            result = self.validate(validation) if validation is not None else None
            self.collector.end_epoch(
                self.epoch,
                val_loss=None if result is None else result.loss,
                val_accuracy=None if result is None else result.accuracy,
            )
            if checkpoint is not None:
                self.save_checkpoint(checkpoint)
        return list(self.collector.epochs)

    def train_epoch(self, batches: Batches) -> None:
        """Train on every batch once."""
        self.model.train()
        for batch in batches:
            loss = self.train_step(batch)
            if self.collector is not None:
                self.collector.record_step(loss)
        if self.lr_scheduler is not None:
            self.lr_scheduler.step()
        self.epoch += 1

    def train_step(self, batch: tuple[Any, Any]) -> torch.Tensor:
        """Wait until the grid is clean, then train on a batch; return its loss, still on the device."""
        self.session.before_step()
        inputs, targets = self._moved(batch)
        self.optimizer.zero_grad(set_to_none=True)
        with self._cast():
            loss = self.loss_fn(self._forward(inputs), targets)
        self._scaler.scale(loss).backward()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return loss.detach()

    @torch.no_grad()
    def validate(self, batches: Batches) -> Validation:
        """Return mean loss and accuracy over all samples, with the model in evaluation mode meanwhile."""
        was_training = self.model.training
        self.model.eval()
        count, loss, right, is_classes = 0, torch.zeros((), device=self.device), 0, True
        for batch in batches:
            inputs, targets = self._moved(batch)
            with self._cast():
                outputs = self._forward(inputs)
                mean = self.loss_fn(outputs, targets)
            count, loss = count + len(targets), loss + mean.float() * len(targets)
            is_classes = (
                is_classes and outputs.ndim == 2 and not targets.is_floating_point() and targets.ndim == 1
            )
            if is_classes:
                right = right + (outputs.argmax(1) == targets).sum()
        self.model.train(was_training)
        if not count:
            raise CarbonError("There is nothing to validate on: the batches are empty.")
        return Validation(float(loss) / count, int(right) / count if is_classes else None)

    def save_checkpoint(self, path: str | Path) -> Path:
        """Save all of the training as one .safetensors file, and its carbon metrics beside it as .json."""
        path, metrics = Path(path).with_suffix(".safetensors"), self.get_carbon_metrics().as_dict()
        save_state(
            path,
            {
                "epoch": self.epoch,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "lr_scheduler": None if self.lr_scheduler is None else self.lr_scheduler.state_dict(),
                "scaler": self._scaler.state_dict(),
                "random": _random_state(),
                "carbon": metrics,
            },
        )
        path.with_suffix(".json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        return path

    def load_checkpoint(self, path: str | Path) -> CarbonMetrics:
        """Go on where a checkpoint was saved, sums of energy and CO2 included; return them.

        Raises CarbonError for a file that is none, BasesMixed when the sums are on another basis.
        """
        state = load_state(Path(path).with_suffix(".safetensors"), device=str(self.device))
        self.session.metrics().plus(state["carbon"])  # raises before anything is changed
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.lr_scheduler is not None and state["lr_scheduler"] is not None:
            self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        self._scaler.load_state_dict(state["scaler"])
        _set_random_state(state["random"])
        self.epoch, self._earlier = state["epoch"], state["carbon"]
        if self.collector is not None:
            self.collector.restart_epoch()
        return self.get_carbon_metrics()

    def get_carbon_metrics(self) -> CarbonMetrics:
        """Return what the training cost up to now, what a loaded checkpoint had cost included."""
        return self.session.metrics().plus(self._earlier)

    def on_state_change(self, listener: Listener) -> Listener:
        """Tell a function of every change: running, paused or stopped, and why."""
        return self.session.on_state_change(listener)

    def __enter__(self) -> CarbonAwarePyTorchTrainer:
        """Begin to measure."""
        self.session.open()
        self.collector = MetricsCollector(self.get_carbon_metrics, live=self._live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Measure no more."""
        self.session.close(reason_of(kind, error))
        if self.collector is not None:
            self.collector.close()

    def _moved(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        inputs, targets = batch
        return inputs.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)

    def _cast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_TYPES[self.precision])


def _device_of(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _random_state() -> dict[str, Any]:
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])
