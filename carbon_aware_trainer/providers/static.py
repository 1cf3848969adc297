"""The average intensity of a country's electricity over a year: the figure when nothing newer is at hand."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from carbon_aware_trainer.codecarbon_data import COUNTRIES, codecarbon_name, find_codecarbon_file
from carbon_aware_trainer.errors import IntensityUnavailable, MixUnavailable, UnknownZone
from carbon_aware_trainer.records import EnergyMix, Intensity

_RENEWABLE = {"hydro": "hydroelectricity", "wind": "wind", "solar": "solar", "biomass": "biofuel",
              "other renewable": "other_renewable_exc_biofuel"}  # fmt: skip
_SOURCES = {"coal": "coal", "gas": "gas", "oil": "oil", "nuclear": "nuclear", **_RENEWABLE}
_BASIS = "yearly average of generation, life cycle"


def country_intensity(country: str, *, file: Path | None = None) -> Intensity:
    """Return the average intensity of ``country``, an ISO 3166 alpha-3 code such as USA.

    Source: Our World in Data, carbon intensity of electricity generation (Ember and the Energy Institute), as
    CodeCarbon ships it in global_energy_mix.json; ``file`` replaces that file.
    Raises UnknownZone, naming near codes; IntensityUnavailable when there is no file or no figure in it.
    """
    mix = _row(country, file)
    g_per_kwh = mix.get("carbon_intensity")
    # tiny grids are rounded to 0.0 there; no country's life-cycle average is really zero
    if not isinstance(g_per_kwh, int | float) or g_per_kwh <= 0:
        raise IntensityUnavailable(f"No intensity is known for {country}. Use a neighbouring country's code.")
    return Intensity(
        zone=country,
        g_per_kwh=float(g_per_kwh),
        provider="static",
        basis=_BASIS,
        year=int(mix["year"]) if "year" in mix else None,
        source="Our World in Data" + ("" if file else f", in {codecarbon_name()}"),
    )


def country_mix(country: str, *, file: Path | None = None) -> EnergyMix:
    """Return what the electricity of ``country`` was made from in a year. Source and errors as above.

    Raises MixUnavailable when the sources are not given.
    """
    row = _row(country, file)
    twh = {name: float(row.get(f"{key}_TWh") or 0.0) for name, key in _SOURCES.items()}
    total = sum(twh.values())
    if total <= 0:
        raise MixUnavailable(f"It is not known what the electricity of {country} is made from.")
    shares = {name: value / total for name, value in twh.items() if value > 0}
    renewable = sum(shares.get(name, 0.0) for name in _RENEWABLE)
    return EnergyMix(country, "static", None, shares, renewable)


def _row(country: str, file: Path | None) -> dict[str, float | str]:
    path = file or find_codecarbon_file(COUNTRIES)
    if path is None:
        raise IntensityUnavailable(
            "The intensity of countries comes with CodeCarbon, which is not installed. "
            "Run: pip install codecarbon"
        )
    countries: dict[str, dict[str, float | str]] = json.loads(path.read_text(encoding="utf-8"))
    if country not in countries:
        raise UnknownZone(_unknown(country, countries))
    return countries[country]


def _unknown(country: str, countries: dict[str, dict[str, float | str]]) -> str:
    names = {code: str(mix.get("country_name", code)) for code, mix in countries.items()}
    wanted = country.strip().lower()
    near = [code for code, name in names.items() if code.lower() == wanted or name.lower() == wanted]
    near += difflib.get_close_matches(country.upper(), countries, n=3, cutoff=0.6)
    listed = ", ".join(f"{code} ({names[code]})" for code in dict.fromkeys(near))
    hint = f" Near ones: {listed}." if listed else ""
    return f"{country!r} is no known country code. Use an ISO 3166 alpha-3 code such as USA or DEU.{hint}"
