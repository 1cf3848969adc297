"""CodeCarbon as an observer: ``python -m bench.observers.codecarbon DEVICE``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata

from codecarbon import OfflineEmissionsTracker

from bench.observers.protocol import CannotRead, serve

JOULES_PER_KWH = 3.6e6


class CodeCarbon:
    """The whole machine, as CodeCarbon's tasks see it."""

    def __init__(self, device: str) -> None:
        self._has_gpu = device.startswith("cuda")
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA",  # of no effect on energy
            save_to_file=False,
            log_level="critical",
            allow_multiple_runs=True,
            gpu_ids=[int(device.partition(":")[2] or 0)] if self._has_gpu else [],
        )
        # The first start looks for hardware for seconds; that belongs to no load.
        self._tracker.start_task()
        first = self._tracker.stop_task()
        version, threads = metadata.version("codecarbon"), first.cpu_count
        self.covers = (
            f"the whole machine: CodeCarbon {version}, {first.cpu_model}, {threads:g} threads; "
            "ram is a constant by the memory installed"
        )

    def begin(self) -> None:
        """Start a task."""
        self._tracker.start_task()

    def end(self) -> Mapping[str, float]:
        """Stop it."""
        used = self._tracker.stop_task()
        if used is None:
            raise CannotRead("CodeCarbon returned nothing for its task.")
        kwh = {"gpu": used.gpu_energy, "cpu": used.cpu_energy, "ram": used.ram_energy}
        if not (self._has_gpu and used.gpu_energy):  # it says 0 for a GPU that it does not read
            del kwh["gpu"]
        return {part: energy * JOULES_PER_KWH for part, energy in kwh.items()}


def main() -> None:
    """Serve until stdin is closed."""
    serve(lambda: CodeCarbon(sys.argv[1]))


if __name__ == "__main__":
    main()
