"""Whether everything that the API took is there at the end, once: looked up through the API alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import httpx

from bench.soak_plan import MARK

_PAGE: Final = 200


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
    """Compare what the API took with what it lists, and the points of each script with what it logged."""
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


def _count_points(client: httpx.Client, logged: Mapping[str, int]) -> dict[str, int]:
    wrong = points = 0
    for run_id, expected in logged.items():
        names = client.get(f"/api/metrics/{run_id}").raise_for_status().json()["names"]
        found = sum(each["count"] for each in names)
        points += found
        wrong += abs(found - expected)
    return {"points": points, "points_lost_or_doubled": wrong}
