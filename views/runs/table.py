"""The table of runs: one row per run, numbers in units that fit, a link to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd
import streamlit as st

from schema import RunReply, Status
from views import format as fmt
from views.actions import ARCHIVED, DOING, POSTPONING, pill_words
from views.columns import scaled
from views.look import SIMULATED, SIMULATED_COLOR, STATUS_COLORS, run_swatch, run_title, short_id, status_text

Face = Literal["figures", "queue", "failures"]

_ROWS_WITHOUT_SCROLLING = 20
_ROW_PX = 36
# A sentence is the last column: it is read by scrolling, as a higher row would spoil all the others.
_SENTENCE_PX = 760
_SELECTED_KEY = "runs:table"
_SHOWN_KEY = "runs:shown_ids"
_FACES: Final[Mapping[Status, Face]] = {
    Status.WAITING: "queue",
    Status.DEFERRED: "queue",
    Status.PAUSED: "queue",
    Status.FAILED: "failures",
}
_PILLS: Final = {
    **{status.value: STATUS_COLORS[status] for status in Status},
    **dict.fromkeys((*DOING.values(), POSTPONING), "orange"),
    SIMULATED: SIMULATED_COLOR,
    ARCHIVED: "gray",
}


@dataclass(frozen=True)
class Choice:
    """What the reader did in the table: clicked a run, or marked some."""

    opened: str | None
    marked: tuple[str, ...]


def choose_face(status: Status | None) -> Face:
    """Return which columns a list of runs of that status is about."""
    return _FACES.get(status, "figures") if status else "figures"


def read_choice(runs: Sequence[RunReply], *, key: str) -> Choice:
    """Return the run that was clicked and those that are marked.

    A click is a position in the table that the reader saw, so it is looked up in the ids of that table: the
    new ones may be in another order. Marks follow their runs to the new positions; a run that is no longer
    listed loses its mark. ``key`` names the filter and the order; another one forgets all of it.
    """
    widget = f"{_SELECTED_KEY}:{key}"
    ids = [run.run_id for run in runs]
    shown_ids: list[str] = st.session_state.get(_SHOWN_KEY, ids)
    selection = st.session_state.get(widget, {}).get("selection", {})
    rows: list[int] = selection.get("rows", [])
    cells: list[tuple[int, str]] = selection.get("cells", [])
    opened = next((shown_ids[row] for row, _ in cells if row < len(shown_ids)), None)
    marked = [shown_ids[row] for row in rows if row < len(shown_ids)]
    still = tuple(iid for iid in ids if iid in set(marked))
    if rows and (shown_ids != ids or len(still) < len(marked)):
        moved = {"rows": [ids.index(iid) for iid in still], "columns": [], "cells": []}
        st.session_state[widget] = {"selection": moved}
    return Choice(opened, still)


def show_table(
    runs: Sequence[RunReply], *, key: str, face: Face = "figures", chosen: Sequence[str] = ()
) -> None:
    """Draw the table; ``read_choice`` tells at the next drawing what was done in it."""
    st.session_state[_SHOWN_KEY] = [run.run_id for run in runs]
    frame, columns = runs_frame(runs, face, chosen)
    st.dataframe(
        frame,
        column_config=columns,
        hide_index=True,
        key=f"{_SELECTED_KEY}:{key}",
        on_select="rerun",
        selection_mode=["multi-row", "single-cell"],
        placeholder=fmt.MISSING,
        height="content" if len(runs) <= _ROWS_WITHOUT_SCROLLING else _ROW_PX * _ROWS_WITHOUT_SCROLLING,
        row_height=_ROW_PX,
        alt="The runs, one per row",
    )


def runs_frame(
    runs: Sequence[RunReply], face: Face = "figures", chosen: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Turn runs into columns and how each is shown; a column's unit is chosen for it, in its header.

    chosen: those behind name and status, of any face, in this order; none for those of the face.
    """
    kinds = st.column_config
    first = pd.DataFrame(
        {
            "color": [run_swatch(run.run_id) for run in runs],
            "run": [f"★ {run_title(run)}" if run.starred else run_title(run) for run in runs],
            "id": [short_id(run.run_id) for run in runs],
            "status": [[*pill_words(run), *([SIMULATED] if run.simulated else [])] for run in runs],
        }
    )
    most_pills = max((len(pills) for pills in first["status"]), default=1)
    columns = {
        "color": kinds.ImageColumn("", width=34, help="The run's colour, the same on every page."),
        "run": kinds.TextColumn("Run", width=172, help="network · dataset · optimizer"),
        "id": kinds.TextColumn("Id", width=76),
        "status": kinds.MultiselectColumn(
            "Status", width=84 + 66 * (most_pills - 1), options=list(_PILLS), color=list(_PILLS.values())
        ),
    }
    makers = {"figures": _figures, "queue": _queue, "failures": _failures}
    if not chosen:
        rest, own = makers[face](runs)
        return pd.concat([first, rest], axis="columns"), columns | own
    every = first
    for maker in makers.values():
        rest, own = maker(runs)
        new = [name for name in rest if name not in every]
        every = pd.concat([every, rest[new]], axis="columns")
        columns |= own
    return every[["color", "run", "status", *chosen]], columns


