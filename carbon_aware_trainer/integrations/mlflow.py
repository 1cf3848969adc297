"""Carbon metrics of a training in an MLflow run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from carbon_aware_trainer.core.decisions import DecisionLog
from carbon_aware_trainer.core.metrics import CarbonMetrics
from carbon_aware_trainer.core.taking import StateChange
from carbon_aware_trainer.integrations.needed import missing
from carbon_aware_trainer.monitoring.collector import EpochSummary, MetricsCollector
from carbon_aware_trainer.plans import Decision
from carbon_aware_trainer.providers.asking import utc_now

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag
except ModuleNotFoundError as err:
    raise missing(err) from err

_PREFIX = "carbon."
_EPOCH = (
    "energy_kwh",
    "co2_g",
    "saved_g",
    "g_per_kwh",
    "running_s",
    "paused_s",
    "train_loss",
    "val_loss",
    "val_accuracy",
)


class CarbonMlflow:
    """Writes into one run of an MLflow store. What is unknown is left out, and its reason is a tag."""

    def __init__(
        self, run_id: str, *, client: MlflowClient | None = None, tracking_uri: str | None = None
    ) -> None:
        """Take the run, and where it is: by default MLflow's own tracking URI."""
        self._run_id, self._client = run_id, client or MlflowClient(tracking_uri)

    @classmethod
    def start(
        cls, experiment: str, *, tracking_uri: str | None = None, name: str | None = None
    ) -> CarbonMlflow:
        """Begin a run in an experiment, which is made where it is not there."""
        client = MlflowClient(tracking_uri)
        found = client.get_experiment_by_name(experiment)
        experiment_id = client.create_experiment(experiment) if found is None else found.experiment_id
        run = client.create_run(experiment_id, run_name=name)
        return cls(run.info.run_id, client=client)

    @property
    def run_id(self) -> str:
        """Whose metrics they are."""
        return self._run_id

    def log_metrics(self, metrics: CarbonMetrics, *, step: int = 0) -> None:
        """Write what a training cost up to a step."""
        values = metrics.as_dict()
        self._log({name: values[name] for name in values if _is_number(values[name])}, step)
        self._tag(
            {name: values[name] for name in ("region", "provider", "basis", "energy_quality", "reason")}
        )

    def log_epoch(self, epoch: EpochSummary) -> None:
        """Write one epoch, as its own step."""
        values = asdict(epoch)
        self._log({f"epoch.{name}": values[name] for name in _EPOCH if values[name] is not None}, epoch.epoch)

    def log_decisions(self, decisions: DecisionLog) -> None:
        """Write every decision as the artifact carbon/decisions.json."""
        self._client.log_text(self._run_id, json.dumps(decisions.rows(), indent=1), "carbon/decisions.json")

    def log_session(
        self, collector: MetricsCollector, decisions: Sequence[Decision] = (), *, report: Path | None = None
    ) -> None:
        """Write all epochs and the sums; ``report``: a file that is kept as an artifact, too."""
        for epoch in collector.epochs:
            self.log_epoch(epoch)
        self._client.log_dict(self._run_id, asdict(collector.session()), "carbon/session.json")
        if isinstance(decisions, DecisionLog):
            self.log_decisions(decisions)
        if report is not None:
            self._client.log_artifact(self._run_id, str(report), "carbon")

    def listen(self, change: StateChange) -> None:
        """Write the state of a training: give this to its ``on_state_change``."""
        self._tag({"state": change.state, "state_reason": change.reason})

    def end(self, status: str = "FINISHED") -> None:
        """End the run."""
        self._client.set_terminated(self._run_id, status)

    def _log(self, values: Mapping[str, float], step: int) -> None:
        at = round(utc_now().timestamp() * 1000)
        metrics = [Metric(f"{_PREFIX}{name}", float(value), at, step) for name, value in values.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _tag(self, values: Mapping[str, Any]) -> None:
        tags = [RunTag(f"{_PREFIX}{name}", str(value)) for name, value in values.items() if value is not None]
        self._client.log_batch(self._run_id, tags=tags)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
