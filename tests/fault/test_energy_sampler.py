"""Whatever happens to the sampler of a machine, training goes on, and what is not known is said."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from pydantic import JsonValue

from redis_db import RedisDB
from schema import EpochResult, Status, Worker
from tests.fault.acts import command_of
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the workers of this test share their samples."""
    return tmp_path / "data" / "energy" / "auto"


def header(folder: Path) -> dict[str, object]:
    """The newest header of the log: who samples."""
    path = folder / "samples.jsonl"
    if not path.exists():
        return {}
    headers = [line for line in path.read_text().splitlines() if line.startswith('{"session"')]
    return dict(json.loads(headers[-1])) if headers else {}


def sampler_pid(folder: Path) -> int | None:
    pid = header(folder).get("pid")
    return int(str(pid)) if pid else None


def start_two_workers(
    programs: Programs, folder: Path
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """Start the one that samples first."""
    first = programs.start_worker(lease_s=1)
    wait_until(lambda: sampler_pid(folder) == first.pid, what="the first worker samples")
    second = programs.start_worker(lease_s=1)
    wait_until(lambda: (folder / "workers" / f"{second.pid}.json").exists(), what="the second worker joins")
    return first, second


def train(store: RedisDB, *, num_epochs: int = 100, epoch_s: float = 0.05) -> str:
    params: dict[str, JsonValue] = {
        "trainer": "sleepy",
        "num_epochs": num_epochs,
        "epoch_s": epoch_s,
        "seed": 0,
    }
    return store.queue.submit(params).run_id


def epochs(store: RedisDB, run_id: str) -> list[EpochResult]:
    return store.runs.list_epochs(run_id)


def test_when_the_elected_worker_is_killed_another_samples_at_once(
    store: RedisDB, programs: Programs, folder: Path
) -> None:
    first, second = start_two_workers(programs, folder)
    session = header(folder)["session"]
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: sampler_pid(folder) == second.pid)
    assert header(folder)["session"] != session
    run_id = train(store, num_epochs=3)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE)
    assert all(result.energy_kwh is not None for result in epochs(store, run_id))
    assert not (folder / "workers" / f"{first.pid}.json").exists(), "the dead one was taken off the roster"


def test_the_run_of_another_worker_loses_only_the_moment_of_the_takeover(
    store: RedisDB, programs: Programs, folder: Path
) -> None:
    first = programs.start_worker("--queues", "nothing", lease_s=1)
    wait_until(lambda: sampler_pid(folder) == first.pid)
    programs.start_worker(lease_s=1)
    run_id = train(store, num_epochs=60)
    wait_until(lambda: len(epochs(store, run_id)) > 5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE)
    recorded = epochs(store, run_id)
    unknown = [result for result in recorded if result.energy_kwh is None]
    assert len(recorded) == 60
    assert recorded[-1].energy_kwh is not None
    assert 0 < len(unknown) < 40
    for result in unknown:
        assert "sampler" in (result.energy_reason or "")


def test_a_sampler_that_hangs_stops_no_training(store: RedisDB, programs: Programs, folder: Path) -> None:
    first = programs.start_worker("--queues", "nothing")
    wait_until(lambda: sampler_pid(folder) == first.pid)
    first.send_signal(signal.SIGSTOP)
    programs.start_worker()
    run_id = train(store, num_epochs=20)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE)
    reasons = {result.energy_reason for result in epochs(store, run_id)}
    assert reasons == {"The energy sampler of this machine does not answer."}
    first.send_signal(signal.SIGCONT)


def test_a_log_that_vanishes_stops_no_training(store: RedisDB, programs: Programs, folder: Path) -> None:
    worker = programs.start_worker()
    wait_until(lambda: sampler_pid(folder) == worker.pid)
    run_id = train(store, num_epochs=40)
    wait_until(lambda: len(epochs(store, run_id)) > 3)
    shutil.rmtree(folder)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE)
    assert len(epochs(store, run_id)) == 40
    assert all(result.energy_kwh or result.energy_reason for result in epochs(store, run_id))


def test_a_run_is_recorded_with_its_sources_shares_and_power(
    store: RedisDB, programs: Programs, folder: Path
) -> None:
    worker = programs.start("worker.py", "--device", "cpu", "--threads", "1", pue=1.5, meter="estimate")
    estimate = folder.with_name("estimate")
    wait_until(lambda: sampler_pid(estimate) == worker.pid)
    (live,) = wait_for_power(store)
    assert live.gpu is None
    time.sleep(1.2)  # the idle power is that of at least a second before the run
    run_id = train(store, num_epochs=4, epoch_s=2)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE)
    run, recorded = store.runs.get(run_id), epochs(store, run_id)
    assert run.started_at is not None
    for result in recorded:
        assert result.energy_by_source is not None
        assert list(result.energy_by_source) == ["cpu"]
        assert result.energy_kwh == pytest.approx(1.5 * result.energy_by_source["cpu"], rel=1e-3)
        assert result.co2_g == pytest.approx(
            (result.energy_kwh or 0) * (result.intensity_g_per_kwh or 0), rel=1e-4
        )
    ends = [result.ended_at for result in recorded if result.ended_at is not None]
    assert [(end - run.started_at).total_seconds() for end in ends] == pytest.approx([2, 4, 6, 8], abs=1.5)
    facts = run.environment
    assert (facts["pue"], facts["codecarbon_energy_kwh"]) == (1.5, None)
    assert "not asked for" in str(facts["codecarbon_reason"])
    assert str(facts["energy_shares"]).startswith("cpu ")
    assert float(facts["idle_power_w"] or 0) > 0
    assert float(facts["ram_constant_w"] or 0) >= 3
    points = store.power.list(run_id)
    assert len(points) >= 5
    assert all(set(point.power_w) == {"cpu"} for point in points)
    assert run.started_at < points[0].at < points[-1].at < ends[-1] + timedelta(seconds=1)


def test_a_meter_that_is_forced_and_absent_is_an_error_at_the_start(programs: Programs) -> None:
    worker = programs.start("worker.py", "--device", "cpu", meter="nvml")
    assert worker.wait(60) == 2
    assert "WATTLE_METER=nvml cannot be used: This worker trains on the CPU." in programs.output()


def wait_for_power(store: RedisDB) -> list[Worker]:
    """The workers, once the power of all is known."""
    wait_until(
        lambda: (
            store.workers.list_live() and all(one.power_w is not None for one in store.workers.list_live())
        )
    )
    return store.workers.list_live()


def test_codecarbons_process_dies_with_the_worker_that_started_it(programs: Programs, folder: Path) -> None:
    if importlib.util.find_spec("codecarbon") is None:
        pytest.skip("CodeCarbon is not installed")
    worker = programs.start("worker.py", "--device", "cpu", codecarbon=True)

    def find() -> list[psutil.Process]:
        children = psutil.Process(worker.pid).children()
        return [child for child in children if "codecarbon_process" in command_of(child)]

    wait_until(find, what="CodeCarbon is started")
    (process,) = find()
    wait_until(
        lambda: '"codecarbon":[' in (folder / "samples.jsonl").read_text(), what="its figure is in the log"
    )
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    _, alive = psutil.wait_procs([process], timeout=60)
    assert not alive
