"""The house rules: who may import whom, who owns which library, how long things may be.

There is no list of exceptions. If a thing is hard to place, change the design, not this file.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40

# Programs: the parts that share a name may import each other, but never another program's.
PROGRAMS = {
    "backend": "backend", "api": "backend",
    "worker": "worker", "work": "worker",
    "frontend": "frontend", "views": "frontend",
    "cli": "cli",
}  # fmt: skip
FLOOR = {
    **dict.fromkeys(PROGRAMS, 3),
    **dict.fromkeys(("redis_db", "store", "trainers", "housekeeping"), 2),
    **dict.fromkeys(("carbon_aware_trainer", "training_monitor", "client"), 1),
    **dict.fromkeys(("schema", "settings", "errors"), 0),
}
# On floor 2 only redis_db opens the door to store; on floor 1 nobody imports a sibling.
SIBLINGS = {("redis_db", "store")}
ALLOWED_BELOW = {
    "carbon_aware_trainer": set(),
    "training_monitor": {"carbon_aware_trainer"},
    "client": {"schema", "settings", "errors"},
    "store": {"schema", "settings", "errors"},
    "redis_db": {"schema", "settings", "errors", "store"},
    "trainers": {"schema", "settings", "errors", "carbon_aware_trainer"},
    "views": {"client", "carbon_aware_trainer", "schema", "settings", "errors"},
    "frontend": {"client", "carbon_aware_trainer", "schema", "settings", "errors"},
    "cli": {"client", "carbon_aware_trainer", "schema", "settings", "errors"},
    "errors": set(),
    "schema": {"errors"},
    "settings": {"errors", "schema"},
}
OWNERS = {
    "torch": ("trainers/", "carbon_aware_trainer/integrations/"),
    "torchvision": ("trainers/",),
    "sklearn": ("trainers/",),
    "flask": ("backend.py", "api/"),
    "apiflask": ("backend.py", "api/"),
    "gunicorn": ("backend.py", "gunicorn.conf.py"),
    "streamlit": ("frontend.py", "views/"),
    "redis": ("redis_db.py", "store/"),
    "pynvml": ("carbon_aware_trainer/energy/",),
    "codecarbon": ("carbon_aware_trainer/energy/",),
    "httpx": ("client.py", "training_monitor/", "carbon_aware_trainer/providers/"),
    "fsspec": ("trainers/",),
    "safetensors": ("trainers/", "carbon_aware_trainer/integrations/"),
    "lightning": ("carbon_aware_trainer/integrations/",),
    "mlflow": ("carbon_aware_trainer/integrations/",),
    "optuna": ("carbon_aware_trainer/integrations/",),
    "plotly": ("views/charts.py",),
    "honcho": ("cli/",),
}
NOT_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler"}


def product_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        foreign = {".venv", ".venv-peers", "build", "data"}
        return [path for path in ROOT.rglob("*.py") if not foreign & set(path.parts)]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return [ROOT / name for name in listed if (ROOT / name).exists()]


FILES = product_files()
HOUSE = [path for path in FILES if path.relative_to(ROOT).parts[0].removesuffix(".py") in FLOOR]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every imported module by its full name, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: write imports in full"
            yield node.lineno, node.module or ""


def complaint_about(room: str, target: str) -> str | None:
    """Why ``room`` may not import ``target``, both rooms of the house; None where it may."""
    if room == target or PROGRAMS.get(room, room) == PROGRAMS.get(target, target):
        return None
    if target in PROGRAMS:
        return "programs never import each other, and nothing below imports a program"
    if FLOOR[target] > FLOOR[room]:
        return "imports point down only"
    if target == "store" and room != "redis_db":
        return "redis_db is the one door to the store"
    if room in ALLOWED_BELOW and target not in ALLOWED_BELOW[room]:
        return f"may import {sorted(ALLOWED_BELOW[room]) or 'itself'} only"
    if FLOOR[target] == FLOOR[room] and FLOOR[room] and (room, target) not in SIBLINGS:
        return "siblings on one floor never import each other"
    return None


def test_the_house_has_files() -> None:
    assert {"backend", "worker", "frontend", "redis_db", "trainers"} <= {room_of(path) for path in HOUSE}


@pytest.mark.parametrize("path", HOUSE, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    wrong = [
        f"line {line}: {module}: {complaint}"
        for line, module in imports_of(path)
        if (target := module.split(".")[0]) in FLOOR and (complaint := complaint_about(room, target))
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("path", HOUSE, ids=name_of)
def test_each_library_is_imported_by_its_owner_only(path: Path) -> None:
    wrong = [
        f"line {line}: {module} belongs to {OWNERS[module.split('.')[0]]}"
        for line, module in imports_of(path)
        if module.split(".")[0] in OWNERS and not name_of(path).startswith(OWNERS[module.split(".")[0]])
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    long = [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long, long


@pytest.mark.parametrize("path", HOUSE, ids=name_of)
def test_names_say_what_a_thing_is(path: Path) -> None:
    classes = [
        node.name.lower() for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    ]
    assert not NOT_NAMES & {path.stem, *classes}


def test_the_entry_page_is_short() -> None:
    assert len((ROOT / "frontend.py").read_text().splitlines()) <= 60


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("backend", "torch"), ("trainers", "torch"), ("client", "torch"), ("client", "redis"),
        ("trainers.demo", "torch"), ("trainers.demo", "numpy"), ("trainers.script", "torch"),
        ("work.program", "torch"), ("work.seed_demo", "torch"), ("work.child", "redis"),
        ("carbon_aware_trainer", "codecarbon"), ("carbon_aware_trainer", "pydantic"),
    ],
)  # fmt: skip
def test_importing_a_module_does_not_bring_in_a_heavy_library(module: str, heavy: str) -> None:
    code = f"import sys, {module}; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
