"""Runs as runs of MLflow, where MLFLOW_TRACKING_URI says; an experiment per project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from schema import EpochResult, Run, Status
from settings import Settings

_STATUSES: Final = {Status.DONE: "FINISHED", Status.FAILED: "FAILED", Status.CANCELLED: "KILLED"}
_EPOCH: Final = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "validation_loss", "validation_accuracy"),
    *("duration_s", "energy_kwh", "co2_g"),
)
_RUN: Final = ("best_accuracy", "last_loss", "energy_kwh", "co2_g", "duration_s", "accuracy_per_kwh")
# What MLflow takes at once, and of one value.
_PARAMS_AT_ONCE, _METRICS_AT_ONCE, _LONGEST = 100, 1_000, 500
_END_TAG: Final = "wattle.end"


class MlflowExporter:
    """Makes a run of MLflow, with hyperparameters, figures of every epoch and tags; no unknown ones."""

    def __init__(self, settings: Settings) -> None:
        self._client = MlflowClient()
        self._page_url = settings.page_url.rstrip("/")

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        """Make the run; one of the same end is left as it is, one that is older or half made is replaced."""
        end = f"{run.attempt} {_ms(run.ended_at)}"
        experiment_id = self._experiment(run.options.project)
        for known in self._client.search_runs([experiment_id], f"tags.`wattle.run_id` = '{run.run_id}'"):
            if known.data.tags.get(_END_TAG) == end and known.info.status in _STATUSES.values():
                return
            self._client.delete_run(known.info.run_id)
        tags = {
            "wattle.run_id": run.run_id,
            _END_TAG: end,
            "wattle.page": f"{self._page_url}/run?iid={run.run_id}",
        }
        made = self._client.create_run(
            experiment_id,
            start_time=_ms(run.started_at or run.time_added),
            run_name=run.name or run.run_id,
            tags=tags,
        )
        self._log(made.info.run_id, run, epochs)
        self._client.set_terminated(made.info.run_id, _STATUSES[run.status], _ms(run.ended_at))

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    def _log(self, mlflow_id: str, run: Run, epochs: Sequence[EpochResult]) -> None:
        params = [Param(name, str(value)[:_LONGEST]) for name, value in run.hyper_params.items()]
        for start in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(mlflow_id, params=params[start : start + _PARAMS_AT_ONCE])
        metrics = [*_metrics_of(run, epochs)]
        for start in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(mlflow_id, metrics=metrics[start : start + _METRICS_AT_ONCE])
        stated = {"status_reason": run.status_reason, "energy_quality": run.energy_quality}
        tags = [RunTag(f"wattle.{name}", value[:_LONGEST]) for name, value in stated.items() if value]
        tags += [RunTag(f"wattle.tag.{number}", tag) for number, tag in enumerate(run.options.tags)]
        self._client.log_batch(mlflow_id, tags=tags)


def _metrics_of(run: Run, epochs: Sequence[EpochResult]) -> Iterator[Metric]:
    for result in epochs:
        for name in _EPOCH:
            if (value := getattr(result, name)) is not None:
                yield Metric(f"epoch/{name}", value, _ms(result.ended_at or run.ended_at), result.epoch)
    for name in _RUN:
        if (value := getattr(run, name)) is not None:
            yield Metric(name, value, _ms(run.ended_at), run.epochs_done)


def _ms(time: datetime | None) -> int:
    return 0 if time is None else round(1000 * time.timestamp())
