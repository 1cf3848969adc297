"""Zeus as an observer: ``.venv-peers/bin/python -m bench.observers.zeus DEVICE``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from bench.observers.protocol import CannotRead, serve

WINDOW = "load"


class Zeus:
    """What Zeus can read here: the GPU's counter, and RAPL of the whole machine."""

    def __init__(self, device: str) -> None:
        """Raises CannotRead with Zeus' own reasons when it can read nothing; its windows are then empty."""
        from zeus.monitor import ZeusMonitor

        version = metadata.version("zeus")
        gpus = [int(device.partition(":")[2] or 0)] if device.startswith("cuda") else []
        if gpus and (reason := find_gpu_reason()):
            raise CannotRead(f"Zeus {version}: {reason}")
        self._monitor = ZeusMonitor(gpu_indices=gpus)
        if not gpus and not self._monitor.cpu_indices:
            raise CannotRead(f"Zeus {version}: {find_cpu_reason() or 'it finds no CPU package'}")
        packages = self._monitor.cpu_indices
        self.covers = f"Zeus {version}: GPUs {gpus} and CPU packages {packages}, each as a whole"

    def begin(self) -> None:
        """Begin a window; there is nothing of its own to synchronise with."""
        self._monitor.begin_window(WINDOW, sync_execution=False)

    def end(self) -> Mapping[str, float]:
        """End it."""
        used = self._monitor.end_window(WINDOW, sync_execution=False)
        parts = {"gpu": used.gpu_energy, "cpu": used.cpu_energy, "dram": used.dram_energy}
        return {part: sum(energy.values()) for part, energy in parts.items() if energy}


def find_gpu_reason() -> str | None:
    """Return why Zeus can read no GPU; None when it can."""
    from zeus.device import get_gpus
    from zeus.device.gpu.common import ZeusGPUInitError

    return _find_reason(get_gpus, ZeusGPUInitError)


def find_cpu_reason() -> str | None:
    """Return why Zeus can read no CPU; None when it can."""
    from zeus.device import get_cpus
    from zeus.device.cpu.common import ZeusCPUInitError, ZeusCPUNoPermissionError

    return _find_reason(get_cpus, (ZeusCPUInitError, ZeusCPUNoPermissionError))


def _find_reason(open_device: Any, errors: Any) -> str | None:
    try:
        open_device()
    except errors as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def main() -> None:
    """Serve until stdin is closed."""
    serve(lambda: Zeus(sys.argv[1]))


if __name__ == "__main__":
    main()
