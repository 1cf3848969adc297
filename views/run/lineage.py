"""Which models a run used, which ones it made, and what became of those, as a picture."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import streamlit as st

from schema import LineageNode, LineageReply, RunReply
from views import artifact_source, source
from views.look import run_color, short_id
from views.run import dot

# Each can be seen on both backgrounds.
_QUIET: Final = "#8a8f98"
_BORDERS: Final[dict[str, str]] = {"candidate": "#2f7de1", "production": "#12906f"}
_DELETED: Final = "deleted"


def show(run: RunReply) -> None:
    """Draw the picture; nothing for a run that has to do with no model."""
    found = source.fetch("lineage", lambda: artifact_source.get_lineage(run.run_id), of=run.run_id)
    if found.value is None or len(found.value.nodes) < 2:
        return
    st.subheader("Lineage", anchor=False)
    with st.container(border=True, horizontal_alignment="center", key="lineage"):
        st.graphviz_chart(drawn(found.value, run.run_id, is_dark=st.context.theme.type == "dark"))
    st.caption("From left to right: a run makes a model, and a model is what a run starts from.")


def drawn(lineage: LineageReply, here: str, *, is_dark: bool) -> str:
    """Write the picture, with the run that is being looked at in a thick border."""
    nodes = [_node(node, here) for node in lineage.nodes]
    return dot.picture(nodes, lineage.edges, is_dark=is_dark, direction="LR")


def _node(node: LineageNode, here: str) -> dot.Node:
    is_gone = node.state == _DELETED
    if node.kind == "run":
        own = short_id(node.id)
        lines = (f"run {own}", node.state) if node.label == own else (node.label, f"run {own} · {node.state}")
        link = None if is_gone else f"/run?{urlencode({'iid': node.id})}"
        return dot.Node(node.id, lines, accent=run_color(node.id), link=link, is_here=node.id == here)
    name, _, version = node.id.rpartition(":")
    return dot.Node(
        node.id,
        (f"{name} v{version}", node.state),
        accent=_BORDERS.get(node.state, _QUIET),
        link=None if is_gone else f"/models?{urlencode({'model': name})}",
        shape="ellipse",
    )
