from __future__ import annotations

import pytest

from carbon_aware_trainer.errors import UnknownZone
from carbon_aware_trainer.providers.zones import PROVIDERS, canonical, code_at, get_zone, list_zones

# The members of the EU, and their neighbours with a grid of their own.
EUROPE = (
    "AL AT BA BE BG BY CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LT LU LV MD ME MK MT NL NO PL PT RO "
    "RS RU SE SI SK TR UA XK"
)


@pytest.mark.parametrize(
    ("code", "theirs"),
    [
        ("US-CA", ("US-CAL-CISO", "CAISO_NORTH", None, "USA")),
        ("US-TX", ("US-TEX-ERCO", "ERCOT_NORTHCENTRAL", None, "USA")),
        ("GB", ("GB", "UK", "national", "GBR")),
        ("DE", ("DE", "DE", None, "DEU")),
        ("FR", ("FR", "FR", None, "FRA")),
        ("US-PJM", ("US-MIDA-PJM", "PJM_DC", None, "USA")),
        ("GB-LONDON", (None, None, "13", "GBR")),
        ("AU-NSW", ("AU-NSW", "NEM_NSW", None, "AUS")),
        ("SE-SE3", ("SE-SE3", None, None, "SWE")),
    ],
)
def test_a_common_code_has_its_code_at_each_provider(code: str, theirs: tuple[str | None, ...]) -> None:
    assert tuple(get_zone(code).at.get(provider) for provider in PROVIDERS) == theirs


@pytest.mark.parametrize("code", EUROPE.split())
def test_every_country_of_europe_is_there(code: str) -> None:
    assert code_at("electricitymaps", code) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("CISO", "US-CA"), ("caiso", "US-CA"), ("US-CAL-CISO", "US-CA"), ("CAISO_NORTH", "US-CA"),
        ("ERCO", "US-TX"), ("UK", "GB"), ("DEU", "DE"), ("Germany", "DE"), ("USA", "US"), (" de ", "DE"),
        ("CA", "CA"), ("PJM", "US-PJM"),
    ],
)  # fmt: skip
def test_a_zone_is_found_under_each_of_its_names(name: str, code: str) -> None:
    assert get_zone(name).code == code
    assert canonical(name) == code


def test_a_code_of_a_files_own_stays_as_it_is() -> None:
    assert canonical("basement") == "basement"


def test_no_code_is_there_twice_and_every_zone_has_data_somewhere() -> None:
    zones = list_zones()
    assert len({zone.code for zone in zones}) == len(zones)
    assert all(zone.at for zone in zones)


def test_every_code_finds_its_own_zone() -> None:
    assert all(get_zone(zone.code) is zone for zone in list_zones())
    for provider in PROVIDERS[:3]:
        codes = [zone.at[provider] for zone in list_zones() if provider in zone.at]
        assert len(set(codes)) == len(codes), provider


@pytest.mark.parametrize(
    ("code", "near"),
    [
        ("US-CALIF", "US-CA"),
        ("Germny", "DE (Germany)"),
        ("GB-LONDN", "GB-LONDON (London)"),
        ("ERCOTT", "US-TX"),
    ],
)
def test_an_unknown_zone_names_near_ones(code: str, near: str) -> None:
    with pytest.raises(UnknownZone, match="Near ones") as caught:
        get_zone(code)
    assert near in str(caught.value)


def test_a_zone_without_anything_near_says_how_codes_look() -> None:
    with pytest.raises(UnknownZone, match="such as US-CA, GB or DE"):
        get_zone("????")
