"""What an attempt's ending leaves in the sums, whichever way it ends."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import cast

import pytest

from carbon_aware_trainer.energy import EnergyMonitor
from carbon_aware_trainer.records import Intensity, Reading
from redis_db import RedisDB
from schema import RunError
from settings import Settings
from tests.programs import wait_until
from tests.records import running
from work.charges import Yearly
from work.messages import Ended
from work.recorder import Recorder

INTENSITY = Intensity("USA", 400.0, "static", "average", 2023, "a test")
STOPPED = Ended(outcome="stopped")
FAILED = Ended(outcome="failed", error=RunError(kind="OSError", message="m", is_retryable=True))


class SteadyMeter:
    """A meter of a load of 360 W."""

    def reading(self, start_ns: int, end_ns: int) -> Reading:
        span_s = (end_ns - start_ns) / 1e9
        return Reading(span_s, energy_j=360 * span_s, quality="measured")


class ServerMeter(SteadyMeter):
    """One of a host without a GPU."""

    gpu_facts = ()


def test_a_run_is_recorded_with_how_busy_its_host_was(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    settings = Settings(data_dir=tmp_path)
    recorder = Recorder(db, settings, lease, cast("EnergyMonitor", ServerMeter()), Yearly(INTENSITY))
    recorder.watch(os.getpid(), every_s=0.2)

    def is_recorded() -> bool:
        recorder.add_samples()
        assert recorder.journal.flush()
        return bool(db.usage.list(lease.run_id))

    wait_until(is_recorded, timeout_s=30)
    recorder.close()
    first = db.usage.list(lease.run_id)[0]
    assert {"cpu_percent", "memory_percent", "disk_percent", "process_memory_mib"} <= first.values.keys()
    assert not [name for name in first.values if name.startswith("gpu")]
    assert first.values["process_memory_mib"] > 10


def test_nothing_is_read_beside_a_simulation(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    simulated = lease.model_copy(update={"run": lease.run.model_copy(update={"simulated": True})})
    meter = cast("EnergyMonitor", ServerMeter())
    before = {thread.name for thread in threading.enumerate()}
    recorder = Recorder(db, Settings(data_dir=tmp_path), simulated, meter, Yearly(INTENSITY))
    recorder.watch(os.getpid(), every_s=0.01)
    assert {thread.name for thread in threading.enumerate()} == before
    recorder.close()


@pytest.mark.parametrize("ended", [STOPPED, FAILED], ids=["stopped", "failed"])
def test_an_attempt_that_ends_in_mid_epoch_counts_its_time_as_it_counts_its_energy(
    db: RedisDB, tmp_path: Path, ended: Ended
) -> None:
    lease = running(db)
    settings = Settings(data_dir=tmp_path)
    start_ns = time.monotonic_ns()
    recorder = Recorder(db, settings, lease, cast("EnergyMonitor", SteadyMeter()), Yearly(INTENSITY))
    recorder.end(ended)
    recorder.close()
    assert recorder.journal.flush()
    (unfinished,) = (
        cost for cost in db.accounts.list_extras(lease.run_id) if cost.name == "unfinished_epoch"
    )
    assert 0 < unfinished.span_s < (time.monotonic_ns() - start_ns) / 1e9
    run = db.runs.get(lease.run_id)
    assert run.duration_s == unfinished.duration_s
    # Of a span the store keeps five digits, of a duration six.
    assert unfinished.duration_s == pytest.approx(unfinished.span_s, rel=1e-4)
    assert run.energy_kwh is not None
