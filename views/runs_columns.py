"""Which columns the table of runs has, in which order, where somebody chose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import streamlit as st

from schema.marks import RunColumn

# By what stands in their headers, without the units, which differ from table to table.
COLUMNS: Final[Mapping[str, RunColumn]] = {
    "Id": "id",
    "Progress": "progress",
    "Accuracy": "curve",
    "Best": "best",
    "Last": "last",
    "Energy": "energy",
    "CO₂": "co2",
    "Duration": "duration",
    "Added": "added",
    "Queue": "queue",
    "Priority": "priority",
    "Waits for": "line",
    "Failure": "kind",
    "Host": "host",
    "Failed": "ended",
    "Reason": "message",
}
_LABELS: Final = {name: label for label, name in COLUMNS.items()}
KEY: Final = "columns"


def choose() -> Sequence[RunColumn]:
    """Draw the choice, which is in the URL, and return it in its order; empty for the usual columns."""
    with st.popover(
        "Columns", icon=":material/view_column:", type="tertiary", help="Which columns, in which order"
    ):
        chosen = st.multiselect(
            "Columns behind the name and the status, in the order in which they are chosen",
            list(COLUMNS),
            key=KEY,
            bind="query-params",
            placeholder="the usual ones",
        )
    return [COLUMNS[label] for label in chosen]


def labels_of(columns: Sequence[str]) -> list[str]:
    """Return the headers of columns; a column of another version is left out."""
    return [_LABELS[name] for name in columns if name in _LABELS]
