"""Our energy meter, CodeCarbon and Zeus about the same load, at the same time.

Each of the three is a process of its own that is told when the load begins and ends, so every ratio comes
from one load. They do not mean the same: ours is the process tree of the load, the others see the whole
machine. What is compared is CPU to CPU and GPU to GPU; memory is a constant in CodeCarbon's total and stands
apart in ours. With ``_by_cpu_time`` the other's CPU figure is first cut down to the load's part of the CPU
seconds that the machine worked, which leaves other programs out; the plain ratio needs a quiet machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import select
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import psutil

from bench.energy_windows import Window, show, to_row
from bench.gpu_counter import GpuSpan, read_both_ways
from bench.observers.process import ROOT, ObserverProcess
from carbon_aware_trainer.energy.hardware import read_cpu
from carbon_aware_trainer.errors import MeterUnavailable

WINDOWS_S, QUICK_WINDOWS_S = (1, 2, 5, 10, 30, 60), (1, 2, 5)
REPEATS, QUICK_REPEATS = 5, 3
PEERS = ROOT / ".venv-peers" / "bin" / "python"


class Load:
    """The process that works."""

    def __init__(self, device: str, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.energy_load", device, str(threads)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.run(0.1, lambda wait: wait(None))

    def run(self, seconds: float, watch: Callable[[Callable[[float | None], bool]], object]) -> float:
        """Work while ``watch`` waits, and return the CPU seconds; it is given what waits for the end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = self._process.stdout
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        watch(lambda timeout_s: bool(select.select([answer], [], [], timeout_s)[0]))
        line = answer.readline()
        if not line:
            raise SystemExit("The load ended; run python -m bench.energy_load alone to see why.")
        return float(json.loads(line)["cpu_s"])

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@dataclass
class Bench:
    """The load, its observers, and how a GPU is read beside them."""

    load: Load
    ours: ObserverProcess
    codecarbon: ObserverProcess
    zeus: ObserverProcess
    device: str
    nvml: Any = None
    windows: dict[int, list[Window]] = field(default_factory=dict)

    def measure(self, seconds: int) -> Window:
        """Observe one load. Ours is innermost: the others answer later, and say how long their window was."""
        observers = (self.codecarbon, self.zeus, self.ours)
        for observer in observers:
            observer.begin()
        busy_s = read_busy_s()
        watched = Watch(self.device, self.nvml)
        load_cpu_s = self.load.run(seconds, watched)
        busy_s = read_busy_s() - busy_s
        ours, zeus, codecarbon = (observer.end() for observer in reversed(observers))
        window = Window(ours, codecarbon, zeus, load_cpu_s, busy_s, watched.span, watched.reason)
        self.windows.setdefault(seconds, []).append(window)
        return window


class Watch:
    """Waits for the end of a load, and on an NVIDIA GPU reads it both ways meanwhile."""

    def __init__(self, device: str, nvml: Any) -> None:
        self._device, self._nvml = device, nvml
        self.span: GpuSpan | None = None
        self.reason: str | None = None

    def __call__(self, wait: Callable[[float | None], bool]) -> None:
        """Return when the load is over."""
        if self._device.startswith("cuda"):
            try:
                self.span = read_both_ways(self._nvml, int(self._device.partition(":")[2] or 0), wait)
            except MeterUnavailable as error:
                self.reason = str(error)
        wait(None)


def read_busy_s() -> float:
    """Return the CPU seconds that this machine has worked since it started."""
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # Guests are counted in user time as well; stolen time is no work of this machine.
    twice_s = sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice", "steal"))
    return float(sum(times) - idle_s - twice_s)


def open_bench(stack: ExitStack, device: str, threads: int) -> Bench:
    """Start the load and its observers; all end with ``stack``."""
    load = Load(device, threads)
    stack.callback(load.end)

    def observe(name: str, *program: str) -> ObserverProcess:
        observer = stack.enter_context(ObserverProcess(name, program))
        print(f"{name} covers {observer.covers or 'nothing: ' + str(observer.reason)}", flush=True)
        return observer

    return Bench(
        load,
        observe("ours", sys.executable, "-m", "bench.observers.ours", device, str(load.pid)),
        observe("CodeCarbon", sys.executable, "-m", "bench.observers.codecarbon", device),
        observe("Zeus", str(PEERS), "-m", "bench.observers.zeus", device),
        device,
        importlib.import_module("pynvml") if device.startswith("cuda") else None,
    )


def summarise_all(windows: Mapping[int, Sequence[Window]], device: str, threads: int) -> dict[str, Any]:
    """Return the last line: the longest window's figures, then those of every length."""
    rows = {str(seconds): to_row(found) for seconds, found in windows.items()}
    longest = rows[str(max(windows))]
    cpu = read_cpu()
    return {
        **longest,
        "window_s": max(windows),
        "by_window_s": rows,
        "device": device,
        "threads": threads,
        "cpu": f"{cpu.threads} x {cpu.name}{', virtual machine' if cpu.is_virtual else ''}",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "codecarbon": metadata.version("codecarbon"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.energy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_WINDOWS_S} s, {QUICK_REPEATS} times")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the load (default: all)")
    options = parser.parse_args(arguments)
    lengths, repeats = (QUICK_WINDOWS_S, QUICK_REPEATS) if options.quick else (WINDOWS_S, REPEATS)
    print(f"load average before: {os.getloadavg()[0]:.2f}")
    with ExitStack() as stack:
        bench = open_bench(stack, options.device, options.threads)
        for _ in range(repeats):
            for seconds in lengths:
                show(seconds, bench.measure(seconds))
    print(json.dumps(summarise_all(bench.windows, options.device, options.threads)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
