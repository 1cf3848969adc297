"""Carbon metrics in a real MLflow file store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.trainer import CarbonAwareTrainer
from carbon_aware_trainer.integrations.mlflow import CarbonMlflow
from carbon_aware_trainer.monitoring.collector import MetricsCollector
from carbon_aware_trainer.monitoring.report import write_report
from tests.carbon_parts import Clock, SteadyGauge, Weight, distance, write_grid


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlruns").as_uri()


def test_a_training_is_written_into_a_run(tmp_path: Path, store: str) -> None:
    clock, model = Clock(), Weight()
    file = write_grid(tmp_path / "grid.json", [200.0, 90.0, 90.0])
    run = CarbonMlflow.start("carbon", tracking_uri=store, name="first")
    with CarbonAwareTrainer(
        model, model, distance, carbon_model="cached", region="US-CA", api_key=file, gauge=SteadyGauge(),
        clock=clock, config=TrainingConfig(carbon_threshold=100.0),
    ) as trainer:  # fmt: skip
        trainer.on_state_change(run.listen)
        collector = MetricsCollector(trainer.get_carbon_metrics, now=clock.now)
        for _ in range(2):
            for _ in range(3):
                collector.record_step(trainer.train_step_sync((1.0, 0.0)))
                clock.pass_by(600)
            collector.end_epoch(val_accuracy=0.9)
        run.log_metrics(trainer.get_carbon_metrics(), step=6)
    report = write_report(tmp_path / "report.html", collector, trainer.decisions)
    run.log_session(collector, trainer.decisions, report=report)
    run.end()

    client = MlflowClient(store)
    written = client.get_run(run.run_id)
    assert written.info.status == "FINISHED"
    assert written.data.metrics["carbon.total_energy_kwh"] == pytest.approx(2.0)
    assert written.data.metrics["carbon.total_carbon_kg"] == pytest.approx(0.29)
    assert written.data.tags["carbon.provider"] == "cached"
    assert written.data.tags["carbon.state"] == "stopped"
    epochs = client.get_metric_history(run.run_id, "carbon.epoch.co2_g")
    assert [each.step for each in epochs] == [1, 2]
    assert [each.value for each in epochs] == pytest.approx([245.0, 45.0])
    files = {each.path for each in client.list_artifacts(run.run_id, "carbon")}
    assert files == {"carbon/session.json", "carbon/decisions.json", "carbon/report.html"}
    decisions = json.loads(Path(client.download_artifacts(run.run_id, "carbon/decisions.json")).read_text())
    assert decisions[0]["decision"] == "wait"


def test_what_is_unknown_is_left_out_and_says_why(tmp_path: Path, store: str) -> None:
    clock, model = Clock(), Weight()
    file = write_grid(tmp_path / "grid.json", [90.0])
    run = CarbonMlflow.start("carbon", tracking_uri=store)
    with CarbonAwareTrainer(
        model, model, distance, carbon_model="cached", region="US-CA", api_key=file, clock=clock,
        gauge=SteadyGauge(reason="No meter."), config=TrainingConfig(carbon_threshold=100.0),
    ) as trainer:  # fmt: skip
        trainer.train_step_sync((1.0, 0.0))
        clock.pass_by(600)
        run.log_metrics(trainer.get_carbon_metrics())
    data = MlflowClient(store).get_run(run.run_id).data
    assert "carbon.total_energy_kwh" not in data.metrics
    assert data.metrics["carbon.running_duration"] == 600
    assert data.tags["carbon.reason"] == "No meter."


def test_an_experiment_is_made_once(store: str) -> None:
    first, second = (CarbonMlflow.start("carbon", tracking_uri=store) for _ in range(2))
    client = MlflowClient(store)
    experiments = {client.get_run(run.run_id).info.experiment_id for run in (first, second)}
    assert len(experiments) == 1
    assert first.run_id != second.run_id
