"""Charts that keep their zoom while a run trains; docs/decisions says why not st.plotly_chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

_ASSETS = Path(__file__).with_name("static")
_CHARTS = st.components.v2.component(
    "wattle_live_charts",
    css=(_ASSETS / "live_chart.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "live_chart.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def live_charts(figures: Sequence[str], *, key: str) -> str | None:
    """Draw figures, given as Plotly JSON, in a grid; the same key again updates them in place.

    Returns what the point carries as customdata that was clicked just now; None when none was.
    """
    result = _CHARTS(data={"figures": list(figures)}, key=key, on_clicked_change=_draw_again)
    clicked = result.clicked
    return clicked if isinstance(clicked, str) else None


def _draw_again() -> None:
    """Be told of a click: with a listener, the page is drawn again."""
