"""What each epoch of a training achieved and cost, and the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.monitoring.tables import RowFile, write_rows
from carbon_aware_trainer.providers.asking import utc_now

_G_PER_KG = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSummary:
    """One epoch. None is unknown, be it a part of it, or was not given."""

    epoch: int
    ended_at: str  # ISO 8601, UTC
    steps: int
    train_loss: float | None  # mean over the steps
    val_loss: float | None
    val_accuracy: float | None  # 0-1
    running_s: float
    paused_s: float
    energy_kwh: float | None
    co2_g: float | None
    saved_g: float | None  # realised, against running without any pause
    g_per_kwh: float | None  # mean of what was used


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A whole training. None is unknown; ``reason`` says why. What is unknown in part is in no sum."""

    started_at: str
    ended_at: str
    epochs: int
    steps: int
    train_loss: float | None  # of the last epoch
    best_val_loss: float | None
    best_val_accuracy: float | None
    running_s: float
    paused_s: float
    pauses: int
    energy_kwh: float | None
    energy_quality: str | None
    co2_g: float | None
    saved_g: float | None
    run_now_co2_g: float | None
    unknown_energy_s: float  # in no energy
    unknown_co2_s: float  # in no CO2
    g_per_kwh: float | None
    region: str
    provider: str
    basis: str
    reason: str | None


_LEFT_OUT = {"total_energy_kwh": "unknown_energy_duration", "total_carbon_kg": "unknown_carbon_duration"}
EPOCH_COLUMNS = tuple(field.name for field in fields(EpochSummary))


class MetricsCollector:
    """Collects epochs from what a training says it cost so far, such as ``trainer.get_carbon_metrics``.

    live: a .jsonl or .csv file to which each epoch is appended when it ends.
    """

    def __init__(
        self,
        source: Callable[[], CarbonMetrics],
        *,
        live: str | Path | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Begin the first epoch. Raises CarbonError for a file that cannot grow."""
        self._source, self._now = source, now
        self._started_at = now()
        self._before = source()
        self._loss_sum: Any = 0.0
        self._losses = 0
        self._file = None if live is None else RowFile(Path(live), EPOCH_COLUMNS)
        self.epochs: list[EpochSummary] = []

    def record_step(self, loss: Any) -> None:
        """Add the loss of a step: a number, or a tensor, which is not read before the epoch ends."""
        self._loss_sum = self._loss_sum + loss
        self._losses += 1

    def restart_epoch(self) -> None:
        """Begin the epoch anew from the sums as they are now, as after a checkpoint was loaded."""
        self._before, self._loss_sum, self._losses = self._source(), 0.0, 0

    def end_epoch(
        self, epoch: int | None = None, *, val_loss: float | None = None, val_accuracy: float | None = None
    ) -> EpochSummary:
        """Return the epoch since the last one ended, and keep it."""
        before, after = self._before, self._source()
        energy, co2 = (_known_part(after, before, name) for name in _LEFT_OUT)
        summary = EpochSummary(
            epoch=len(self.epochs) + 1 if epoch is None else epoch,
            ended_at=self._now().astimezone(UTC).isoformat(),
            steps=after.steps - before.steps,
            train_loss=float(self._loss_sum) / self._losses if self._losses else None,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            running_s=after.running_duration - before.running_duration,
            paused_s=after.paused_duration - before.paused_duration,
            energy_kwh=energy,
            co2_g=_to_grams(co2),
            saved_g=_grams(after, before, "carbon_saved_kg"),
            g_per_kwh=_to_grams(co2 / energy) if co2 is not None and energy else None,
        )
        self._before, self._loss_sum, self._losses = after, 0.0, 0
        self.epochs.append(summary)
        if self._file is not None:
            self._file.add(asdict(summary))
        return summary

    def session(self) -> SessionSummary:
        """Return the whole training up to now."""
        now = self._source()
        val_losses = [each.val_loss for each in self.epochs if each.val_loss is not None]
        accuracies = [each.val_accuracy for each in self.epochs if each.val_accuracy is not None]
        return SessionSummary(
            started_at=self._started_at.astimezone(UTC).isoformat(),
            ended_at=self._now().astimezone(UTC).isoformat(),
            epochs=len(self.epochs),
            steps=now.steps,
            train_loss=self.epochs[-1].train_loss if self.epochs else None,
            best_val_loss=min(val_losses, default=None),
            best_val_accuracy=max(accuracies, default=None),
            running_s=now.running_duration,
            paused_s=now.paused_duration,
            pauses=now.pauses,
            energy_kwh=now.total_energy_kwh,
            energy_quality=now.energy_quality,
            co2_g=_to_grams(now.total_carbon_kg),
            saved_g=_to_grams(now.carbon_saved_kg),
            run_now_co2_g=_to_grams(now.run_now_carbon_kg),
            unknown_energy_s=now.unknown_energy_duration,
            unknown_co2_s=now.unknown_carbon_duration,
            g_per_kwh=now.average_intensity,
            region=now.region,
            provider=now.provider,
            basis=now.basis,
            reason=now.reason,
        )

    def export(self, path: str | Path) -> Path:
        """Write all epochs as JSON, CSV or Parquet, by the ending of the name."""
        return write_rows(Path(path), [asdict(each) for each in self.epochs], columns=EPOCH_COLUMNS)

    def close(self) -> None:
        """Close the live file."""
        if self._file is not None:
            self._file.close()


def _known_part(after: CarbonMetrics, before: CarbonMetrics, name: str) -> float | None:
    """Return what was added to a total since; None where a part of that is unknown."""
    is_whole = after[_LEFT_OUT[name]] == before[_LEFT_OUT[name]]
    return _less(after[name], before[name] or 0.0) if is_whole else None


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _grams(after: CarbonMetrics, before: CarbonMetrics, name: str) -> float | None:
    return _to_grams(_less(after[name], before[name]))


def _to_grams(kilograms: float | None) -> float | None:
    return None if kilograms is None else kilograms * _G_PER_KG
