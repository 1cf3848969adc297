from __future__ import annotations

import json
from pathlib import Path

import pytest

from carbon_aware_trainer.errors import IntensityUnavailable, UnknownZone
from carbon_aware_trainer.providers import country_intensity


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mix.json"
    mixes = {
        "USA": {"carbon_intensity": 369.473, "country_name": "United States", "year": 2023},
        "DEU": {"carbon_intensity": 381.0, "country_name": "Germany", "year": 2023},
        "CAF": {"carbon_intensity": 0.0, "country_name": "Central African Republic", "year": 2022},
        "NUL": {"carbon_intensity": None, "country_name": "Nowhere", "year": 2022},
    }
    path.write_text(json.dumps(mixes))
    return path


def test_a_country_gives_its_average_with_basis_year_and_source(file: Path) -> None:
    intensity = country_intensity("USA", file=file)
    assert (intensity.zone, intensity.g_per_kwh, intensity.year) == ("USA", 369.473, 2023)
    assert (intensity.provider, intensity.basis) == ("static", "yearly average of generation, life cycle")
    assert str(intensity) == (
        "USA 369 g/kWh (yearly average of generation, life cycle, 2023; Our World in Data)"
    )


@pytest.mark.parametrize(
    ("country", "near"),
    [("USB", "USA (United States)"), ("Germany", "DEU (Germany)"), ("deu", "DEU (Germany)")],
)
def test_an_unknown_country_names_the_near_ones(file: Path, country: str, near: str) -> None:
    with pytest.raises(UnknownZone) as caught:
        country_intensity(country, file=file)
    assert near in str(caught.value)


@pytest.mark.parametrize("country", ["CAF", "NUL"])
def test_a_country_without_a_figure_is_unknown_never_zero(file: Path, country: str) -> None:
    with pytest.raises(IntensityUnavailable, match="No intensity is known"):
        country_intensity(country, file=file)
