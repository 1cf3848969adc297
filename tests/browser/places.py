"""Every page of the site, as the site itself names them: a new one is looked at without being listed here."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from tests.programs import ROOT

# A hidden address that only leads to another page.
REDIRECTS: Final = ("home",)


@dataclass(frozen=True)
class Scenery:
    """What stands in the store, for addresses that are about one thing."""

    done: Sequence[str]
    running: str
    failed: str
    script: str
    simulated: str
    archived: str
    model: str
    sweep: str


@dataclass(frozen=True)
class Place:
    """An address to look at; ``name`` becomes the name of its picture."""

    name: str
    path: str


# More than the bare address shows. A page that is not here is looked at by that.
VIEWS: Final[Mapping[str, Mapping[str, Callable[[Scenery], Sequence[tuple[str, str]]]]]] = {
    "runs": {
        "runs": lambda _: [],
        "runs-view": lambda _: [("view", "Greenest above 90 %")],
        "runs-wrong": lambda _: [("q", "accuracy>")],
    },
    "run": {
        "run": lambda has: [("iid", has.done[0])],
        "run-live": lambda has: [("iid", has.running)],
        "run-failed": lambda has: [("iid", has.failed)],
        "run-script": lambda has: [("iid", has.script)],
        "run-simulated": lambda has: [("iid", has.simulated)],
        "run-archived": lambda has: [("iid", has.archived)],
        "run-reproduce": lambda has: [("iid", has.done[0]), ("show", "reproduce")],
    },
    "compare": {
        "compare": lambda has: [("run", run_id) for run_id in has.done[:3]],
        "compare-groups": lambda has: [*(("run", run_id) for run_id in has.done), ("curves", "dataset")],
    },
    "sweeps": {
        "sweeps": lambda _: [],
        "sweeps-new": lambda _: [("new", "yes")],
        "sweeps-one": lambda has: [("id", has.sweep)],
    },
    "leaderboard": {"leaderboard": lambda _: [("least", "50")]},
    "models": {"models": lambda _: [], "models-one": lambda has: [("model", has.model)]},
    "access": {
        "access": lambda _: [],
        "access-quotas": lambda _: [("show", "Quotas")],
        "access-audit": lambda _: [("show", "Audit")],
    },
    "carbon": {"carbon": lambda _: [("zone", "DE"), ("hours", "4")]},
}


def paths() -> list[str]:
    """Return the address of each page of the site, the first one as "", but for those that only lead on."""
    tree = ast.parse((ROOT / "views" / "site.py").read_text(encoding="utf-8"))
    calls = [
        {keyword.arg: keyword.value for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "Page"
    ]
    found = []
    for named in calls:
        is_default = isinstance(named.get("default"), ast.Constant)
        path = named.get("url_path")
        if is_default:
            found.append("")
        elif isinstance(path, ast.Constant) and not _leads_on(named, str(path.value)):
            found.append(str(path.value))
    return found


def _leads_on(named: Mapping[str | None, ast.expr], path: str) -> bool:
    return "visibility" in named and path in REDIRECTS


def empty_places() -> list[Place]:
    """Return each page, as who has just installed Wattle opens it."""
    return [Place(path or "start", f"/{path}") for path in paths()]


def places(scenery: Scenery) -> list[Place]:
    """Return each page, with something to see."""
    found = []
    for path in paths():
        views = VIEWS.get(path, {path or "start": lambda _: []})
        for name, query in views.items():
            asked = urlencode(query(scenery))
            found.append(Place(name, f"/{path}" + (f"?{asked}" if asked else "")))
    return found