def _figures(runs: Sequence[RunReply]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Show what each run achieved and cost, and what those wait for that are not running."""
    energy = fmt.energy_unit(run.energy_kwh for run in runs)
    co2 = fmt.co2_unit(run.co2_g for run in runs)
    time = fmt.time_unit(run.duration_s for run in runs)
    frame = pd.DataFrame(
        {
            "progress": scaled([run.progress for run in runs], 100),
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
    return frame, _figure_columns(frame, energy.label + mark, co2.label, time.label)


def _figure_columns(frame: pd.DataFrame, energy: str, co2: str, time: str) -> dict[str, Any]:
    kinds = st.column_config
    return {
        "progress": _progress(),
        "curve": kinds.LineChartColumn(
            "Accuracy", width=70, color="gray", y_min=0, y_max=1, help="Test accuracy by epoch, 0 to 100 %."
        ),
        "best": kinds.NumberColumn(
            "Best %", width=64, format="%.2f", help="Best test accuracy of any epoch."
        ),
        "last": kinds.NumberColumn(
            "Last %", width=64, format="%.2f", help="Test accuracy of the last epoch."
        ),
        "energy": _number(
            f"Energy {energy}",
            frame["energy"],
            "Of all attempts. “est.”: estimated for at least one run, as no counter was readable.",
            # In 112 pixels the last word would be cut.
            width=128 if energy.endswith("est.") else 112,
        ),
        "co2": _number(f"CO₂ {co2}", frame["co2"], "Energy × carbon intensity of the grid.", width=76),
        "duration": _number(
            f"Duration {time}", frame["duration"], "Training and evaluation, all attempts.", width=96
        ),
        "added": _added(),
    }


def _queue(runs: Sequence[RunReply]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Show where each run waits, and for what."""
    kinds = st.column_config
    frame = pd.DataFrame(
        {
            "queue": [run.options.queue for run in runs],
            "priority": [run.options.priority for run in runs],
            "added": [run.time_added for run in runs],
            "line": [status_text(run) for run in runs],
        }
    )
    return frame, {
        "queue": kinds.TextColumn("Queue", width=100),
        "priority": kinds.TextColumn("Priority", width=72),
        "added": _added(),
        "line": kinds.TextColumn("Waits for", width=_SENTENCE_PX),
    }


def _failures(runs: Sequence[RunReply]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Show what went wrong with each run, and where."""
    kinds = st.column_config
    frame = pd.DataFrame(
        {
            "kind": [run.error.kind if run.error else None for run in runs],
            "host": [(run.error.host if run.error else None) or run.worker for run in runs],
            "ended": [run.ended_at for run in runs],
            "message": [run.error.message if run.error else run.status_reason for run in runs],
        }
    )
    return frame, {
        "kind": kinds.TextColumn("Failure", width=126),
        "host": kinds.TextColumn("Host", width=104),
        "ended": kinds.DatetimeColumn("Failed", width=132, format="distance"),
        "message": kinds.TextColumn("Reason", width=_SENTENCE_PX),
    }


def _added() -> Any:
    return st.column_config.DatetimeColumn("Added", width=122, format="distance")


def _progress() -> Any:
    return st.column_config.ProgressColumn(
        "Progress", width=84, format="%d%%", min_value=0, max_value=100, color="primary"
    )


def _number(label: str, values: pd.Series[float], help_text: str, *, width: int) -> Any:
    known = [float(value) for value in values.dropna()]
    return st.column_config.NumberColumn(
        label, width=width, format=f"%.{fmt.decimals(known)}f", help=help_text
    )
