"""The house rules: who may import whom, who owns which library, how long things may be.

There is no list of exceptions. If a thing is hard to place, change the design, not this file.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
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
    **dict.fromkeys(
        (
            "redis_db",
            "store",
            "trainers",
            "scheduling",
            "alerts",
            "housekeeping",
            "recommender",
            "untried",
            "sweeps",
            "archive",
            "exporters",
        ),
        2,
    ),
    **dict.fromkeys(("carbon_aware_trainer", "training_monitor", "client", "leaderboard", "catalog"), 1),
    **dict.fromkeys(("schema", "settings", "errors", "columns", "logs", "traces"), 0),
}
# On floor 2 only redis_db opens the door to store; on floor 1 the SDK's energy.py alone imports a sibling.
SIBLINGS = {("redis_db", "store"), ("training_monitor", "carbon_aware_trainer")}
ALLOWED_BELOW = {
    "carbon_aware_trainer": set(),
    "training_monitor": {"carbon_aware_trainer"},
    "client": {"schema", "settings", "errors"},
    "leaderboard": {"schema", "errors", "columns"},
    "catalog": {"schema", "errors", "columns"},
    "store": {"schema", "settings", "errors"},
    "redis_db": {"schema", "settings", "errors", "store"},
    "trainers": {"schema", "settings", "errors", "carbon_aware_trainer"},
    "scheduling": {"schema", "settings", "errors", "carbon_aware_trainer"},
    "alerts": {"schema", "settings", "errors"},
    "sweeps": {"schema", "errors"},
    "archive": {"schema", "settings", "errors"},
    "exporters": {"schema", "settings", "errors", "carbon_aware_trainer"},
    "recommender": {"schema", "errors", "columns", "leaderboard"},
    "untried": {"schema", "errors", "columns", "leaderboard"},
    "views": {"client", "carbon_aware_trainer", "schema", "settings", "errors"},
    "frontend": {"client", "carbon_aware_trainer", "schema", "settings", "errors", "logs"},
    "cli": {"client", "carbon_aware_trainer", "schema", "settings", "errors"},
    "errors": set(),
    "columns": {"errors", "schema"},
    "schema": {"errors"},
    "settings": {"errors", "schema"},
    "logs": {"errors", "settings"},
    "traces": {"errors"},
}
OWNERS = {
    "torch": ("trainers/", "carbon_aware_trainer/integrations/"),
    "torchvision": ("trainers/",),
    "sklearn": ("trainers/", "training_monitor/callbacks/", "untried/model.py"),
    "flask": ("backend.py", "api/"),
    "apiflask": ("backend.py", "api/"),
    "gunicorn": ("backend.py", "gunicorn.conf.py"),
    "streamlit": ("frontend.py", "views/"),
    "redis": ("redis_db.py", "store/"),
    "pynvml": ("carbon_aware_trainer/energy/",),
    "codecarbon": ("carbon_aware_trainer/energy/",),
    "httpx": ("client/", "training_monitor/", "carbon_aware_trainer/providers/"),
    "fsspec": ("trainers/", "archive/"),
    "sqlalchemy": ("archive/",),
    "alembic": ("archive/",),
    "safetensors": ("trainers/", "carbon_aware_trainer/integrations/"),
    "lightning": ("carbon_aware_trainer/integrations/", "training_monitor/callbacks/"),
    "keras": ("training_monitor/callbacks/",),
    "transformers": ("training_monitor/callbacks/",),
    "mlflow": ("carbon_aware_trainer/integrations/", "exporters/mlflow.py"),
    "wandb": ("exporters/wandb.py",),
    "optuna": ("carbon_aware_trainer/integrations/", "sweeps/study.py", "sweeps/figures.py"),
    "tsdownsample": ("store/",),
    "plotly": (
        "views/charts.py",
        "views/carbon/charts.py",
        "views/run/system_charts.py",
        "views/compare/charts.py",
        "views/compare/spread_charts.py",
        "views/leaderboard/charts.py",
        "views/run/media_charts.py",
    ),
    "typer": ("cli/",),
    "honcho": ("cli/",),
    "rich": ("cli/",),
    "markdown_it": ("views/markdown.py",),
    "apprise": ("alerts/",),
    "opentelemetry": ("traces/otel.py",),
    "prometheus_client": ("api/prometheus", "gunicorn.conf.py"),
}
NOT_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler"}


def product_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        foreign = {".venv", ".venv-peers", ".venv-tools", "build", "data"}
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


@dataclass(frozen=True)
class Content:
    """What the rules look at in a file; every imported module by its full name, each with its line."""

    line_count: int
    imports: tuple[tuple[int, str], ...]
    names: tuple[str, ...]
    """Modules and what is imported from them, which may be modules too."""
    function_lengths: tuple[tuple[str, int], ...]
    classes: tuple[str, ...]


@cache
def read(path: Path) -> Content:
    """Read a file once for all rules, also inside functions and under TYPE_CHECKING."""
    text = path.read_text()
    imports, names, functions, classes = [], [], [], []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imports += [(node.lineno, alias.name) for alias in node.names]
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # An import that is not written in full begins with a dot for each level.
            imports.append((node.lineno, "." * node.level + (node.module or "")))
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ClassDef):
            classes.append(node.name.lower())
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            functions.append((node.name, node.end_lineno - node.lineno + 1))
    return Content(len(text.splitlines()), tuple(imports), tuple(names), tuple(functions), tuple(classes))


def imports_of_the_house() -> Iterator[tuple[Path, int, str]]:
    for path in HOUSE:
        for line, module in read(path).imports:
            yield path, line, module


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
    rooms = {"backend", "worker", "frontend", "redis_db", "trainers", "training_monitor"}
    assert rooms <= {room_of(path) for path in HOUSE}


def test_imports_are_written_in_full() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {module}"
        for path, line, module in imports_of_the_house()
        if module.startswith(".")
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_point_down() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {module}: {complaint}"
        for path, line, module in imports_of_the_house()
        if (target := module.split(".")[0]) in FLOOR and (complaint := complaint_about(room_of(path), target))
    ]
    assert not wrong, "\n".join(wrong)


def test_each_library_is_imported_by_its_owner_only() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {module} belongs to {owners}"
        for path, line, module in imports_of_the_house()
        if (owners := OWNERS.get(module.split(".")[0])) and not name_of(path).startswith(owners)
    ]
    assert not wrong, "\n".join(wrong)


def module_of(path: Path) -> str:
    return name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def circle_in(reached: Mapping[str, set[str]]) -> list[str]:
    """Return files that import each other in a circle, each the next; empty where there is none.

    What reaches nothing, or only what is taken away already, is in no circle; what is left has one.
    """
    left = dict(reached)
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    seen: list[str] = []
    following = sorted(left)[:1]
    while following and following[0] not in seen:
        seen += following
        following = sorted(left[following[0]] & left.keys())[:1]
    return seen[seen.index(following[0]) :] if following else []


def test_a_circle_is_found_behind_what_leads_to_it() -> None:
    reached = {"a": {"b"}, "b": {"c", "d"}, "c": {"e"}, "d": set(), "e": {"b"}}
    assert circle_in(reached) == ["b", "c", "e"]
    assert circle_in({**reached, "e": {"d"}}) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    modules = {module_of(path): path for path in HOUSE}
    reached = {
        module: {
            known
            for name in read(path).names
            # A name of a module leads to the module.
            if (known := name if name in modules else name.rpartition(".")[0]) in modules and known != module
        }
        for module, path in modules.items()
    }
    assert sum(map(len, reached.values())) > len(modules)
    assert not (circle := circle_in(reached)), " → ".join([*circle, circle[0]])


def test_the_sdk_imports_what_it_may_do_without_in_one_place_each() -> None:
    places = {
        "carbon_aware_trainer": "training_monitor/energy.py",
        "numpy": "training_monitor/media/",
        "PIL": "training_monitor/media/",
    }
    wrong = [
        f"{name_of(path)}:{line}: {module} belongs to {owner}"
        for path, line, module in imports_of_the_house()
        if room_of(path) == "training_monitor"
        and (owner := places.get(module.split(".")[0]))
        and not name_of(path).startswith(owner)
    ]
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    wrong = [
        f"{name_of(path)} has {count} lines"
        for path in FILES
        if (count := read(path).line_count) > MAX_FILE_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_functions_are_short() -> None:
    wrong = [
        f"{name_of(path)}: {function} has {count} lines"
        for path in FILES
        for function, count in read(path).function_lengths
        if count > MAX_FUNCTION_LINES
    ]
    assert not wrong, "\n".join(wrong)


def test_a_silenced_rule_of_security_says_why() -> None:
    wrong = [
        f"{name_of(path)}:{number}"
        for path in HOUSE
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if (found := re.search(r"# noqa: (?:[A-Z]+\d+, )*S\d+(.*)", line)) and len(found[1].strip(" -#")) < 8
    ]
    assert not wrong, "\n".join(wrong)
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in rules["select"]
    silenced = {rule for rule in rules["ignore"] if rule.startswith("S")}
    silenced |= {
        rule for rules in rules["per-file-ignores"].values() for rule in rules if rule.startswith("S")
    }
    assert silenced == {"S101", "S603", "S607"}, "the first one in tests and benchmarks alone"


def test_names_say_what_a_thing_is() -> None:
    wrong = [
        f"{name_of(path)}: {name}"
        for path in HOUSE
        for name in (path.stem, *read(path).classes)
        if name in NOT_NAMES
    ]
    assert not wrong, "\n".join(wrong)


def test_the_entry_page_is_short() -> None:
    assert len((ROOT / "frontend.py").read_text().splitlines()) <= 60


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("backend", {"torch", "apprise", "sklearn", "optuna", "mlflow", "wandb", "opentelemetry.exporter"}),
        ("trainers", {"torch"}), ("client", {"torch", "redis"}),
        ("trainers.demo", {"torch", "numpy"}), ("trainers.script", {"torch"}), ("trainers.cnn", {"sklearn"}),
        ("work.program", {"torch", "apprise", "optuna", "opentelemetry.exporter"}), ("work.child", {"redis"}),
        ("work.seed_demo", {"torch"}), ("carbon_aware_trainer", {"codecarbon", "pydantic"}),
        ("training_monitor", {"torch", "redis", "flask", "pydantic", "numpy", "PIL", "carbon_aware_trainer"}),
    ],
)  # fmt: skip
def test_importing_a_module_does_not_bring_in_a_heavy_library(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*{heavy!r} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert ended.stdout.split() == []
