"""How a run waits for clean electricity: a part of the form, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import streamlit as st
from pydantic import ValidationError

from schema import CarbonOptions
from views import format as fmt
from views import parts

_AT_ONCE, _ADAPTIVE, _THRESHOLD = "run at once", "wait, by forecast", "wait, by threshold"
_POLICIES = {_ADAPTIVE: "adaptive", _THRESHOLD: "threshold"}
_MAX_DELAY_H = 336.0


@dataclass(frozen=True)
class Wish:
    """What is filled in; without options the run starts at once, unless they are not valid."""

    options: CarbonOptions | None
    is_valid: bool = True


def show(errors: Mapping[str, str], *, prefix: str, first: CarbonOptions | None) -> Wish:
    """Draw the fields, at first ``first``; the reason stands below when they are not valid."""
    policy = _policy(prefix, first)
    values = _limits(prefix, first) | _places(prefix, first)
    if message := errors.get("carbon"):
        parts.field_error(message)
    if policy not in _POLICIES:
        return Wish(None)
    try:
        # A threshold that is left from another choice does not count; the review says what does.
        counted = values if policy == _THRESHOLD else values | {"threshold": None}
        return Wish(CarbonOptions.model_validate({"policy": _POLICIES[policy], **counted}))
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        parts.field_error("; ".join(reasons))
        return Wish(None, is_valid=False)


def describe(carbon: CarbonOptions, zone: tzinfo) -> str:
    """Say in sentences how it waits; times in the reader's zone."""
    return f"It waits for clean electricity: **{fmt.plain(text(carbon, zone))}**."


def text(carbon: CarbonOptions | None, zone: tzinfo) -> str:
    """Write how it waits in a line; a dash for a run that starts at once."""
    if carbon is None:
        return fmt.MISSING
    words = ["by forecast"]
    if carbon.policy == "threshold":
        limit = "the lowest third" if carbon.threshold is None else f"{carbon.threshold:g} g/kWh"
        words = [f"below {limit}"]
    if carbon.max_delay_h is not None or carbon.deadline is None:
        words.append(f"at most {carbon.max_delay_h or 24:g} h")
    if carbon.deadline is not None:
        words.append(f"done by {carbon.deadline.astimezone(zone):%Y-%m-%d %H:%M}")
    if carbon.zones:
        words.append(f"in {' or '.join(carbon.zones)}")
    words.append("may be interrupted" if carbon.interruptible else "in one piece")
    if carbon.max_co2_g is not None:
        words.append(f"ends before {fmt.co2(carbon.max_co2_g)}")
    return ", ".join(words)


def _policy(prefix: str, first: CarbonOptions | None) -> str:
    names = {policy: name for name, policy in _POLICIES.items()}
    chosen = st.segmented_control(
        "Clean electricity",
        [_AT_ONCE, _ADAPTIVE, _THRESHOLD],
        default=_AT_ONCE if first is None else names[first.policy],
        required=True,
        key=f"{prefix}:carbon_policy",
        help="The fields below count when it waits. By forecast: planned again each hour. The deadline "
        "always wins, and a run for which nothing is known of the grid starts at once.",
    )
    return str(chosen)


def _limits(prefix: str, first: CarbonOptions | None) -> dict[str, Any]:
    """Draw how long it may wait; a past deadline is none, and one left as it was is exact."""
    zone, deadline = parts.reader_zone(), first.deadline if first else None
    if deadline is not None and deadline <= datetime.now(UTC):
        deadline = None
    first_done = deadline and deadline.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    left, middle, third = st.columns(3)
    first_h, first_g_per_kwh = (first.max_delay_h, first.threshold) if first else (None, None)
    delay_h = left.number_input(
        "Wait at most (h)",
        min_value=_least(0.01, first_h),
        max_value=_MAX_DELAY_H,
        value=first_h,
        step=6.0,
        format="%g",
        key=f"{prefix}:carbon_delay",
        placeholder="24 without a deadline",
        help="From its submission to its start, pauses included.",
    )
    done: datetime | None = middle.datetime_input(
        "Done by",
        value=first_done,
        key=f"{prefix}:carbon_deadline",
        format="YYYY-MM-DD",
        help="It runs in time for this, however dirty the grid is. Your own time zone.",
    )
    threshold = third.number_input(
        "Threshold (g/kWh)",
        min_value=_least(0.1, first_g_per_kwh),
        value=first_g_per_kwh,
        step=10.0,
        format="%g",
        key=f"{prefix}:carbon_threshold",
        placeholder="the lowest third",
        help="By threshold only: it runs while the grid is below this.",
    )
    if done != first_done:
        deadline = done and done.replace(tzinfo=zone)
    return {"max_delay_h": delay_h, "deadline": deadline, "threshold": threshold}


def _places(prefix: str, first: CarbonOptions | None) -> dict[str, Any]:
    """Draw where it may run, whether in pieces, and its limit of CO₂."""
    left, middle, third = st.columns(3, vertical_alignment="bottom")
    zones = left.text_input(
        "Zones",
        value=", ".join(first.zones or ()) if first else "",
        key=f"{prefix}:carbon_zones",
        placeholder="of this installation, or DE, FR",
        help="Where it may run, separated by commas: it goes to the cleanest in which a worker lives.",
    )
    first_limit_g = first.max_co2_g if first else None
    limit_g = middle.number_input(
        "CO₂ at most (g)",
        min_value=_least(0.001, first_limit_g),
        value=first_limit_g,
        step=100.0,
        format="%g",
        key=f"{prefix}:carbon_max_co2",
        placeholder="no limit",
        help="It ends before an epoch that would exceed this, by its country's yearly average.",
    )
    interruptible = third.toggle(
        "May be interrupted",
        value=first.interruptible if first else True,
        key=f"{prefix}:carbon_interruptible",
        help="While the grid is dirty it is stopped with a checkpoint; it goes on with the same weights.",
    )
    names = [zone.strip() for zone in zones.split(",") if zone.strip()]
    return {"zones": names or None, "max_co2_g": limit_g, "interruptible": interruptible}


def _least(usual: float, first: float | None) -> float:
    """Return the least that a field takes: less than usual where the old run has less."""
    return usual if first is None else min(usual, first)
