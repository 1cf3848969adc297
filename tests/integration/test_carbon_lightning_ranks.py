"""The callback where Lightning trains in two processes: the first decides for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.carbon_parts import write_grid

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
from trainers.torchvision_cpu import declare_operators
declare_operators()
import lightning.pytorch as pl
from tests.carbon_parts import Clock, SteadyGauge
from tests.integration.test_carbon_lightning import Classifier, loader, model_of
from carbon_aware_trainer.integrations.lightning import CarbonAwareCallback

if __name__ == "__main__":
    folder, clock = Path(sys.argv[1]), Clock()
    callback = CarbonAwareCallback(
        regions=["US-CA"], carbon_model="cached", api_key=str(folder / "grid.json"), pause_threshold=150.0,
        gauge=SteadyGauge(), clock=clock, checkpoint_on_pause=folder / "paused.ckpt",
    )
    model = model_of(clock)
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=4, callbacks=[callback], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(model, loader(8))
    weight = model.layer.weight.sum().item()
    told = {"steps": len(model.began_at), "weight": weight, "waits": len(clock.waits)}
    if trainer.is_global_zero:
        told["pauses"] = callback.get_carbon_metrics().pauses
    (folder / f"rank-{trainer.global_rank}.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
def test_two_processes_pause_and_go_on_together(tmp_path: Path) -> None:
    write_grid(tmp_path / "grid.json", [100.0, 300.0, 100.0, 100.0])
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path)], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert (first["steps"], second["steps"]) == (16, 16)
    assert (first["pauses"], second["waits"]) == (1, 0)
    assert first["waits"] == 60, "an hour in minutes: nobody waits in a broadcast for longer"
    assert first["weight"] == second["weight"]
    assert (tmp_path / "paused.ckpt").exists()
