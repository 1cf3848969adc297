"""Zones of a run under one code each."""

from __future__ import annotations

import pytest

from errors import InvalidInput
from scheduling.zones import name_zones
from schema import CarbonOptions, Requires, RunOptions


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
