"""What may be wished of the electricity of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from schema import CarbonOptions, RunOptions, planned_queue
from tests.records import plan

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_one_zone_may_be_given_as_zone() -> None:
    assert CarbonOptions.model_validate({"zone": "DE"}) == CarbonOptions(zones=("DE",))
    assert CarbonOptions.model_validate({"zone": None}) == CarbonOptions()


@pytest.mark.parametrize(
    "options",
    [
        {"zone": "DE", "zones": ["FR"]},
        {"zones": []},
        {"zones": ["DE", "de"]},
        {"zones": [f"Z{number}" for number in range(17)]},
        {"zone": "no zone"},
        {"threshold": 100.0},
        {"threshold": 0.0, "policy": "threshold"},
        {"max_delay_h": 0},
        {"max_delay_h": 337},
        {"max_delay_h": "24"},
        {"deadline": 1_772_366_400},
        {"deadline": "2026-03-01T12:00:00"},
        {"interruptible": 1},
        {"max_co2_g": -1},
        {"policy": "oracle"},
        {"forecast": True},
        [],
    ],
)
def test_other_wishes_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        RunOptions.model_validate({"carbon": options})


def test_a_threshold_counts_with_its_policy() -> None:
    wished = {"policy": "threshold", "threshold": 120, "zones": ["DE", "FR"], "deadline": "2026-03-01T12:00Z"}
    options = RunOptions.model_validate({"carbon": wished})
    assert options.carbon == CarbonOptions(
        policy="threshold", threshold=120.0, zones=("DE", "FR"), deadline=NOON
    )


@pytest.mark.parametrize(
    ("zones", "zone", "queue"),
    [
        (None, "DE", "gpu"),
        (("DE",), "DE", "gpu"),
        (("DE", "US-CA"), "US-CA", "zone-us-ca"),
        (("DE", "US-CA"), None, "gpu"),
    ],
)
def test_with_several_zones_a_run_waits_in_the_queue_of_one(
    zones: tuple[str, ...] | None, zone: str | None, queue: str
) -> None:
    options = RunOptions(queue="gpu", carbon=CarbonOptions(zones=zones))
    assert planned_queue(options, plan(NOON, zone=zone)) == queue
    assert planned_queue(options, None) == "gpu"
    assert planned_queue(RunOptions(queue="gpu"), plan(NOON, zone=zone)) == "gpu"
