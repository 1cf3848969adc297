"""Zones of a run under one code each."""

from __future__ import annotations

import pytest

from errors import InvalidInput
from scheduling.zones import name_zones, read_zones
from schema import CarbonOptions, Requires, RunOptions
from tests.planning import run_of, worker_in
from tests.unit.test_outcomes import plan_of
from work.routing import list_queues


def test_zones_are_named_by_their_code_whatever_was_typed() -> None:
    carbon = CarbonOptions(zones=("DEU", "uk", "basement"))
    named = name_zones(RunOptions(carbon=carbon, requires=Requires(gpus=1, zone="deu")))
    assert named.carbon == CarbonOptions(zones=("DE", "GB", "basement"))
    assert named.requires == Requires(gpus=1, zone="DE")


@pytest.mark.parametrize("options", [RunOptions(), RunOptions(queue="gpu", carbon=CarbonOptions())])
def test_options_without_zones_stay_as_they_are(options: RunOptions) -> None:
    assert name_zones(options) == options


def test_two_names_of_one_zone_are_refused() -> None:
    with pytest.raises(InvalidInput, match="DE and DEU are one zone"):
        name_zones(RunOptions(carbon=CarbonOptions(zones=("FR", "DE", "DEU"))))


def test_a_queue_is_refused_where_the_zone_names_it() -> None:
    options = RunOptions(queue="gpu", carbon=CarbonOptions(zones=("DE", "FR")))
    with pytest.raises(InvalidInput, match=r"options\.queue"):
        name_zones(options)
    alone = RunOptions(queue="gpu", carbon=CarbonOptions(zones=("DE",)))
    assert name_zones(alone) == alone


def test_what_was_stored_under_other_names_is_read_under_the_codes() -> None:
    old = plan_of(zone="DEU", stays=[{"until_attempt": 1, "zone": "FRA"}])
    options = RunOptions(
        carbon=CarbonOptions(zones=("DEU", "FRA", "basement")), requires=Requires(zone="deu")
    )
    run = read_zones(run_of(CarbonOptions(), plan=old).model_copy(update={"options": options}))
    assert run.options == RunOptions(
        carbon=CarbonOptions(zones=("DE", "FR", "basement")), requires=Requires(zone="DE")
    )
    assert run.carbon is not None
    assert (run.carbon.zone, [stay.zone for stay in run.carbon.stays]) == ("DE", ["FR"])
    assert read_zones(run) == run


def test_two_stored_names_of_one_zone_are_one() -> None:
    run = run_of(CarbonOptions(zones=("DEU", "DE")))
    assert read_zones(run).options.carbon == CarbonOptions(zones=("DE",))


def test_a_worker_takes_a_run_that_was_stored_with_another_name_of_its_zone() -> None:
    worker = worker_in("DE")
    needs = {f"default.zone-{zone.lower()}": ("default", Requires(zone=zone)) for zone in ("DEU", "FRA")}
    assert list_queues(worker, needs) == ["zone-de", "default.zone-deu", "default"]
