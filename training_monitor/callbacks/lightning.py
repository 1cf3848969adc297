"""PyTorch Lightning: all that a module logs, its hyperparameters, and a cancel from the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from training_monitor.monitor import TrainingMonitor


class MonitorCallback(Callback):
    """Logs a fit to a monitor, from its first process; the run ends with the monitor or when a fit raises."""

    def __init__(self, monitor: TrainingMonitor) -> None:
        """Take the monitor."""
        self._monitor = monitor

    def on_fit_start(self, trainer: Trainer, _pl_module: LightningModule) -> None:
        """Join the trainer's loggers, now that its folders are chosen by the others."""
        if trainer.is_global_zero and not any(isinstance(each, _Sink) for each in trainer.loggers):
            trainer.loggers = [*trainer.loggers, _Sink(self._monitor)]

    def on_train_batch_end(self, trainer: Trainer, *_unused: Any) -> None:
        """Stop a training of one process when the page asks for it."""
        if self._monitor.is_cancelled and trainer.world_size == 1:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, _pl_module: LightningModule) -> None:
        """Log what the epoch used; stop all processes together when the page asks for it."""
        if trainer.is_global_zero:
            self._monitor.end_epoch(trainer.current_epoch)
        if trainer.world_size > 1:
            must_stop = trainer.strategy.reduce_boolean_decision(self._monitor.is_cancelled, all=False)
            trainer.should_stop = trainer.should_stop or must_stop

    def on_exception(self, trainer: Trainer, _pl_module: LightningModule, exception: BaseException) -> None:
        """End the run: Lightning does not let every exception out."""
        if trainer.is_global_zero:
            self._monitor.finish_with(exception)


class _Sink(Logger):
    """The end of Lightning's own way to loggers, so that steps and names are those of any logger."""

    def __init__(self, monitor: TrainingMonitor) -> None:
        self._monitor = monitor

    @property
    def name(self) -> str:
        return "wattle"

    @property
    def version(self) -> str:
        return self._monitor.run_id or ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._monitor.log_metrics(metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_args: Any, **_kwargs: Any) -> None:
        self._monitor.log_params(params)
