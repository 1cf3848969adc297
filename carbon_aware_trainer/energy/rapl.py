"""CPU energy from RAPL, the counter in the processor package, as Linux shows it under /sys/class/powercap."""

from __future__ import annotations

import time
from pathlib import Path

from carbon_aware_trainer.energy.meter import Clock
from carbon_aware_trainer.errors import IntervalLost, MeterUnavailable
from carbon_aware_trainer.records import Counter, Quality

POWERCAP = Path("/sys/class/powercap")

# No package uses more: it tells a wrap from a reset, which seems to have used more.
_MAX_PACKAGE_W = 1000.0


class RaplMeter:
    """The sum of all CPU packages, whole packages: whatever else runs on this host is in it."""

    quality: Quality = "measured"
    step_s = (
        0.001  # Source: Intel SDM vol. 3B, 15.10.1: the energy status counters move about every millisecond
    )

    def __init__(self, root: Path = POWERCAP, *, clock: Clock = time.monotonic_ns) -> None:
        """Raises MeterUnavailable when there is no package counter, or this user may not read it."""
        self._clock = clock
        self._packages = [_Package(folder, clock()) for folder in _list_packages(root)]
        if not self._packages:
            raise MeterUnavailable(f"There is no RAPL counter under {root} (usual in virtual machines).")
        names = ", ".join(package.name for package in self._packages)
        self.source = (
            f"RAPL {names} (whole package: all that runs on this host; two workers here would both charge it)"
        )

    def read(self) -> Counter:
        """Read every package. Raises IntervalLost when one was reset, MeterUnavailable when one is gone."""
        lost: IntervalLost | None = None
        now_ns = self._clock()
        for package in self._packages:
            try:
                package.advance(now_ns)
            except IntervalLost as error:  # the others must still advance
                lost = error
        if lost is not None:
            raise lost
        return Counter(sum(package.joules for package in self._packages), now_ns)

    def close(self) -> None:
        """Do nothing: no file is held open."""


class _Package:
    """One package's counter, wrap-corrected."""

    def __init__(self, folder: Path, now_ns: int) -> None:
        self.name = _read_text(folder / "name")
        self.joules = 0.0
        self._file = folder / "energy_uj"
        self._range_uj = _read_number(folder / "max_energy_range_uj")
        self._last_uj = _read_number(self._file)
        self._last_ns = now_ns

    def advance(self, now_ns: int) -> None:
        """Add what was used since the last read."""
        raw_uj = _read_number(self._file)
        delta_uj = raw_uj - self._last_uj
        if delta_uj < 0:
            delta_uj += self._range_uj
        elapsed_s = (now_ns - self._last_ns) / 1e9
        self._last_uj, self._last_ns = raw_uj, now_ns
        # more than a package can use is a reset; over a long pause it could have wrapped twice
        possible_j = _MAX_PACKAGE_W * elapsed_s
        if delta_uj / 1e6 > possible_j + 1 or possible_j > self._range_uj / 1e6:
            raise IntervalLost(f"RAPL {self.name} was reset or not read for too long; that interval is lost.")
        self.joules += delta_uj / 1e6


def _list_packages(root: Path) -> list[Path]:
    """Return the package folders; intel-rapl-mmio shows the same packages again and is left out."""
    folders = sorted(root.glob("intel-rapl:*"))
    return [folder for folder in folders if _read_text(folder / "name").startswith("package-")]


def _read_number(file: Path) -> int:
    return int(_read_text(file))


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise MeterUnavailable(
            f"{file} may be read by root only. Allow it with: sudo chmod -R a+r {file.parent.resolve()}"
        ) from error
    except OSError as error:
        raise MeterUnavailable(f"{file} cannot be read: {error.strerror}.") from error
