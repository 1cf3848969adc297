"""The network that a run's script trains: its layers as a table and as a picture."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from errors import ApiError
from schema import Artifact, RunReply
from schema.artifacts import Graph
from views import artifact_source, dot, layers, parts, source
from views import format as fmt

_PICTURE_PX, _TABLE_PX = 500, 576
_BOXES_WITHOUT_SCROLLING = 6


def show(run: RunReply, graphs: tuple[Artifact, ...]) -> None:
    """Draw the newest graph, or the one that the reader chooses of several names."""
    newest: dict[str, Artifact] = {}
    for artifact in graphs:
        newest.setdefault(artifact.name, artifact)
    name = next(iter(newest))
    if len(newest) > 1:
        name = str(st.selectbox("Network", list(newest), key=f"graph_name:{run.run_id}"))
    chosen = newest[name]
    try:
        found = source.fetch(
            "graph",
            lambda: artifact_source.fetch_graph(run.run_id, name, chosen.version, chosen.sha256),
            of=(run.run_id, name, chosen.version),
        )
    except ApiError as error:
        st.caption(fmt.plain(str(error)))
        return
    graph = found.value
    if graph is None:
        if found.problem is None:
            st.caption("This graph is written in a way that this version of the page does not know.")
        return
    _tiles(graph)
    table, picture = st.columns([3, 2])
    with table:
        _table(graph)
    with picture:
        _picture(run, name, graph)


def _tiles(graph: Graph) -> None:
    share = fmt.percent(graph.trainable / graph.parameters) if graph.parameters else ""
    figures = (
        ("Layers", fmt.count(len(graph.nodes)), None),
        ("Parameters", fmt.quantity(graph.parameters), fmt.count(graph.parameters)),
        ("Trainable", fmt.quantity(graph.trainable), share and f"{share} of all parameters"),
        ("Made with", {"torch": "PyTorch", "keras": "Keras"}[graph.framework], None),
    )
    for column, (label, value, note) in zip(parts.tiles(len(figures), "graph"), figures, strict=True):
        column.metric(label, value, help=note or None, border=True, height="stretch")


def _table(graph: Graph) -> None:
    whole = st.column_config.NumberColumn(format="localized")
    st.dataframe(
        pd.DataFrame(layers.rows(graph)),
        hide_index=True,
        height="content" if len(graph.nodes) <= 14 else _TABLE_PX,
        column_config={"Parameters": whole, "Trainable": whole},
    )


def _picture(run: RunReply, name: str, graph: Graph) -> None:
    depths = layers.depths(graph)
    depth = depths[0]
    if len(depths) > 1:
        depth = int(
            st.select_slider(
                "Detail",
                depths,
                value=layers.good_depth(graph),
                key=f"graph_depth:{run.run_id}:{name}",
                help="How many parts of a layer's name are a box of their own.",
            )
        )
    nodes, edges = layers.boxes(graph, depth)
    if len(nodes) > layers.MOST_BOXES:
        st.caption(f"{fmt.count(len(nodes))} layers are too many for a picture; the table has them all.")
        return
    drawn = dot.picture(nodes, edges, is_dark=st.context.theme.type == "dark")
    height: int | Literal["content"] = _PICTURE_PX if len(nodes) > _BOXES_WITHOUT_SCROLLING else "content"
    with st.container(border=True, height=height, horizontal_alignment="center", key="network"):
        st.graphviz_chart(drawn)
