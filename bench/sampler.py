"""What sampling the energy of this host ten times a second costs, as a share of one core.

Two workers are registered, each a process of its own with a child. The one that is elected samples for both;
the other reads its log. The CPU time of each process that does nothing else, over the time it does so. The
first seconds are left out: opening the meters and the first look at the processes belong to a worker's start.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from carbon_aware_trainer.energy import EnergyMonitor, MeterOptions

REPEATS = 3
SECONDS, QUICK_SECONDS = 20.0, 3.0
WARM_UP_S = 2.0
SLEEPER = "import sys; sys.stdin.read()"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser("bench.sampler", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--join", type=Path, help="register as another worker of this folder and print its cost"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SECONDS:g} s per measurement, not {SECONDS:g}"
    )
    options = parser.parse_args(arguments)
    seconds = QUICK_SECONDS if options.quick else SECONDS
    if options.join:
        print(json.dumps(measure(options.join, options.device, seconds)[0]))
        return 0
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        command = [sys.executable, "-m", "bench.sampler", "--join", folder, "--device", options.device]
        command += ["--quick"] if options.quick else []
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        elected, text = measure(Path(folder), options.device, seconds)
        reader = json.loads(other.communicate()[0])
    figures = {
        "sampler_core_share": round(statistics.median(elected), 5),
        "lowest": round(min(elected), 5),
        "highest": round(max(elected), 5),
        "reader_core_share": round(statistics.median(reader), 5),
        "workers": 2,
        "measurements": REPEATS,
        "seconds": seconds,
        "meter": text,
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))
    return 0


def measure(folder: Path, device: str, seconds: float) -> tuple[list[float], str]:
    """Return the share of one core that this process uses, several times over, and what is read."""
    child = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE)
    with EnergyMonitor(MeterOptions(device, folder=folder)) as monitor:
        text = monitor.describe()
        monitor.begin()
        time.sleep(WARM_UP_S)
        shares = [_measure(seconds) for _ in range(REPEATS)]
    child.communicate()
    return shares, text


def _measure(seconds: float) -> float:
    """Return the share of one core that this process used while it slept."""
    start_cpu_s, start_s = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return (time.process_time() - start_cpu_s) / (time.monotonic() - start_s)


if __name__ == "__main__":
    raise SystemExit(main())
