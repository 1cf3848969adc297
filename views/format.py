"""How quantities and times read on a page: units that fit, fixed digits, a dash for what is unknown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

MISSING = "–"
Write = Callable[[float | None], str]
_NBSP = "\u00a0"
_WORD_JOINER = "\u2060"
# Streamlit replaces these in escaped text: 32x32, emoji and icons by name, arrows and signs between spaces.
_REPLACED = re.compile(r"(?<=\d)x(?=\d)|:(?=[\w+-]+:)|(?<!\S)(?:<->|->|<-|--|>=|<=|~=)(?!\S)")
# What is larger is hard to read beside a small one.
_LONGEST_NUMBER = 10_000
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
# What is shorter would be written as 0.0 s.
_TENTH_S = 0.0995


class Unit(NamedTuple):
    """A unit to show values in: ``shown = stored × factor``."""

    label: str
    factor: float


# From the largest down; a value is shown in the first unit in which it is at least ``_SMALLEST``.
_ENERGY_UNITS = (Unit("kWh", 1.0), Unit("Wh", 1e3), Unit("mWh", 1e6))
_CO2_UNITS = (Unit("kg", 1e-3), Unit("g", 1.0), Unit("mg", 1e3))
_TIME_UNITS = (Unit("h", 1 / _HOUR_S), Unit("min", 1 / _MINUTE_S), Unit("s", 1.0))
# Watt-hours and grams stay readable down to 0.01; only then do their thousandths take over.
_SMALLEST = {"kWh": 1.0, "kg": 1.0, "Wh": 0.01, "g": 0.01, "h": 2.0, "min": 5.0}


def energy_unit(values_kwh: Iterable[float | None]) -> Unit:
    """Choose one unit in which all the values read well, by the largest of them."""
    return _choose(values_kwh, _ENERGY_UNITS, zero=_ENERGY_UNITS[1])


def co2_unit(values_g: Iterable[float | None]) -> Unit:
    """Choose one unit in which all the values read well, by the largest of them."""
    return _choose(values_g, _CO2_UNITS, zero=_CO2_UNITS[1])


def time_unit(values_s: Iterable[float | None]) -> Unit:
    """Choose one unit for a column of durations, by the longest of them."""
    return _choose(values_s, _TIME_UNITS, zero=_TIME_UNITS[-1])


def decimals(values: Iterable[float | None]) -> int:
    """Return how many decimals a column needs: three digits of its largest value, two of its smallest."""
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return 0
    for_smallest = 1 - math.floor(math.log10(min(sizes)))
    return min(max(_decimals(max(sizes)), for_smallest), 4)


def energy(value_kwh: float | None) -> str:
    """Write an energy with its unit: 0.052 Wh, 3.1 mWh, 1.25 kWh."""
    return MISSING if value_kwh is None else _with_unit(value_kwh, energy_unit([value_kwh]))


def co2(value_g: float | None) -> str:
    """Write a mass of CO₂ with its unit: 0.019 g, 4.2 mg, 1.25 kg."""
    return MISSING if value_g is None else _with_unit(value_g, co2_unit([value_g]))


def energies(values_kwh: Iterable[float | None]) -> Write:
    """Return what writes energies that stand beside each other, as the ends of a range: all in one unit."""
    unit = _shared(values_kwh, energy_unit)
    return lambda value_kwh: MISSING if value_kwh is None else _with_unit(value_kwh, unit)


def masses(values_g: Iterable[float | None]) -> Write:
    """Return what writes masses of CO₂ that stand beside each other: all in one unit."""
    unit = _shared(values_g, co2_unit)
    return lambda value_g: MISSING if value_g is None else _with_unit(value_g, unit)


def _shared(values: Iterable[float | None], choose: Callable[[Iterable[float | None]], Unit]) -> Unit:
    """Return the unit of the smallest value, which keeps its digits, unless the largest is far too large."""
    known = [value for value in values if value]
    unit = choose([min(known, key=abs, default=None)])
    largest = max(map(abs, known), default=0.0)
    return unit if largest * unit.factor < _LONGEST_NUMBER else choose([largest])


def size(value_bytes: int) -> str:
    """Write the size of a file: 2.7 kB, 213 kB, 44.7 MB."""
    shown, unit = float(value_bytes), "bytes"
    for larger in ("kB", "MB", "GB"):
        # 999.5 kB would be written as 1000 kB.
        if shown < 999.5:
            break
        shown, unit = shown / 1000, larger
    digits = 0 if unit == "bytes" or shown >= 99.95 else 1
    return f"{shown:.{digits}f}{_NBSP}{unit}"


def percent(fraction: float | None) -> str:
    """Write a fraction as per cent with two decimals."""
    return MISSING if fraction is None else f"{100 * fraction:.2f}{_NBSP}%"


def loss(value: float | None) -> str:
    """Write a loss with four decimals, or as a power of ten when those would all be zero."""
    if value is None:
        return MISSING
    return f"{value:.1e}" if 0 < abs(value) < 5e-5 else f"{value:.4f}"


def duration(value_s: float | None) -> str:
    """Write a length of time in its two largest units: 48 ms, 0.8 s, 3 min 20 s, 2 h 05 min, 4 d 7 h."""
    if value_s is None:
        return MISSING
    if 0 < value_s < _TENTH_S:
        return f"{max(1, round(1000 * value_s))}{_NBSP}ms"
    if value_s < 9.95:
        return f"{value_s:.1f}{_NBSP}s"
    whole_s = round(value_s)
    if whole_s < _MINUTE_S:
        return f"{whole_s}{_NBSP}s"
    if whole_s < _HOUR_S:
        return _two(whole_s, _MINUTE_S, "min", 1, "s")
    if whole_s < _DAY_S:
        return _two(whole_s, _HOUR_S, "h", _MINUTE_S, "min")
    return _two(whole_s, _DAY_S, "d", _HOUR_S, "h")


def ago(time: datetime | None, now: datetime) -> str:
    """Write how long ago something was: just now, 3 minutes ago, yesterday is 1 day ago."""
    if time is None:
        return MISSING
    past_s = (now - time).total_seconds()
    if past_s < 10:
        return "just now"
    for size_s, name in ((_DAY_S, "day"), (_HOUR_S, "hour"), (_MINUTE_S, "minute"), (1, "second")):
        if past_s >= size_s:
            count = int(past_s // size_s)
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def utc(time: datetime | None) -> str:
    """Write the exact time in UTC."""
    return MISSING if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(time: datetime, zone: tzinfo) -> str:
    """Write the time of day in the reader's zone."""
    return f"{time.astimezone(zone):%H:%M:%S}"


