"""What a report is made of, whatever it is written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

MISSING: Final = "–"
_READABLE: Final = 1e15


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; ``numbers`` are the columns that are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    caption: str
    text: str


@dataclass(frozen=True)
class Line:
    """A curve: where a value is not known, it is broken."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """Curves over one axis; costs are drawn from zero on."""

    title: str
    x_label: str
    lines: Sequence[Line]
    is_from_zero: bool = False


Block: TypeAlias = Text | Table | Code | Chart


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """A report on a run."""

    title: str
    summary: str
    sections: Sequence[Section]


def pairs(values: dict[str, str]) -> Table:
    """Make a table of names and values."""
    return Table(("Name", "Value"), list(values.items()))


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits, and all those before the point of what people read."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if 10**digits <= abs(value) < _READABLE else f"{value:,.{digits}g}"


def percent(fraction: float | None) -> str:
    """Write a fraction in percent."""
    return MISSING if fraction is None else f"{100 * fraction:.2f} %"


def energy(kwh: float | None) -> str:
    """Write an energy in kWh, or in Wh below one."""
    if kwh is None:
        return MISSING
    return f"{number(kwh)} kWh" if kwh >= 1 else f"{number(1_000 * kwh)} Wh"


def mass(grams: float | None) -> str:
    """Write a mass in g, or in kg from one on."""
    if grams is None:
        return MISSING
    return f"{number(grams / 1_000)} kg" if grams >= 1_000 else f"{number(grams)} g"


def duration(seconds: float | None) -> str:
    """Write a time span."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{number(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
