"""A real worker with a simulated run, with a script, and without torch."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
import redis
from pydantic import JsonValue

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, sys, time
reports = os.fdopen(int(os.environ["WATTLE_REPORT_FD"]), "w", buffering=1)
hyper_params = json.load(open(os.environ["WATTLE_HYPER_PARAMS"]))
print("pid", os.getpid(), os.environ["WATTLE_RUN_ID"], flush=True)
for epoch in range(1, hyper_params["num_epochs"] + 1):
    end = time.monotonic() + hyper_params["params"]["epoch_s"]
    while time.monotonic() < end:
        pass
    figures = {"train_loss": 1, "train_accuracy": 0.5, "test_loss": 1, "test_accuracy": epoch / 1000}
    print(json.dumps({"epoch": epoch, **figures}), file=reports)
"""


@pytest.fixture
def scripts_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


def submit_script(store: RedisDB, *, num_epochs: int, epoch_s: float) -> str:
    hyper_params: dict[str, JsonValue] = {
        "trainer": "script",
        "script": "train.py",
        "num_epochs": num_epochs,
        "params": {"epoch_s": epoch_s},
    }
    return store.queue.submit(hyper_params).run_id


def test_the_epochs_of_a_script_are_metered_and_recorded_as_any_other(
    store: RedisDB, programs: Programs, scripts_dir: Path
) -> None:
    run_id = submit_script(store, num_epochs=3, epoch_s=0.3)
    worker = programs.start(
        "worker.py", "--device", "cpu", "--threads", "1", "--burst", scripts_dir=scripts_dir
    )
    assert worker.wait(60) == 0, programs.output()

    run = store.runs.get(run_id)
    assert (run.status, run.error, run.simulated) == (Status.DONE, None, False)
    epochs = store.runs.list_epochs(run_id)
    assert [result.epoch for result in epochs] == [1, 2, 3]
    # Reports that are read late make one epoch longer and the next shorter.
    assert sum(result.duration_s for result in epochs) >= 2 * 0.3
    assert all((result.energy_kwh or 0) > 0 or result.energy_reason for result in epochs)
    assert any(line.text.endswith(run_id) for line in store.log.list(run_id))


def test_a_burst_takes_what_another_program_put_on_the_list(
    store: RedisDB, durable_redis: RedisServer, programs: Programs
) -> None:
    record = {"iid": "old-1", "hyper_params": {"trainer": "demo", "simulated": True, "num_epochs": 2}}
    with redis.Redis.from_url(durable_redis.url) as another_program:
        another_program.lpush("queue:requests", json.dumps(record))
    assert programs.start_worker("--burst").wait(60) == 0, programs.output()
    assert store.runs.get("old-1").status is Status.DONE


def test_a_script_dies_with_a_killed_worker(store: RedisDB, programs: Programs, scripts_dir: Path) -> None:
    run_id = submit_script(store, num_epochs=1_000, epoch_s=0.1)
    worker = programs.start("worker.py", "--device", "cpu", "--threads", "1", scripts_dir=scripts_dir)
    wait_until(lambda: store.runs.list_epochs(run_id))
    said = next(line.text for line in store.log.list(run_id) if line.text.startswith("pid"))
    script = psutil.Process(int(said.split()[1]))

    worker.send_signal(signal.SIGKILL)
    worker.wait()

    _, alive = psutil.wait_procs([script], timeout=60)
    assert not alive


def test_sigterm_ends_the_script_and_puts_its_run_back(
    store: RedisDB, programs: Programs, scripts_dir: Path
) -> None:
    run_id = submit_script(store, num_epochs=1_000, epoch_s=0.1)
    worker = programs.start("worker.py", "--device", "cpu", "--threads", "1", scripts_dir=scripts_dir)
    wait_until(lambda: store.runs.list_epochs(run_id))

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert store.runs.get(run_id).status is Status.WAITING


def test_a_worker_without_torch_simulates_and_runs_scripts_and_says_what_it_lacks(
    store: RedisDB, programs: Programs, scripts_dir: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "without_torch"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import sys\nfor name in ('torch', 'torchvision'):\n    sys.modules[name] = None\n"
    )
    demo = store.queue.submit({"trainer": "demo", "simulated": True, "num_epochs": 3}).run_id
    script = submit_script(store, num_epochs=1, epoch_s=0.01)
    environment = {"PYTHONPATH": os.pathsep.join([str(blocked), os.environ.get("PYTHONPATH", "")])}
    worker = programs.start("worker.py", "--device", "cpu", environment=environment, scripts_dir=scripts_dir)
    wait_until(lambda: all(store.runs.get(key).status.is_final for key in (demo, script)))

    assert [found.torch for found in store.workers.list_live()] == [None]
    assert "torch is not installed" in programs.output()
    assert store.runs.get(demo).error is None
    assert (store.runs.get(demo).status, store.runs.get(demo).simulated) == (Status.DONE, True)
    assert store.runs.get(demo).energy_quality == "simulated"
    assert store.runs.get(script).status is Status.DONE
    worker.terminate()
    assert worker.wait(60) == 0
