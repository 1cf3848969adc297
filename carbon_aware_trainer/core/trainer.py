"""A training loop's step that waits for clean hours and knows what it cost."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Unpack

from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.decisions import DecisionLog
from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.core.opening import Options, device_of, open_session
from carbon_aware_trainer.core.session import CarbonSession, reason_of
from carbon_aware_trainer.core.taking import Listener
from carbon_aware_trainer.errors import CarbonError

__all__ = ["CarbonAwareTrainer", "TrainingConfig"]


class CarbonAwareTrainer:
    """Trains a model step by step while the grid is clean, as a context manager, also an async one.

    Model and optimizer are used by what they can do: ``model(inputs)`` or ``model.training_step(batch)``,
    ``loss.backward()``, ``optimizer.step()`` and ``optimizer.zero_grad()``.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss_fn: Callable[[Any, Any], Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Take what is trained, and the options named in ``Options``; ``region`` is needed.

        Raises UnknownZone, UnknownModel, KeyRefused and other CarbonErrors for what cannot work.
        """
        if not options.get("region"):
            raise CarbonError('Name the region whose grid counts, such as region="US-CA".')
        self.model, self.optimizer, self.loss_fn = model, optimizer, loss_fn
        self.session: CarbonSession = open_session(device_of(model), options)

    @property
    def config(self) -> TrainingConfig:
        """What it does about carbon."""
        return self.session.config

    @property
    def decisions(self) -> DecisionLog:
        """What was decided when and why, oldest first."""
        return self.session.decisions

    async def train_step(self, batch: Any) -> Any:
        """Wait until the grid is clean, then train on one batch, ``(inputs, targets)``; return its loss.

        The loss comes without its graph, as a tensor where it is one: reading it waits for the device.
        """
        await self.session.abefore_step()
        return self._train(batch)

    def train_step_sync(self, batch: Any) -> Any:
        """Do as ``train_step`` outside an event loop."""
        self.session.before_step()
        return self._train(batch)

    def on_state_change(self, listener: Listener) -> Listener:
        """Tell a function, which may be async, of every change: running, paused or stopped, and why."""
        return self.session.on_state_change(listener)

    def run_now(self, reason: str = "Run now was asked for.") -> None:
        """Wait no more, from this moment on; from any thread."""
        self.session.run_now(reason)

    def get_carbon_metrics(self) -> CarbonMetrics:
        """Return what the training cost up to now, or altogether once it is done."""
        return self.session.metrics()

    def __enter__(self) -> CarbonAwareTrainer:
        """Begin to measure."""
        self.session.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Measure no more."""
        self.session.close(reason_of(kind, error))

    async def __aenter__(self) -> CarbonAwareTrainer:
        """Begin to measure."""
        await self.session.aopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Measure no more."""
        await self.session.aclose(reason_of(kind, error))

    def _train(self, batch: Any) -> Any:
        self.optimizer.zero_grad()
        loss = self._loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss.detach() if hasattr(loss, "detach") else loss

    def _loss(self, batch: Any) -> Any:
        if self.loss_fn is None and hasattr(self.model, "training_step"):
            return _own_loss(self.model, batch, self.session.steps - 1)
        inputs, targets = batch
        return (self.loss_fn or _cross_entropy())(self.model(inputs), targets)


def _own_loss(model: Any, batch: Any, index: int) -> Any:
    """Return what the model's own step gives; some want the number of the batch, some give a dict."""
    step = model.training_step
    wants_index = len(inspect.signature(step).parameters) > 1
    loss = step(batch, index) if wants_index else step(batch)
    return loss["loss"] if isinstance(loss, dict) else loss


def _cross_entropy() -> Callable[[Any, Any], Any]:
    from carbon_aware_trainer.integrations.pytorch import cross_entropy  # the only loss that needs torch

    return cross_entropy
