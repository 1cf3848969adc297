"""What the worker reads of a process and of its host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from carbon_aware_trainer.records import GpuFacts
from tests.programs import wait_until
from work.usage import UsageMeter, UsageWatch

BUSY = """
import subprocess, sys, time
held = bytearray(b"x" * (64 << 20))
print("ready", flush=True)
while True: pass
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[str]]:
    """A process whose child computes all the time and holds 64 MiB."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_a_training_counts_with_its_children(busy: subprocess.Popen[str], tmp_path: Path) -> None:
    meter = UsageMeter(busy.pid, tmp_path / "not there yet", tuple)
    started_s = time.monotonic()
    wait_until(lambda: time.monotonic() - started_s > 0.5, timeout_s=5)
    found = meter.read()
    assert 0 < found["process_cpu_percent"] < 160
    assert 64 < found["process_memory_mib"] < 400
    assert 0 < found["disk_percent"] <= 100
    assert 0 < found["memory_percent"] <= 100
    assert 0 < found["cpu_percent"] <= 100
    assert all(value >= 0 for value in found.values())
    assert not [name for name in found if "gpu" in name]


def test_a_process_that_is_gone_has_no_figures(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    found = UsageMeter(ended.pid, tmp_path, tuple).read()
    assert "cpu_percent" in found
    assert not [name for name in found if "process" in name]


def test_what_a_host_does_not_count_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_here() -> None:
        raise NotImplementedError("can't read /proc/diskstats")

    monkeypatch.setattr(psutil, "disk_io_counters", not_here)
    found = UsageMeter(os.getpid(), tmp_path, tuple).read()
    assert "cpu_percent" in found
    assert not [name for name in found if name.startswith(("disk_read", "disk_write"))]


def test_each_gpu_of_the_training_tells_what_its_driver_tells(
    busy: subprocess.Popen[str], tmp_path: Path
) -> None:
    facts = GpuFacts(name="H200", memory_used_bytes=3 << 20, utilisation=0.25, power_w=None, temperature_c=40)
    second = GpuFacts(name="H200", utilisation=0.75, power_w=300, index=3)
    found = UsageMeter(busy.pid, tmp_path, lambda: [facts, second]).read()
    of_gpu = {name: value for name, value in found.items() if name.startswith("gpu")}
    assert of_gpu == {
        "gpu0_percent": 25,
        "gpu0_memory_mib": 3,
        "gpu0_temperature_c": 40,
        "gpu1_percent": 75,
        "gpu1_power_w": 300,
    }


def test_a_gpu_that_does_not_answer_gives_its_name_to_no_other(tmp_path: Path) -> None:
    found = UsageMeter(
        os.getpid(), tmp_path, lambda: [None, GpuFacts(name="H200", temperature_c=77, index=1)]
    ).read()
    assert {name: value for name, value in found.items() if name.startswith("gpu")} == {
        "gpu1_temperature_c": 77
    }


def test_a_watch_reads_until_it_is_closed(busy: subprocess.Popen[str], tmp_path: Path) -> None:
    watch = UsageWatch(lambda: UsageMeter(busy.pid, tmp_path, tuple), every_s=0.05)
    wait_until(lambda: bool(watch.take()), timeout_s=20)
    watch.close()
