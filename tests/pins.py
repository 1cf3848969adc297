"""The pins: ``constraints.txt`` is the truth, ``environment.yml`` repeats it for conda.

``python -m tests.pins`` writes both from what is installed in this environment; commit the result.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
ENVIRONMENT = ROOT / "environment.yml"
# What an environment brings itself, and CUDA's own packages, which only some builds of torch need.
NOT_PINNED = re.compile(
    r"^(pip|setuptools|wheel|wattle|wattle-test-trainers|nvidia-(?!ml-py).*|cuda-.*|triton)$"
)
HEAD = "# Every package of every extra, as tested together. Written by python -m tests.pins.\n"
CONDA = """# The same pins as constraints.txt, for conda: conda env create -f environment.yml
name: wattle
channels:
  - conda-forge
dependencies:
  - python=3.11
  - redis-server>=6.2
  - pip
  - pip:
"""


def read_constraints() -> list[str]:
    """Return the pins as ``name==version`` lines."""
    lines = (line.strip() for line in CONSTRAINTS.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def read_environment() -> list[str]:
    """Return the pins that conda's pip installs."""
    dependencies = yaml.safe_load(ENVIRONMENT.read_text())["dependencies"]
    return next(list(entry["pip"]) for entry in dependencies if isinstance(entry, dict))


def _installed() -> list[str]:
    pins = {}
    for distribution in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if not NOT_PINNED.match(name):
            # A local part such as +cpu names one build; the pin fits them all.
            pins[name] = distribution.version.split("+")[0]
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def write() -> None:
    """Write both files."""
    pins = _installed()
    CONSTRAINTS.write_text(HEAD + "\n".join(pins) + "\n")
    ENVIRONMENT.write_text(CONDA + "".join(f"      - {pin}\n" for pin in pins))


if __name__ == "__main__":
    write()
