"""Hugging Face Trainer: whatever it logs, its arguments, and a cancel from the page."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training_monitor.monitor import TrainingMonitor


class MonitorCallback(TrainerCallback):
    """Logs a training to a monitor, from its first process; the run ends with the monitor."""

    def __init__(self, monitor: TrainingMonitor) -> None:
        """Take the monitor."""
        self._monitor = monitor

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Log the arguments."""
        if state.is_world_process_zero:
            self._monitor.log_params(args.to_sanitized_dict())

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Log the numbers among what it logs."""
        if state.is_world_process_zero and logs:
            numbers = {name: value for name, value in logs.items() if isinstance(value, Real)}
            self._monitor.log_metrics(numbers, state.global_step)

    def on_epoch_end(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Log what the epoch used."""
        if state.is_world_process_zero:
            self._monitor.end_epoch(round(state.epoch or 0))

    def on_step_end(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_kwargs: Any
    ) -> None:
        """Stop when the page asks for it."""
        if self._monitor.is_cancelled:
            control.should_training_stop = True
