"""The network that a run's script trains: its layers as a table and as a picture."""

from __future__ import annotations

from typing import Final, Literal

import pandas as pd
import streamlit as st

from errors import ApiError
from schema import Artifact, RunReply
from schema.artifacts import Graph
from views import artifact_source, parts, source
from views import format as fmt
from views.run import dot, layers
from views.run.dot import Node

_PICTURE_PX, _TABLE_PX = 500, 576
_BOXES_WITHOUT_SCROLLING = 6
# A page that follows a run is drawn every second, and its network stays what it is.
_KEPT_S: Final = 600

_Which = tuple[str, str, int, str]


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
        _picture(run, chosen, graph)


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


def _picture(run: RunReply, artifact: Artifact, graph: Graph) -> None:
    which = (run.run_id, artifact.name, artifact.version, artifact.sha256)
    depths, depth = _depths(which, graph)
    if len(depths) > 1:
        depth = int(
            st.select_slider(
                "Detail",
                depths,
                value=depth,
                key=f"graph_depth:{run.run_id}:{artifact.name}",
                help="How many parts of a layer's name are a box of their own.",
            )
        )
    nodes, edges = _boxes(which, depth, graph)
    if len(nodes) > layers.MOST_BOXES:
        st.caption(f"{fmt.count(len(nodes))} layers are too many for a picture; the table has them all.")
        return
    drawn = dot.picture(nodes, edges, is_dark=st.context.theme.type == "dark")
    height: int | Literal["content"] = _PICTURE_PX if len(nodes) > _BOXES_WITHOUT_SCROLLING else "content"
    with st.container(border=True, height=height, horizontal_alignment="center", key="network"):
        st.graphviz_chart(drawn)


@st.cache_resource(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def _depths(which: _Which, _graph: Graph) -> tuple[list[int], int]:  # noqa: ARG001 - which is a key of the cache
    return layers.depths(_graph), layers.good_depth(_graph)


@st.cache_resource(ttl=_KEPT_S, max_entries=32, show_spinner=False)
def _boxes(which: _Which, depth: int, _graph: Graph) -> tuple[list[Node], list[tuple[str, str]]]:  # noqa: ARG001 - as above
    return layers.boxes(_graph, depth)
