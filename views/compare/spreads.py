"""Runs as wholes: parallel coordinates, one field against another, and groups with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd
import streamlit as st

from views import format as fmt
from views import parts
from views.compare.compared import Compared, choose_flag, choose_many, choose_one
from views.compare.curves import choose_scales
from views.compare.fields import Field, differing, list_fields
from views.compare.groups import SEEDS, Group, Spread, group_runs, list_groupings, spread_of
from views.compare.points import Scales
from views.compare.spread_charts import BOX_FROM, boxes_figure, has_place, parallel_figure, scatter_figure
from views.live_chart import live_charts

_FEWEST_AXES, _MOST_AXES = 2, 8
_AXES_AT_FIRST: Final = 4
_BY_RUN: Final = "run"
# Of results the first that are known.
_ACHIEVED: Final = ("best accuracy", "last loss")
_COST: Final = ("CO₂", "energy", "duration", "epochs")
_FIELDS = dict[str, Field]


def fields_of(compared: Compared) -> _FIELDS:
    """Return what of the runs can be put on an axis, by name."""
    return list_fields(compared.runs, compared.metrics, compared.list_names(has_system=False))


def show_parallel(compared: Compared) -> None:
    """Draw a line for each run through its parameters and results."""
    fields = fields_of(compared)
    numeric = [name for name, field in fields.items() if field.is_number]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = choose_many(
            "fields", "Axes", list(fields), _axes(fields), max_selections=_MOST_AXES, wrap=True
        )
        by = choose_one("color", "Colour by", [_BY_RUN, *numeric], _BY_RUN, width=200)
    if len(names) < _FEWEST_AXES:
        st.caption("Choose two axes at least.")
        return
    figure = parallel_figure([fields[name] for name in names], compared.look, fields.get(by))
    _draw([str(figure.to_json())], "compare:parallel")
    st.caption(
        "Each line is a run, each axis goes from the lowest value to the highest. What a run does not know "
        "is below all axes. Click a point to open its run."
    )


def show_scatter(compared: Compared) -> None:
    """Draw one field of the runs against another."""
    fields = fields_of(compared)
    if not fields:
        st.caption("Nothing is known of these runs yet.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        across = fields[choose_one("x", "Across", list(fields), _first(fields, _COST), width=220)]
        up = fields[choose_one("y", "Up", list(fields), _first(fields, _ACHIEVED), width=220)]
        scales = choose_scales()
    _draw([str(scatter_figure(across, up, compared.look, scales).to_json())], "compare:scatter")
    st.caption("Click a point to open its run. Hollow: simulated.")
    for field, is_log in ((across, scales.log_x), (up, scales.log_y)):
        lacking = [
            label for run_id, label in compared.labels.items() if not has_place(field, run_id, is_log=is_log)
        ]
        if lacking:
            why = "not known, or not above zero" if is_log else "not known"
            _say(f"Not drawn, as {field.name} is {why}: {'; '.join(lacking)}.")


def show_groups(compared: Compared) -> None:
    """Draw runs in groups: each run, and the middle and the spread of each group."""
    fields = {name: field for name, field in fields_of(compared).items() if field.is_number}
    if not fields:
        st.caption("Nothing is known of these runs yet.")
        return
    groupings = list_groupings(compared.runs)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = choose_one("by", "Group by", groupings, SEEDS, width=220)
        field = fields[choose_one("of", "Figure", list(fields), _first(fields, _ACHIEVED), width=220)]
        scales = Scales(log_y=choose_flag("logy", "Log y"))
    groups = group_runs(compared.runs, by)
    known = field.numbers
    spreads = [
        (group, spread_of(known[run_id] for run_id in group.run_ids if run_id in known)) for group in groups
    ]
    _draw([str(boxes_figure(field, spreads, compared.look, scales).to_json())], "compare:boxes")
    st.dataframe(groups_frame(field, spreads), hide_index=True, placeholder=fmt.MISSING, height="content")
    st.caption(_about(by))


def _about(by: str) -> str:
    what = (
        "Runs of a group differ in their seed alone"
        if by == SEEDS
        else f"Runs of a group have the same {by.rstrip(':')}"
    )
    return fmt.plain(
        f"{what}. n: runs in which the figure is known; IQR: from the first quartile to the third. Boxes are "
        f"drawn from {BOX_FROM} runs on: of fewer, the points say it all."
    )


def groups_frame(field: Field, spreads: Sequence[tuple[Group, Spread | None]]) -> pd.DataFrame:
    """Turn groups into lines: how many runs know the figure, its middle, and how far they are apart."""
    return pd.DataFrame(
        [
            {"Group": group.name, "Runs": len(group.run_ids), "n": 0 if spread is None else spread.n}
            | _cells(field, spread)
            for group, spread in spreads
        ],
        columns=["Group", "Runs", "n", *_cells(field, None)],
    )


def _cells(field: Field, spread: Spread | None) -> dict[str, str | None]:
    if spread is None:
        return dict.fromkeys((f"Median {field.title}", "IQR", "Quartiles", "Lowest", "Highest"))
    first, third = spread.first_quartile, spread.third_quartile
    return {
        f"Median {field.title}": f"{spread.median:.5g}",
        "IQR": f"{third - first:.3g}" if spread.n > 1 else None,
        "Quartiles": f"{first:.5g} – {third:.5g}" if spread.n > 1 else None,
        "Lowest": f"{spread.low:.5g}",
        "Highest": f"{spread.high:.5g}",
    }


def _axes(fields: _FIELDS) -> list[str]:
    """Return the fields to begin with: in what the runs differ, what they achieved, and what that cost."""
    results = dict.fromkeys([_first(fields, _ACHIEVED), _first(fields, _COST)])
    params = [name for name in differing(fields) if name not in results]
    return [*params[:_AXES_AT_FIRST], *results] if fields else []


def _first(fields: _FIELDS, wanted: Sequence[str]) -> str:
    """Return the first of the wanted fields that is there, else the first figure, else any."""
    numeric = [name for name, field in fields.items() if field.is_number]
    return next((name for name in (*wanted, *numeric, *fields) if name in fields), "")


def _draw(figures: Sequence[str], key: str) -> None:
    if opened := live_charts(figures, key=key):
        parts.go_to("run", {"iid": opened})


def _say(text: str) -> None:
    st.caption(f":material/visibility_off: {fmt.plain(text)}")
