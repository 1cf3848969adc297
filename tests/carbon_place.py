"""A backend and workers that follow a grid whose hours last 2 s, for tests of whole runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from safetensors.torch import load_file

from client import Client
from errors import ApiUnavailable
from schema import CarbonOptions, Run, RunOptions, Status
from tests.grid import slot_of, write_replay
from tests.ports import own_port
from tests.programs import Programs, wait_until
from trainers.saved_models import MODEL_FILE

DIRTY, CLEAN = 600.0, 50.0
HYPER_PARAMS: dict[str, JsonValue] = {
    "trainer": "cnn", "dataset": "digits", "network": "small_cnn", "optimizer": "adamw",
    "learning_rate": 0.002, "num_epochs": 12, "batch_size": 32, "seed": 3,
}  # fmt: skip
FOREVER = 3_000.0


class Place:
    """A backend and the file its intensities are from."""

    def __init__(self, programs: Programs, data_dir: Path) -> None:
        port = own_port()
        self.programs = programs
        self.data_dir = data_dir
        self.file = data_dir / "grid.json"
        self.set_grid({"DE": [(FOREVER, DIRTY)], "FR": [(FOREVER, DIRTY)]})
        self.settings: dict[str, Any] = {
            "carbon_model": "cached", "carbon_file": self.file, "carbon_stale_s": 8, "zone": "DE",
            "lease_s": 3, "port": port,
        }  # fmt: skip
        programs.start("backend.py", **self.settings)
        self.client = Client(f"http://127.0.0.1:{port}", timeout_s=20)
        self.wait(self._is_up, what="the backend answers")

    def wait(self, is_true: Callable[[], object], *, what: str, timeout_s: float = 60.0) -> None:
        """Wait for what the API tells; asked all the time, it would take a core from those who train."""
        wait_until(is_true, timeout_s=timeout_s, what=what, every_s=0.2)

    def set_grid(self, zones: dict[str, Sequence[tuple[float, float]]]) -> datetime:
        """Let the grid be that from the present slot on; returns when that began."""
        start = slot_of(datetime.now(UTC))
        write_replay(self.file, zones, start=start)
        return start

    def start_worker(self, *arguments: str, zone: str = "DE") -> None:
        self.programs.start_worker(*arguments, **{**self.settings, "zone": zone})

    def train_undisturbed(self, **changes: JsonValue) -> Run:
        """Train without a plan: what later runs are estimated from, and compared with."""
        iid = self.client.submit({**HYPER_PARAMS, **changes}).iid
        return self.wait_for_end(iid)

    def submit(self, *, num_epochs: int = 12, **carbon: object) -> str:
        """Queue a run that follows the grid, and return its id."""
        options = RunOptions(carbon=CarbonOptions.model_validate(carbon))
        return self.client.submit({**HYPER_PARAMS, "num_epochs": num_epochs}, options).iid

    def train_for(self, seconds: float) -> Run:
        """Train undisturbed for about so long, however fast this machine is now."""
        probe = self.train_undisturbed()
        epoch_s = (probe.duration_s or 1.0) / probe.epochs_done
        return self.train_undisturbed(num_epochs=max(12, math.ceil(seconds / epoch_s)))

    def wait_for_end(self, iid: str) -> Run:
        self.wait(lambda: self.client.get_run(iid).status.is_final, timeout_s=240, what="the run has ended")
        run = self.client.get_run(iid)
        assert run.status is Status.DONE, run.status_line
        return run

    def weights_of(self, iid: str) -> dict[str, torch.Tensor]:
        weights: dict[str, torch.Tensor] = load_file(self.data_dir / "models" / iid / "last" / MODEL_FILE)
        return weights

    def log_of(self, iid: str) -> str:
        return "\n".join(line.text for line in self.client.list_log(iid).lines)

    def _is_up(self) -> bool:
        try:
            return self.client.get_health().status == "ok"
        except ApiUnavailable:
            return False
