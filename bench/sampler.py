"""What reading the energy meter of this host ten times a second costs, as a share of one core.

The CPU time of a process that does nothing but sample its CPU's meter, over the time it does so. The first
second is left out: opening the meter and the first look at the processes belong to a worker's start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence

from carbon_aware_trainer.energy import PowerSampler, choose_meter

REPEATS = 3
SECONDS, QUICK_SECONDS = 20.0, 3.0
WARM_UP_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser("bench.sampler", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_SECONDS:g} s per measurement, not {SECONDS:g}"
    )
    seconds = QUICK_SECONDS if parser.parse_args(arguments).quick else SECONDS
    meter = choose_meter("cpu", root_pid=os.getpid())
    with PowerSampler(meter):
        time.sleep(WARM_UP_S)
        shares = [_measure(seconds) for _ in range(REPEATS)]
    figures = {
        "sampler_core_share": round(statistics.median(shares), 5),
        "lowest": round(min(shares), 5),
        "highest": round(max(shares), 5),
        "measurements": REPEATS,
        "seconds": seconds,
        "meter": meter.source,
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))
    return 0


def _measure(seconds: float) -> float:
    """Return the share of one core that this process used while it slept."""
    start_cpu_s, start_s = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return (time.process_time() - start_cpu_s) / (time.monotonic() - start_s)


if __name__ == "__main__":
    raise SystemExit(main())
