"""deploy/ as it is after its script has made the secrets, and what programs are given of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.manifests import DEPLOY, compose
from tests.tools import check


def copy_deploy(folder: Path, *arguments: str) -> Path:
    """Return a copy of deploy/ with secrets; never those that somebody has made for this checkout."""
    there = shutil.copytree(DEPLOY, folder / "deploy", ignore=shutil.ignore_patterns("secrets"))
    check("sh", there / "make_secrets.sh", *arguments)
    return there


def environment_of(service: str, copied: Path) -> Mapping[str, str]:
    """Return what compose gives a service from its env_files, the later ones first."""
    files = compose()["services"][service]["env_file"]
    read: dict[str, str] = {}
    for name in [files] if isinstance(files, str) else files:
        read |= read_environment(copied / name)
    return read


def read_environment(path: Path) -> Mapping[str, str]:
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
