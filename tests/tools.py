"""Programs that are not Python's, which tests run where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

# What make tools has installed first: its versions are pinned. Then what the environment of the tests brings.
_OURS = f"{ROOT}/.venv-tools/bin:{Path(sys.executable).parent}"
_PATH = f"{_OURS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def need(program: str, remedy: str = "") -> str:
    """Return where a program is; skips the test where it is not."""
    found = shutil.which(program, path=_PATH)
    if found is None:
        pytest.skip(f"{program} is not installed{remedy and ': '}{remedy}")
    return found


def check(*command: str | Path) -> str:
    """Return what a program prints that has to succeed."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