def count(value: int) -> str:
    """Write a whole number with thin spaces between the thousands."""
    return f"{value:,}".replace(",", "\u2009")


def quantity(value: int) -> str:
    """Write how many there are, roughly: 640, 11.7 K, 25.6 M."""
    shown, unit = float(value), ""
    for larger in ("K", "M", "B", "T"):
        if shown < 999.5:
            break
        shown, unit = shown / 1000, larger
    digits = 0 if not unit or shown >= 99.95 else 1 if shown >= 9.995 else 2
    return f"{shown:.{digits}f}" + (f"{_NBSP}{unit}" if unit else "")


def significant(value: float) -> str:
    """Write a value with three significant digits, at most three decimals, never as a power of ten."""
    if value == 0:
        return "0"
    if abs(value) < 0.0005:
        return "< 0.001"
    return f"{value:.{_decimals(abs(value))}f}"


def shorten(text: str, most: int) -> str:
    """Cut text at so many characters, with an ellipsis in place of the rest."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain(text: str) -> str:
    """Escape text that others wrote, so that a page shows it in one line as it is and not as Markdown."""
    one_line = re.sub(r"[\t-\r ]+", " ", text).strip(" ")
    joined = _REPLACED.sub(lambda found: f"{found[0][0]}{_WORD_JOINER}{found[0][1:]}", one_line)
    # Not every sign: labels are read aloud with their backslashes.
    return re.sub(r"([!#$&*+./:<=>@\[\\\]^_`{|}~-]|(?<=\d)\))", r"\\\1", joined)


def chart_text(text: str) -> str:
    """Escape text that others wrote for Plotly, which reads some HTML in names, titles, labels and hovers."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain_lines(text: str) -> str:
    """Escape text that others wrote as ``plain`` does, and keep its lines."""
    return "  \n".join(plain(line) for line in text.splitlines() if line.strip())


def _decimals(size: float) -> int:
    return 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3


def _choose(values: Iterable[float | None], units: tuple[Unit, ...], *, zero: Unit) -> Unit:
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    if largest == 0:
        return zero
    for unit in units[:-1]:
        if largest * unit.factor >= _SMALLEST[unit.label]:
            return unit
    return units[-1]


def _with_unit(value: float, unit: Unit) -> str:
    return f"{significant(value * unit.factor)}{_NBSP}{unit.label}"


def _two(value_s: int, large_s: int, large: str, small_s: int, small: str) -> str:
    first, rest_s = divmod(value_s, large_s)
    second = rest_s // small_s
    if second == 0:
        return f"{first}{_NBSP}{large}"
    return f"{first}{_NBSP}{large}{_NBSP}{second:02d}{_NBSP}{small}"
