"""What a soak calls growth, and how it sorts keys."""

from __future__ import annotations

import re

import pytest

from bench.soak_plan import HOURS, METRICS, QUICK, Plan
from bench.soak_probe import LONG_MS, group_of, kind_of
from bench.soak_verdict import Growth, is_flat, measure
from store.archiving import WARM_MS
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
    # a key of a day at the end of a soak, and what the archive brings back for 15 minutes
    assert group_of("idempotency", 86_400_000 - 20 * 60_000) == "for_a_day"
    assert group_of("live_pass", LONG_MS + 1) == "for_a_day"
    assert group_of("points", WARM_MS) == "brought_back"
    assert group_of("by", -1) == "indexes"
    assert group_of("archived", -1) == "archived"
    assert group_of("events", -1) == "capped"


def test_a_plan_logs_its_points_and_travels_as_text() -> None:
    for plan in (Plan(), QUICK):
        assert plan.script_runs * plan.steps_per_script * len(METRICS) >= plan.points
        assert Plan.from_text(plan.to_text()) == plan
    assert Plan().script_runs + Plan().queue_runs + 4 * Plan().sweeps + 40 >= 5_000
