"""Whether everything that the API took is there at the end, once: looked up through the API alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import httpx

from bench.soak_plan import MARK, METRICS

_PAGE: Final = 200
# As many points of a metric as the API answers at once, all of them while there are no more.
_POINTS: Final = 10_000


def list_all(client: httpx.Client) -> list[dict[str, Any]]:
    """Return all runs, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": str(_PAGE), "sort": "time_added"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/runs", params=query).raise_for_status().json()
        found += page["results"]
        cursor = page["cursor"]
        if cursor is None:
            return found


def count(client: httpx.Client, people: Mapping[str, Any], scripts: Mapping[str, Any]) -> dict[str, Any]:
    """Compare what the API took with what it lists, and every point of each script with what it logged."""
    listed = list_all(client)
    by_id = Counter(run["iid"] for run in listed)
    marks = Counter(tag for run in listed for tag in run["options"]["tags"] if tag.startswith(MARK))
    names = Counter(run["name"] for run in listed if run["is_external"])
    again = sum(mark is None for mark in people["accepted"].values())
    wanted = (people["accepted"].keys() | scripts["accepted"].keys()) - set(people["deleted"])
    lost = wanted - by_id.keys()
    # A rerun wears the tags of the run it repeats.
    doubled = sum(number - 1 for number in (*by_id.values(), *names.values()))
    doubled += max(0, sum(number - 1 for number in marks.values()) - again)
    return {
        "runs": len(by_id),
        "by_status": dict(Counter(run["status"] for run in listed)),
        "archived": sum(bool(run["archived"]) for run in listed),
        "lost": len(lost),
        "undead": len(by_id.keys() & set(people["deleted"])),
        "doubled": doubled,
        **_count_points(client, scripts["accepted"]),
        "first_lost": next(iter(sorted(lost)), None),
    }


def _count_points(client: httpx.Client, logged: Mapping[str, int]) -> dict[str, Any]:
    """Read every point of these runs, and compare its step with those that their scripts have logged.

    logged: of each run how many steps from 0 on, each with all METRICS.
    """
    points = lost = doubled = 0
    first = None
    for run_id, steps in logged.items():
        wanted = Counter((name, step) for name in METRICS for step in range(steps))
        found, refusal = _read_points(client, run_id)
        points += found.total()
        lost += (wanted - found).total()
        doubled += (found - wanted).total()
        if found != wanted and first is None:
            first = f"{run_id}: {refusal or f'{found.total()} of {wanted.total()} points'}"
    return {"points": points, "points_lost": lost, "points_doubled": doubled, "first_wrong_points": first}


def _read_points(client: httpx.Client, run_id: str) -> tuple[Counter[tuple[str, int]], str]:
    """Return how often each step of each metric is there, and why none can be read where the API says so."""
    path = f"/api/metrics/{run_id}"
    known = client.get(path)
    if known.is_error:
        return Counter(), known.text
    names = [each["name"] for each in known.json()["names"]]
    if not names:
        return Counter(), ""
    read = client.get(path, params={"name": ",".join(names), "points": _POINTS})
    if read.is_error:
        return Counter(), read.text
    found = read.json()["metrics"]
    if any(each["is_downsampled"] for each in found.values()):
        raise ValueError(
            f"Run {run_id} has more than {_POINTS} points of a metric. Choose a plan with fewer."
        )
    return Counter((name, step) for name, each in found.items() for step in each["steps"]), ""
