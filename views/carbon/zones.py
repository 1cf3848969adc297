"""The zones in use side by side, on the page Carbon: of one provider and basis only."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from schema import ZoneReply
from views import format as fmt
from views.asking import Questions


def show(questions: Questions, zone: str) -> None:
    """Draw the section; compared is with the zone that is shown where it is in use, else with the first."""
    zones = questions.answer("zones")
    if zones.value is None or not zones.value.zones:
        return
    st.subheader("Zones in use", anchor=False)
    same, others = split(zones.value.zones, zone)
    if same:
        first = same[0]
        st.caption(f"As of now, {fmt.plain(first.provider or '')}, {first.basis}; cleanest first.")
        _table(same)
    for other in others:
        st.caption(f":material/block: **{fmt.plain(other.zone)}** {fmt.plain(why_apart(other, same))}")


def split(zones: Sequence[ZoneReply], shown: str) -> tuple[list[ZoneReply], list[ZoneReply]]:
    """Return the zones that can be compared, cleanest first, and the others.

    Comparable are those of the provider and basis of the zone that is shown, else of the first known one.
    """
    known = [zone for zone in zones if zone.g_per_kwh is not None]
    measure = next((zone for zone in known if zone.zone == shown), known[0] if known else None)
    if measure is None:
        return [], list(zones)
    kind = (measure.provider, measure.basis)
    same = [zone for zone in known if (zone.provider, zone.basis) == kind]
    others = [zone for zone in zones if zone not in same]
    return sorted(same, key=lambda zone: (zone.g_per_kwh or 0.0, zone.zone)), others


def why_apart(zone: ZoneReply, compared: Sequence[ZoneReply]) -> str:
    """Say why a zone is not compared with the others."""
    if zone.g_per_kwh is None:
        return f"is left out: {(zone.reason or 'nothing is known of it').rstrip('.')}."
    return (
        f"is not compared: its {zone.g_per_kwh:.0f} g/kWh are {zone.basis} by {zone.provider}, the others "
        f"are {compared[0].basis} by {compared[0].provider}."
    )


def _table(zones: Sequence[ZoneReply]) -> None:
    highest = max(zone.g_per_kwh or 0.0 for zone in zones)
    st.dataframe(
        [
            {
                "Zone": zone.zone + (" (here)" if zone.is_home else ""),
                "Name": zone.name or fmt.MISSING,
                "Workers": zone.workers,
                "Now, g/kWh": zone.g_per_kwh,
            }
            for zone in zones
        ],
        hide_index=True,
        height="content",
        column_config={
            "Now, g/kWh": st.column_config.ProgressColumn(
                format="%.0f", min_value=0, max_value=max(highest, 1.0), color="primary"
            )
        },
    )
