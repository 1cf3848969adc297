"""CPU and memory energy from RAPL, the counters in the processor package, under /sys/class/powercap."""

from __future__ import annotations

import time
from pathlib import Path

from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.errors import MeterUnavailable
from carbon_aware_trainer.records import Counters, Source

POWERCAP = Path("/sys/class/powercap")

# Source: Intel SDM vol. 3B, 15.10.1: the energy status counters move about every millisecond
STEP_S = 0.001
# No package uses more: it tells a wrap from a reset, which seems to have used more.
_MAX_DOMAIN_W = 1000.0
_ERROR = "± one sample (0.1 s) of power at each end"


class RaplMeter:
    """All CPU packages as ``cpu`` and, where they are counted, all memory domains as ``dram``."""

    def __init__(self, root: Path = POWERCAP, *, clock: Clock = time.monotonic_ns) -> None:
        """Raises MeterUnavailable when there is no package counter, or this user may not read it."""
        self._clock = clock
        packages = sorted(root.glob("intel-rapl:?*"))  # intel-rapl-mmio shows the same packages again
        named = [(folder, _read_text(folder / "name")) for folder in packages]
        now_ns = clock()
        self._domains = {
            key: [_Domain(folder, name, now_ns) for folder, name in named if name.startswith(kind)]
            for key, kind in (("cpu", "package-"), ("dram", "dram"))
        }
        if not self._domains["cpu"]:
            raise MeterUnavailable(f"There is no RAPL counter under {root} (usual in virtual machines).")
        self._domains = {key: domains for key, domains in self._domains.items() if domains}
        self.sources = tuple(
            Source(key, "measured", f"RAPL {', '.join(domain.name for domain in domains)}", _ERROR, STEP_S)
            for key, domains in self._domains.items()
        )

    def read(self) -> Counters:
        """Read every domain; one that is reset or gone does not hide the others."""
        now_ns = self._clock()
        lost: dict[str, str] = {}
        for key, domains in self._domains.items():
            for domain in domains:
                if reason := domain.advance(now_ns):
                    lost[key] = reason
        joules = {key: sum(domain.joules for domain in domains) for key, domains in self._domains.items()}
        return Counters(now_ns, joules, lost)

    def close(self) -> None:
        """Do nothing: no file is held open."""


class _Domain:
    """One counter, wrap-corrected."""

    def __init__(self, folder: Path, name: str, now_ns: int) -> None:
        parent = folder.parent / folder.name.rpartition(":")[0]
        self.name = name if name.startswith("package-") else f"{name} of {_read_text(parent / 'name')}"
        self.joules = 0.0
        self._file = folder / "energy_uj"
        self._range_uj = _read_number(folder / "max_energy_range_uj")
        self._last_uj: int | None = _read_number(self._file)
        self._last_ns = now_ns
        self._failure = ""

    def advance(self, now_ns: int) -> str | None:
        """Add what was used since the last read; returns why that is not known, or None."""
        try:
            raw_uj = _read_number(self._file)
        except MeterUnavailable as error:
            self._last_uj, self._failure = None, str(error)
            return self._failure
        last_uj, elapsed_s = self._last_uj, (now_ns - self._last_ns) / 1e9
        self._last_uj, self._last_ns = raw_uj, now_ns
        if last_uj is None:
            return self._failure
        delta_uj = raw_uj - last_uj
        if delta_uj < 0:
            delta_uj += self._range_uj
        # more than a package can use is a reset; over a long pause it could have wrapped twice
        possible_j = _MAX_DOMAIN_W * elapsed_s
        if not 0 <= delta_uj / 1e6 <= possible_j + 1 or possible_j > self._range_uj / 1e6:
            return f"RAPL {self.name} was reset or not read for too long; that interval is lost."
        self.joules += delta_uj / 1e6
        return None


def _read_number(file: Path) -> int:
    text = _read_text(file)
    try:
        return int(text)
    except ValueError as error:
        raise MeterUnavailable(f"{file} holds no number.") from error


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise MeterUnavailable(
            f"{file} may be read by root only. Allow it with: sudo chmod -R a+r {file.parent.resolve()}"
        ) from error
    except OSError as error:
        raise MeterUnavailable(f"{file} cannot be read: {error.strerror}.") from error
