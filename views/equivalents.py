"""How an equivalent of a mass of CO₂ reads."""

from __future__ import annotations

from collections.abc import Sequence

from schema import Equivalent
from views import format as fmt

_M_PER_KM = 1000


def equivalent_tiles(equivalents: Sequence[Equivalent]) -> list[tuple[str, str, str | None]]:
    """Return label, value and source of each for a row of figures."""
    labels = (("Like driving", "km"), ("Phone charges", "charges"))
    return [(label, *_text_and_source(equivalents, unit)) for label, unit in labels]


def equivalent_text(equivalent: Equivalent) -> str:
    """Write an equivalent in a size people can picture: 1.2 km, 85 m, 40 % of one."""
    amount = equivalent.amount
    if equivalent.unit != "km":
        if amount >= 1:
            return fmt.significant(amount)
        return f"{fmt.significant(100 * amount)}\u00a0% of one"
    if amount >= 1:
        return f"{fmt.significant(amount)}\u00a0km"
    meters = amount * _M_PER_KM
    if meters >= 1 or amount == 0:
        return f"{fmt.significant(meters)}\u00a0m"
    return f"{fmt.significant(100 * meters)}\u00a0cm"


def _text_and_source(equivalents: Sequence[Equivalent], unit: str) -> tuple[str, str | None]:
    for found in equivalents:
        if found.unit == unit:
            return equivalent_text(found), fmt.plain(f"Source: {found.source}.")
    return fmt.MISSING, None
