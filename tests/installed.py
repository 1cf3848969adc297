"""Packages as pip would leave them: their modules and entry points on the search path."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest


def install(project_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the package of a folder until the test has ended."""
    described = tomllib.loads((project_dir / "pyproject.toml").read_text())
    project = described["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    info = tmp_path / "site" / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{point} = {target}" for point, target in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(project_dir))
    monkeypatch.syspath_prepend(str(info.parent))
    for module in described["tool"]["setuptools"]["py-modules"]:
        monkeypatch.delitem(sys.modules, module, raising=False)


def make_package(folder: Path, *groups: str, text: str, **points: str) -> None:
    """Write a package of one module with these entry points in each of the groups."""
    folder.mkdir()
    module = f"wattle_{folder.name}"
    named = [f'[project]\nname = "wattle-{folder.name}"\nversion = "1"']
    targets = "\n".join(f'{name} = "{module}:{target}"' for name, target in points.items())
    named += [f'[project.entry-points."wattle.{group}"]\n{targets}' for group in groups]
    named += [f'[tool.setuptools]\npy-modules = ["{module}"]']
    (folder / "pyproject.toml").write_text("\n".join(named))
    (folder / f"{module}.py").write_text(text)
