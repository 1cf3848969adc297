"""A Lightning callback that makes any training wait for clean hours, and says what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from carbon_aware_trainer.core.clock import SystemClock
from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.decisions import DecisionLog
from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.core.opening import Options, open_session
from carbon_aware_trainer.core.session import CarbonSession, reason_of
from carbon_aware_trainer.core.taking import Listener
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.integrations.needed import missing

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
except ModuleNotFoundError as err:
    raise missing(err) from err

# Processes that wait for the first one give up after 10 minutes with NCCL, 30 with Gloo.
_LONGEST_SLEEP_S = 60.0
_LOGGED = {
    "total_carbon_kg": "carbon/total_kg",
    "total_energy_kwh": "carbon/energy_kwh",
    "carbon_saved_kg": "carbon/saved_kg",
    "current_intensity": "carbon/intensity_g_per_kwh",
    "paused_duration": "carbon/paused_s",
    "unknown_carbon_duration": "carbon/unknown_s",
    "pauses": "carbon/pauses",
}


class CarbonAwareCallback(Callback):
    """Waits before a batch while the grid is dirty; the grid is that of the first of ``regions``.

    Of several processes, the first decides for all of them. Energy is that of the first one's machine.
    Sums are logged after each epoch, saved in Lightning's checkpoints and go on when one is loaded.
    """

    def __init__(
        self,
        *,
        regions: Sequence[str],
        carbon_threshold: float | None = None,
        pause_threshold: float | None = None,
        resume_threshold: float | None = None,
        checkpoint_on_pause: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Take thresholds as in TrainingConfig, or a whole ``config``, and the options of CarbonAwareTrainer.

        checkpoint_on_pause: where to save a checkpoint when a pause begins, so that the machine may be given
        back. Raises CarbonError for what cannot work.
        """
        if not regions or isinstance(regions, str):
            raise CarbonError("Give the regions as a list, such as regions=['US-CA']; the first one counts.")
        thresholds = (carbon_threshold, pause_threshold, resume_threshold)
        if options.get("config") is not None and thresholds != (None, None, None):
            raise CarbonError("Give either thresholds or a config that has them.")
        config = options.get("config") or TrainingConfig(
            carbon_threshold=carbon_threshold,
            pause_threshold=pause_threshold,
            resume_threshold=resume_threshold,
        )
        self._clock = options.get("clock") or SystemClock()
        self._options = Options(**{**options, "config": config, "clock": self._clock, "region": regions[0]})
        open_session("cpu", self._options)  # what cannot work is said before anything is trained
        self._config, self._checkpoint = config, checkpoint_on_pause
        self._listeners: list[Listener] = []
        self._session: CarbonSession | None = None
        self._earlier: dict[str, Any] | None = None

    @property
    def decisions(self) -> DecisionLog:
        """What was decided when and why; empty before the training, and in all processes but the first."""
        return DecisionLog() if self._session is None else self._session.decisions

    def on_state_change(self, listener: Listener) -> Listener:
        """Tell a function, in the first process, of every change: running, paused or stopped, and why."""
        self._listeners.append(listener)
        if self._session is not None:
            self._session.on_state_change(listener)
        return listener

    def run_now(self, reason: str = "Run now was asked for.") -> None:
        """Wait no more, from this moment on; from any thread of the first process."""
        if self._session is not None:
            self._session.run_now(reason)

    def get_carbon_metrics(self) -> CarbonMetrics:
        """Return what the training cost up to now. Raises CarbonError before it began."""
        if self._session is None:
            raise CarbonError("The training has not begun, or this is not its first process.")
        return self._session.metrics().plus(self._earlier)

    def on_fit_start(self, trainer: Trainer, _pl_module: LightningModule) -> None:
        """Begin to measure."""
        if trainer.is_global_zero:
            device, count = str(trainer.strategy.root_device), trainer.num_devices
            self._session = open_session(
                device, self._options, gpus=count if device.startswith("cuda") else 1
            )
            self._session.metrics().plus(self._earlier)  # refuses sums on another basis before any step
            for listener in self._listeners:
                self._session.on_state_change(listener)
            self._session.open()

    def on_train_batch_start(
        self,
        trainer: Trainer,
        _pl_module: LightningModule,
        _batch: Any,
        _batch_idx: int,
    ) -> None:
        """Wait until the grid is clean, all processes together."""
        if self._session is not None:
            self._session.steps += 1
        has_waited = False
        while self._must_wait(trainer):
            if not has_waited and self._checkpoint is not None:
                trainer.save_checkpoint(self._checkpoint)
            has_waited = True
            if self._session is not None:
                wait_s = self._config.check_interval
                self._clock.sleep(wait_s if trainer.world_size == 1 else min(wait_s, _LONGEST_SLEEP_S))

    def on_train_epoch_end(self, _trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the sums."""
        if self._session is not None:
            metrics = self.get_carbon_metrics()
            known = {_LOGGED[name]: float(metrics[name]) for name in _LOGGED if metrics[name] is not None}
            pl_module.log_dict(known, rank_zero_only=True)

    def on_fit_end(self, _trainer: Trainer, _pl_module: LightningModule) -> None:
        """Measure no more."""
        self._close("The training is done.")

    def on_exception(self, _trainer: Trainer, _pl_module: LightningModule, exception: BaseException) -> None:
        """Measure no more."""
        self._close(reason_of(type(exception), exception))

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for Lightning's checkpoint."""
        return {} if self._session is None else {"carbon": self.get_carbon_metrics().as_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the sums of a checkpoint; the training does not start when they are on another basis."""
        self._earlier = state_dict.get("carbon")

    def _must_wait(self, trainer: Trainer) -> bool:
        """Ask the first process, which looks at the grid where that is due."""
        mine = self._session is not None and self._session.poll() == "wait"
        return mine if trainer.world_size == 1 else bool(trainer.strategy.broadcast(mine))

    def _close(self, reason: str) -> None:
        if self._session is not None:
            self._session.close(reason)
