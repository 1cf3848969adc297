"""The table of the leaderboard: one row per run, the best of it as bars, a link to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import streamlit as st

from schema.leaderboard import LeaderboardRow, SeedGroup
from views import format as fmt
from views.columns import scaled
from views.leaderboard.charts import COST_NAMES
from views.look import SIMULATED, SIMULATED_COLOR, short_id

_SHOWN = "leaderboard:shown_ids"
_VISIT = "leaderboard:visit"
_ROW_PX: Final = 36
_ROWS_WITHOUT_SCROLLING: Final = 14
# How a run's energy is known, and the colour of the word.
_QUALITIES: Final = {
    "measured": "green",
    "estimated": "orange",
    SIMULATED: SIMULATED_COLOR,
    "not said": "gray",
}


def show_table(rows: Sequence[LeaderboardRow]) -> str | None:
    """Draw the table; return the run that was clicked just now, or None."""
    ids = [row.run_id for row in rows]
    # A click is a position in the table that the reader saw.
    shown: list[str] = st.session_state.get(_SHOWN, ids)
    visit = int(st.session_state.get(_VISIT, 0))
    cells = st.session_state.get(f"leaderboard:table:{visit}", {}).get("selection", {}).get("cells", [])
    st.session_state[_SHOWN] = ids
    frame, columns = rows_frame(rows)
    st.dataframe(
        frame,
        column_config=columns,
        hide_index=True,
        key=f"leaderboard:table:{visit}",
        on_select="rerun",
        selection_mode="single-cell",
        placeholder=fmt.MISSING,
        height="content" if len(rows) <= _ROWS_WITHOUT_SCROLLING else _ROW_PX * (_ROWS_WITHOUT_SCROLLING + 1),
        row_height=_ROW_PX,
        alt="Finished runs by rank, one per row",
    )
    clicked = next((shown[place] for place, _ in cells if place < len(shown)), None)
    if clicked is not None:
        # Numbered anew, so that coming back does not open the same run again.
        st.session_state[_VISIT] = visit + 1
    return clicked


def rows_frame(rows: Sequence[LeaderboardRow]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Turn rows into columns and how each is shown; a column's unit is chosen for it, in its header."""
    energy = fmt.energy_unit(row.energy_kwh for row in rows)
    co2 = fmt.co2_unit(row.co2_g for row in rows)
    time = fmt.time_unit(row.duration_s for row in rows)
    frame = pd.DataFrame(
        {
            "rank": [row.rank for row in rows],
            "network": [row.network or row.name for row in rows],
            "id": [short_id(row.run_id) for row in rows],
            "per_kwh": scaled([row.accuracy_per_kwh for row in rows], 100),
            "accuracy": scaled([row.accuracy for row in rows], 100),
            "co2": scaled([row.co2_g for row in rows], co2.factor),
            "energy": scaled([row.energy_kwh for row in rows], energy.factor),
            "quality": [_quality(row) for row in rows],
            "seeds": [_seeds(row.seeds) for row in rows],
            "duration": scaled([row.duration_s for row in rows], time.factor),
            "parameters": scaled([row.parameters for row in rows], 1),
            "fronts": [", ".join(COST_NAMES[cost] for cost in row.fronts) or None for row in rows],
            "device": [row.device for row in rows],
            "ended": [row.ended_at for row in rows],
        }
    )
    return frame, _columns(frame, energy.label, co2.label, time.label)


def _columns(frame: pd.DataFrame, energy: str, co2: str, time: str) -> dict[str, Any]:
    kinds = st.column_config
    highest = frame["per_kwh"].max()
    return {
        "rank": kinds.NumberColumn("#", width=44),
        "network": kinds.TextColumn("Network", width=140),
        "id": kinds.TextColumn("Id", width=78),
        "per_kwh": kinds.ProgressColumn(
            "Points per kWh",
            width=150,
            format="compact",
            min_value=0,
            max_value=float(highest) if highest > 0 else 1.0,
            color="primary",
            help="Accuracy in percentage points, divided by the energy of the run.",
        ),
        "accuracy": kinds.NumberColumn(
            "Accuracy %", width=90, format="%.2f", help="Best test accuracy of any epoch."
        ),
        "seeds": _seeds_column(),
        "energy": _number(f"Energy {energy}", frame["energy"], "Of all attempts.", width=100),
        "quality": kinds.MultiselectColumn(
            "Energy is",
            width=104,
            options=list(_QUALITIES),
            color=list(_QUALITIES.values()),
            help="Measured by a counter, estimated from load, or not said. Compare different ones with care.",
        ),
        "co2": _number(f"CO₂ {co2}", frame["co2"], "Energy × carbon intensity of the grid.", width=84),
        "duration": _number(
            f"Duration {time}", frame["duration"], "Training and evaluation, all attempts.", width=100
        ),
        "parameters": kinds.NumberColumn("Parameters", width=100, format="compact"),
        "fronts": kinds.TextColumn(
            "On the front of", width=190, help="No other run is as accurate for less of this."
        ),
        "device": kinds.TextColumn("Device", width=110),
        "ended": kinds.DatetimeColumn("Finished", width=124, format="distance"),
    }


def _seeds_column() -> Any:
    return st.column_config.TextColumn(
        "Over seeds %",
        width=170,
        help="Median (lowest – highest) accuracy of all finished runs that differ in their seed alone, "
        "and how many there are.",
    )


def _quality(row: LeaderboardRow) -> list[str]:
    if row.simulated:
        return [SIMULATED]
    return [] if row.energy_kwh is None else [row.energy_quality or "not said"]


def _seeds(group: SeedGroup | None) -> str | None:
    if group is None:
        return None
    found = group.accuracy
    low, middle, high = (f"{100 * value:.1f}" for value in (found.low, found.median, found.high))
    return f"{middle} ({low} – {high}), n = {found.n}"


def _number(label: str, values: pd.Series[float], help_text: str, *, width: int) -> Any:
    known = [float(value) for value in values.dropna()]
    return st.column_config.NumberColumn(
        label, width=width, format=f"%.{fmt.decimals(known)}f", help=help_text
    )
