"""What a script shows of its training besides figures: pictures, histograms, its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from schema import RunReply
from views import artifact_source, source
from views.run import graph
from views.run import histograms as run_histograms
from views.run import images as run_images

_IMAGES, _HISTOGRAMS, _GRAPH = "Images", "Histograms", "Graph"
_CHOICE: Final = "media"


def show(run: RunReply) -> None:
    """Draw the one of them that the reader looks at; nothing for a run that has none."""
    sections = _sections(run)
    if not sections:
        return
    names = list(sections)
    chosen = names[0]
    if len(names) == 1:
        st.subheader(chosen, anchor=False)
    else:
        chosen = (
            st.segmented_control(
                "What to see",
                names,
                default=names[0],
                required=True,
                key=_CHOICE,
                bind="query-params",
                label_visibility="collapsed",
            )
            or names[0]
        )
    # Its own sliders are to move without drawing the whole run anew.
    st.fragment(sections[chosen])()


def _sections(run: RunReply) -> dict[str, Callable[[], None]]:
    iid = run.run_id
    images = source.fetch("images", lambda: artifact_source.list_files(iid, "image"), of=iid).value
    histograms = source.fetch("histograms", lambda: artifact_source.list_histograms(iid), of=iid).value
    graphs = source.fetch("graphs", lambda: artifact_source.list_files(iid, "graph"), of=iid).value
    sections: dict[str, Callable[[], None]] = {}
    if images and images.artifacts:
        sections[_IMAGES] = lambda: run_images.show(run, images)
    if histograms:
        sections[_HISTOGRAMS] = lambda: run_histograms.show(run, histograms)
    if graphs and graphs.artifacts:
        sections[_GRAPH] = lambda: graph.show(run, graphs.artifacts)
    return sections
