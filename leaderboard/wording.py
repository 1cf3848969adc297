"""Why a configuration is recommended, in sentences for a person; pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

from schema.leaderboard import Spread
from schema.recommend import Candidate, Change, Goal, Limit


class _Unit(NamedTuple):
    size: float
    least: float
    """The lowest value that is written in it, so that texts and tiles of a page have the same unit."""
    name: str


_GRAMS: Final = (_Unit(1e3, 1e3, "kg CO₂"), _Unit(1.0, 0.01, "g CO₂"), _Unit(1e-3, 0.0, "mg CO₂"))
_HOURS: Final = (_Unit(1.0, 1.0, "kWh"), _Unit(1e-3, 1e-5, "Wh"), _Unit(1e-6, 0.0, "mWh"))
_TIMES: Final = (_Unit(3_600.0, 3_600.0, "h"), _Unit(60.0, 60.0, "min"), _Unit(1.0, 0.0, "s"))
_UNITS: Final = {Limit.MAX_CO2_G: _GRAMS, Limit.MAX_ENERGY_KWH: _HOURS, Limit.MAX_DURATION_S: _TIMES}
_ASKED_ABOUT: Final = {
    Limit.MAX_CO2_G: "CO₂",
    Limit.MAX_DURATION_S: "duration",
    Limit.MAX_ENERGY_KWH: "energy",
}


def round_up(value: float) -> float:
    """Return the lowest number of three digits that is not below a value."""
    # As it is written: the float 0.4 is a little more than 0.4.
    exact = Decimal(repr(value))
    if not exact:
        return 0.0
    step = Decimal(1).scaleb(exact.adjusted() - 2)
    return min(float(exact.quantize(step, rounding=ROUND_CEILING)), sys.float_info.max)


def because(best: Candidate, fitting: int, target: float | None, asked: Mapping[Limit, float]) -> str:
    """Say why a configuration is the answer."""
    limits = _limits_text(target, asked)
    name = title_of(best)
    if fitting == 1:
        text = f"{name} is the only configuration"
    elif target is not None:
        text = f"{name} takes the fewest grams of {fitting} configurations"
    else:
        text = f"{name} is the most accurate of {fitting} configurations"
    kept = f" that keep{'s' if fitting == 1 else ''} to {limits}" if limits else ""
    return f"{text}{kept}: {_figures(best)}. {_behind(best)}"


def comparison_text(other: Candidate, best: Candidate) -> str:
    """Say how another configuration differs from the answer."""
    words = [_accuracy_text(other.accuracy, best.accuracy)]
    if other.co2_g is not None and best.co2_g is not None:
        words.append(_cost_text(other.co2_g.median, best.co2_g.median))
    elif other.co2_g is None:
        words.append("its CO₂ is not known")
    return ", ".join(words)


def change_text(changes: Sequence[Change], found: Candidate) -> str:
    """Say what to allow, how much more that is, and what is then found."""
    words = [_one_change_text(change) for change in changes]
    return f"Allow {' and '.join(words)}: then it is {title_of(found)}, {_figures(found)}."


def _one_change_text(change: Change) -> str:
    needed = _limit_text(change.limit, change.needed, is_up=True)
    asked, by = _limit_text(change.limit, change.asked), _limit_text(change.limit, change.by)
    return f"{needed} instead of {asked} ({by} more)"


def nothing_fits(known: int, target: float | None, asked: Mapping[Limit, float]) -> str:
    """Say that no configuration keeps to the limits."""
    who = "The only configuration does not keep" if known == 1 else f"None of {known} configurations keeps"
    return f"{who} to {_limits_text(target, asked)}."


def nothing_known(total: int, asked: Mapping[Limit, float], goal: Goal) -> str:
    """Say that no configuration knows what is asked about."""
    names = [_ASKED_ABOUT[limit] for limit in asked if limit in _ASKED_ABOUT]
    if goal is Goal.FEWEST_GRAMS and "CO₂" not in names:
        names.append("CO₂")
    what = " and ".join(names)
    who = "The only configuration does not know" if total == 1 else f"None of {total} knows"
    return f"{who} its {what}, so nothing can be said about it. Runs on a worker that reads energy do."


def nothing_there(dataset: str | None, device: str | None, *, simulated: bool) -> str:
    """Say that there is no run to learn from."""
    kind = "simulated run" if simulated else "run"
    of = f" of {dataset}" if dataset else ""
    on = f" on {device}" if device else " that says no device" if device == "" else ""
    return f"No {kind}{of}{on} has finished yet."


def title_of(candidate: Candidate) -> str:
    """Name a configuration."""
    return candidate.network or candidate.name or f"The configuration of {candidate.run_id[:8]}"


def _figures(found: Candidate) -> str:
    words = [f"{percent_text(found.accuracy.median)}"]
    if found.co2_g is not None:
        words.append(_text(found.co2_g.median, _GRAMS))
    if found.energy_kwh is not None:
        quality = "partly measured" if found.is_mixed else found.energy_quality
        words.append(_text(found.energy_kwh.median, _HOURS) + (f" ({quality})" if quality else ""))
    if found.duration_s is not None:
        words.append(_limit_text(Limit.MAX_DURATION_S, found.duration_s.median))
    return ", ".join(words)


def _behind(found: Candidate) -> str:
    if found.runs == 1:
        return "One run stands behind it; how far another seed comes out differently is not known."
    low, high = found.accuracy.low, found.accuracy.high
    return f"These are medians of {found.runs} runs, from {percent_text(low)} to {percent_text(high)}."


def _limits_text(target: float | None, asked: Mapping[Limit, float]) -> str:
    words = []
    if target is not None:
        words.append(f"within {points_text(asked[Limit.TOLERANCE])} of {percent_text(target)}")
    budgets = [_limit_text(limit, most) for limit, most in asked.items() if limit in _UNITS]
    if budgets:
        words.append(f"at most {' and '.join(budgets)}")
    return ", ".join(words)


def _limit_text(limit: Limit, value: float, *, is_up: bool = False) -> str:
    return points_text(value) if limit is Limit.TOLERANCE else _text(value, _UNITS[limit], is_up=is_up)


def _accuracy_text(other: Spread, best: Spread) -> str:
    difference = other.median - best.median
    if not difference:
        return "as accurate"
    text = f"{points_text(abs(difference))} {'more' if difference > 0 else 'less'} accurate"
    is_spread = other.n > 1 or best.n > 1
    overlaps = other.low <= best.high and best.low <= other.high
    return f"{text} (within the spread over seeds)" if is_spread and overlaps else text


def _cost_text(other: float, best: float) -> str:
    if other == best:
        return "for as much CO₂"
    text = f"for {_text(abs(other - best), _GRAMS)} {'more' if other > best else 'less'}"
    return f"{text} ({100 * (other - best) / best:+.0f} %)" if 0 < best <= 100 * abs(other - best) else text


def grams_text(co2_g: float) -> str:
    """Write a mass of CO₂."""
    return _text(co2_g, _GRAMS)


def percent_text(accuracy: float) -> str:
    """Write an accuracy."""
    return f"{100 * accuracy:.2f} %"


def points_text(difference: float) -> str:
    """Write a difference of accuracies."""
    text = _digits(100 * difference)
    return f"{text} {'point' if text == '1' else 'points'}"


def _text(value: float, units: Sequence[_Unit], *, is_up: bool = False) -> str:
    unit = next(unit for unit in units if value >= unit.least) if value else units[len(units) // 2]
    # In hours, what was rounded up in seconds could be rounded down.
    shown = round_up(round(value / unit.size, 9)) if is_up else value / unit.size
    return f"{_digits(shown)} {unit.name}"


def _digits(value: float) -> str:
    """Write three digits, all of those before the point."""
    return f"{value:.0f}" if value >= 1_000 else f"{value:.3g}"
