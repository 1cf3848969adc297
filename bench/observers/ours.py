"""Our own meter as an observer: ``python -m bench.observers.ours DEVICE PID``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from bench.observers.protocol import CannotRead, serve
from bench.our_energy import OurEnergy, by_part_j
from carbon_aware_trainer.errors import MeterUnavailable


class Ours:
    """The process tree of the load, through the sampler that a worker has."""

    def __init__(self, energy: OurEnergy) -> None:
        self._energy = energy
        self.covers = f"the load's process tree: {energy.source}; ram is a constant of the machine, apart"
        self._start_ns = 0

    def begin(self) -> None:
        """Note the moment: the sampler runs anyway."""
        self._start_ns = time.monotonic_ns()

    def end(self) -> Mapping[str, float]:
        """Ask what was used since."""
        try:
            return by_part_j(self._energy.read(self._start_ns, time.monotonic_ns()))
        except MeterUnavailable as error:
            raise CannotRead(str(error)) from error


def main() -> None:
    """Serve until stdin is closed."""
    device, pid = sys.argv[1], int(sys.argv[2])
    with OurEnergy(device, pid) as energy:
        serve(lambda: Ours(energy))


if __name__ == "__main__":
    main()
