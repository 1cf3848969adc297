"""Trainings with nothing installed but httpx and numpy, and what the rest asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_bare_library import HTTPX, MISSING, NUMPY, place, run

__all__ = ["place"]


def test_every_name_of_the_package_needs_httpx_and_numpy_only(place: Path) -> None:
    program = """
import json, sys
import carbon_aware_trainer
for name in carbon_aware_trainer.__all__:
    getattr(carbon_aware_trainer, name)
heavy = ("torch", "lightning", "mlflow", "optuna", "pandas", "pyarrow", "psutil", "pydantic", "codecarbon")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    assert json.loads(run(place, program, *HTTPX, *NUMPY)) == []


def test_a_training_runs_and_says_what_its_energy_needs(place: Path) -> None:
    program = """
from datetime import UTC, datetime
from pathlib import Path
from carbon_aware_trainer import CarbonAwareTrainer, MetricsCollector, TrainingConfig
from carbon_aware_trainer import write_report, write_sample

class Model:
    def training_step(self, batch):
        return self
    def backward(self): pass
    def step(self): pass
    def zero_grad(self): pass

write_sample(Path("carbon_data.json"), ["US-CA"], days=3, now=datetime.now(UTC))
config = TrainingConfig(carbon_threshold=3000.0)
options = dict(carbon_model="cached", region="US-CA", api_key="carbon_data.json", config=config)
with CarbonAwareTrainer(Model(), Model(), **options) as trainer:
    collector = MetricsCollector(trainer.get_carbon_metrics)
    trainer.train_step_sync((1, 2))
    collector.end_epoch()
write_report("report.html", collector, trainer.decisions)
metrics = trainer.get_carbon_metrics()
print(metrics.steps, metrics.total_energy_kwh, metrics.reason, len(trainer.decisions))
"""
    assert run(place, program, *HTTPX, *NUMPY) == "1 None The energy needs psutil. Run: pip install wattle 1"
    assert (place / "report.html").exists()


@pytest.mark.parametrize(
    ("module", "library"),
    [("pytorch", "torch"), ("lightning", "lightning"), ("mlflow", "mlflow"), ("optuna", "optuna")],
)
def test_an_integration_without_its_library_names_its_extra(place: Path, module: str, library: str) -> None:
    call = f"import carbon_aware_trainer.integrations.{module}"
    program = "import carbon_aware_trainer" + MISSING.format(call=call)
    said = f'ExtraMissing {library} is not installed. Run: pip install "wattle[{module}]"'
    assert run(place, program, *HTTPX, *NUMPY) == said


def test_an_export_as_parquet_without_pyarrow_names_its_extra(place: Path) -> None:
    call = "carbon_aware_trainer.DecisionLog().export('decisions.parquet')"
    program = "import carbon_aware_trainer" + MISSING.format(call=call)
    said = run(place, program, *HTTPX, *NUMPY)
    assert said.startswith('ExtraMissing Parquet files need pyarrow. Run: pip install "wattle[parquet]"')


def test_cross_entropy_without_torch_names_its_extra(place: Path) -> None:
    program = """
import carbon_aware_trainer
from carbon_aware_trainer.core.trainer import _cross_entropy
""" + MISSING.format(call="_cross_entropy()")
    assert run(place, program, *HTTPX, *NUMPY).startswith("ExtraMissing torch is not installed.")
