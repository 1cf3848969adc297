"""Keras: the metrics of epochs, and of batches where asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras.callbacks import Callback

from training_monitor.monitor import TrainingMonitor


class MonitorCallback(Callback):
    """Logs a fit to a monitor; the run ends with the monitor. Epochs count from 0, as in Keras."""

    def __init__(self, monitor: TrainingMonitor, *, every_batches: int | None = None) -> None:
        """Take the monitor. every_batches: also log each so many batches, under ``batch/``."""
        super().__init__()
        self._monitor, self._every = monitor, every_batches
        self._batches = 0

    def on_train_begin(self, _logs: Mapping[str, Any] | None = None) -> None:
        """Log what is trained how."""
        optimizer = getattr(self.model, "optimizer", None)
        how = optimizer.get_config() if optimizer is not None else {}
        self._monitor.log_params({"fit": self.params, "optimizer": how, "weights": self.model.count_params()})

    def on_train_batch_end(self, _batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log a batch where that is asked for, and stop when the page asks for it."""
        if self._every and self._batches % self._every == 0:
            named = {f"batch/{name}": value for name, value in (logs or {}).items()}
            self._monitor.log_metrics(named, self._batches)
        self._batches += 1
        if self._monitor.is_cancelled:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log an epoch."""
        self._monitor.log_metrics(logs or {}, epoch)
        self._monitor.end_epoch(epoch)
