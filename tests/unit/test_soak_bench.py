"""What a soak calls growth, how it sorts keys, and whether it finds what was lost or doubled."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from bench.soak_count import count
from bench.soak_plan import HOURS, METRICS, QUICK, Plan
from bench.soak_probe import DAY_MS, group_of, kind_of
from bench.soak_verdict import Growth, is_flat, measure
from store.keys import TEMPLATES

HOUR_S = 2.0


def grow(values: list[float], name: str = "web.fds") -> Growth:
    """Return the growth of a quantity with these values, evenly spread over the day."""
    step_s = HOURS * HOUR_S / len(values)
    samples = [(number * step_s, {name: value}) for number, value in enumerate(values)]
    growth = measure(samples, name, hour_s=HOUR_S)
    assert growth is not None
    return growth


def test_one_descriptor_more_each_hour_is_a_growth() -> None:
    growth = grow([20.0 + hour for hour in range(HOURS)])
    assert growth.by_least_squares == pytest.approx(18)
    assert growth.by_level == pytest.approx(16)
    assert not is_flat(growth)


def test_what_grows_in_the_warm_up_alone_and_what_only_swings_is_flat() -> None:
    assert is_flat(grow([float(min(hour, 5)) for hour in range(HOURS)]))
    assert is_flat(grow([20.0 + 30 * (number % 2) for number in range(10 * HOURS)]))
    # one peak in the last hours, as when everybody comes at nine
    assert is_flat(grow([20.0] * (HOURS * 10 - 5) + [400.0] * 5))


def test_memory_may_grow_by_a_tenth_and_no_more() -> None:
    assert is_flat(grow([100.0 + 0.5 * hour for hour in range(HOURS)], "web.rss_mib"))
    assert not is_flat(grow([100.0 + hour for hour in range(HOURS)], "web.rss_mib"))


def test_what_was_never_seen_at_the_end_has_no_growth() -> None:
    assert measure([(0.0, {"web.fds": 1.0})], "web.fds", hour_s=HOUR_S) is None


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_each_kind_of_key_is_recognised(name: str) -> None:
    assert kind_of(re.sub("<[a-z_]+>", "abc", TEMPLATES[name])) == name
    whole = re.sub("<(owner|who)>", "token:own", TEMPLATES[name])
    assert kind_of(re.sub("<[a-z_]+>", "abc", whole)) == name


def test_a_key_that_nobody_knows_is_found() -> None:
    assert kind_of("mystery:key") == "unknown"
    assert group_of("unknown", -1) == "others"


def test_keys_are_told_apart_by_what_bounds_them() -> None:
    assert group_of("points", -1) == "runs"
    assert group_of("points", 900_000) == "brought_back"
    assert group_of("idempotency", DAY_MS + 1) == "for_a_day"
    assert group_of("by", -1) == "indexes"
    assert group_of("archived", -1) == "archived"
    assert group_of("events", -1) == "capped"


def test_a_plan_logs_its_points_and_travels_as_text() -> None:
    for plan in (Plan(), QUICK):
        assert plan.script_runs * plan.steps_per_script * len(METRICS) >= plan.points
        assert Plan.from_text(plan.to_text()) == plan
    assert Plan().script_runs + Plan().queue_runs + 4 * Plan().sweeps + 40 >= 5_000


def run(iid: str, *tags: str, name: str | None = None) -> dict[str, Any]:
    options = {"tags": list(tags)}
    return {
        "iid": iid,
        "options": options,
        "name": name,
        "is_external": name is not None,
        "status": "done",
        "archived": iid == "a",
    }


def api_with(*listed: dict[str, Any], points: int = 8) -> httpx.Client:
    """Return a client of an API that lists these runs, two on a page, each with so many points."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/runs":
            start = int(request.url.params.get("cursor", "0"))
            cursor = str(start + 2) if start + 2 < len(listed) else None
            return httpx.Response(200, json={"results": listed[start : start + 2], "cursor": cursor})
        return httpx.Response(200, content=json.dumps({"names": [{"count": points}]}))

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://api")


PEOPLE = {"accepted": {"a": "soak:1", "b": "soak:2", "c": None}, "deleted": []}
SCRIPTS = {"accepted": {"s": 8}}
ALL = (run("a", "soak:1"), run("b", "soak:2"), run("c", "soak:2"), run("s", name="script-1"))


def test_what_was_taken_is_there_once() -> None:
    found = count(api_with(*ALL), PEOPLE, SCRIPTS)
    assert (found["runs"], found["lost"], found["doubled"], found["undead"]) == (4, 0, 0, 0)
    assert (found["archived"], found["points"], found["points_lost_or_doubled"]) == (1, 8, 0)


def test_a_run_that_is_gone_or_there_twice_is_found() -> None:
    found = count(api_with(*ALL[1:]), PEOPLE, SCRIPTS)
    assert (found["lost"], found["first_lost"]) == (1, "a")
    again = run("d", "soak:1")
    assert count(api_with(*ALL, again), PEOPLE, SCRIPTS)["doubled"] == 1
    assert count(api_with(*ALL, ALL[0]), PEOPLE, SCRIPTS)["doubled"] == 2
    assert count(api_with(*ALL, run("t", name="script-1")), PEOPLE, SCRIPTS)["doubled"] == 1


def test_a_deleted_run_that_lives_on_and_points_that_are_missing_are_found() -> None:
    assert count(api_with(*ALL), {**PEOPLE, "deleted": ["b"]}, SCRIPTS)["undead"] == 1
    assert count(api_with(*ALL, points=6), PEOPLE, SCRIPTS)["points_lost_or_doubled"] == 2
