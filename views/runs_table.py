"""The table of runs: one row per run, numbers in units that fit, a link to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from schema import RunReply, Status
from views import format as fmt
from views.columns import scaled
from views.look import SIMULATED, SIMULATED_COLOR, STATUS_COLORS, run_swatch, run_title, short_id

_ROWS_WITHOUT_SCROLLING = 20
_SELECTED_KEY = "runs:table"
_SHOWN_KEY = "runs:shown_ids"


def choose_run(runs: Sequence[RunReply], *, key: str) -> str | None:
    """Draw the table and return the id of the run that was clicked, if one was.

    A click is a position in the table that the reader saw, so it is looked up in the ids of that table: the
    new ones may be in another order. ``key`` names the filter and the order; another one forgets the click.
    """
    shown_ids: list[str] = st.session_state.get(_SHOWN_KEY, [])
    ids = [run.run_id for run in runs]
    st.session_state[_SHOWN_KEY] = ids
    frame, columns = runs_frame(runs)
    event = st.dataframe(
        frame,
        column_config=columns,
        hide_index=True,
        key=f"{_SELECTED_KEY}:{key}",
        on_select="rerun",
        selection_mode="single-cell",
        placeholder=fmt.MISSING,
        height="content" if len(runs) <= _ROWS_WITHOUT_SCROLLING else 36 * _ROWS_WITHOUT_SCROLLING,
        row_height=36,
        alt="The runs, one per row",
    )
    cells = event.selection.cells
    if not cells:
        return None
    position = cells[0][0]
    return shown_ids[position] if position < len(shown_ids) else None


def runs_frame(runs: Sequence[RunReply]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Turn runs into columns and how each is shown; a column's unit is chosen for it, in its header."""
    energy = fmt.energy_unit(run.energy_kwh for run in runs)
    co2 = fmt.co2_unit(run.co2_g for run in runs)
    time = fmt.time_unit(run.duration_s for run in runs)
    frame = pd.DataFrame(
        {
            "color": [run_swatch(run.run_id) for run in runs],
            "run": [run_title(run) for run in runs],
            "id": [short_id(run.run_id) for run in runs],
            "status": [[run.status.value, *([SIMULATED] if run.simulated else [])] for run in runs],
            "progress": [100 * run.progress for run in runs],
            "curve": [run.sparkline or None for run in runs],
            "best": scaled([run.best_accuracy for run in runs], 100),
            "last": scaled([run.last_accuracy for run in runs], 100),
            "energy": scaled([run.energy_kwh for run in runs], energy.factor),
            "co2": scaled([run.co2_g for run in runs], co2.factor),
            "duration": scaled([run.duration_s for run in runs], time.factor),
            "added": [run.time_added for run in runs],
        }
    )
    mark = ", est." if any(run.energy_quality == "estimated" for run in runs) else ""
    return frame, _columns(frame, energy.label + mark, co2.label, time.label)


def _columns(frame: pd.DataFrame, energy: str, co2: str, time: str) -> dict[str, Any]:
    kinds = st.column_config
    return {
        "color": kinds.ImageColumn("", width=34, help="The run's colour, the same on every page."),
        "run": kinds.TextColumn("Run", width=196, help="network · dataset · optimizer"),
        "id": kinds.TextColumn("Id", width=82),
        "status": kinds.MultiselectColumn(
            "Status",
            width=92 if all(len(pills) == 1 for pills in frame["status"]) else 170,
            options=[*(status.value for status in Status), SIMULATED],
            color=[*(STATUS_COLORS[status] for status in Status), SIMULATED_COLOR],
        ),
        "progress": kinds.ProgressColumn(
            "Progress", width=112, format="%d%%", min_value=0, max_value=100, color="primary"
        ),
        "curve": kinds.LineChartColumn(
            "Accuracy", width=82, color="gray", y_min=0, y_max=1, help="Test accuracy by epoch, 0 to 100 %."
        ),
        "best": kinds.NumberColumn(
            "Best %", width=70, format="%.2f", help="Best test accuracy of any epoch."
        ),
        "last": kinds.NumberColumn(
            "Last %", width=70, format="%.2f", help="Test accuracy of the last epoch."
        ),
        "energy": _number(
            f"Energy {energy}",
            frame["energy"],
            "Of all attempts. “est.”: estimated for at least one run, as no counter was readable.",
            width=112,
        ),
        "co2": _number(f"CO₂ {co2}", frame["co2"], "Energy × carbon intensity of the grid.", width=76),
        "duration": _number(
            f"Duration {time}", frame["duration"], "Training and evaluation, all attempts.", width=98
        ),
        "added": kinds.DatetimeColumn("Added", width=136, format="distance"),
    }


def _number(label: str, values: pd.Series[float], help_text: str, *, width: int) -> Any:
    known = [float(value) for value in values.dropna()]
    return st.column_config.NumberColumn(
        label, width=width, format=f"%.{fmt.decimals(known)}f", help=help_text
    )
