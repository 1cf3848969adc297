"""One model on the Models page: its versions, their stages and how they came to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import streamlit as st

from schema import ModelVersion
from views import format as fmt
from views import parts
from views.downloads import version_button
from views.look import short_id
from views.models import forms
from views.models.words import Family, figures_text, origin_text

_VERSIONS_PER_PAGE: Final = 20


def show(family: Family) -> None:
    """Draw the versions, newest first."""
    st.header(fmt.plain(family.name), anchor=False)
    production = family.production
    st.caption(
        f"Version {production.version} is in production." if production else "No version is in production."
    )
    pages = -(-len(family.versions) // _VERSIONS_PER_PAGE)
    page = st.pagination(pages, key=f"versions_page:{family.name}:{pages}") if pages > 1 else 1
    for version in family.versions[(page - 1) * _VERSIONS_PER_PAGE : page * _VERSIONS_PER_PAGE]:
        with st.container(border=True, key=f"version:{version.name}:{version.version}"):
            _version(version, family.versions)


def _version(version: ModelVersion, versions: Sequence[ModelVersion]) -> None:
    left, right = st.columns([6, 4], vertical_alignment="center")
    with left:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**Version {version.version}**", width="content")
            st.markdown(forms.stage_pill(version.stage), width="content")
        if text := figures_text(version.metrics):
            st.markdown(fmt.plain(text))
        st.caption(fmt.plain(origin_text(version, datetime.now(UTC))))
    with right.container(
        horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"
    ):
        _run_link(version.run_id, "Run")
        version_button(version, key=f"download:{version.name}:{version.version}")
        forms.stage_button(version, versions)
        forms.delete_button(version)
    with st.expander(_history_title(version), icon=":material/history:"):
        _history(version)


def _history_title(version: ModelVersion) -> str:
    changes = len(version.history)
    return f"History · {'one entry' if changes == 1 else f'{fmt.count(changes)} entries'}"


def _history(version: ModelVersion) -> None:
    for change in reversed(version.history):
        note = f" {fmt.plain(change.note)}" if change.note else ""
        st.markdown(f"{forms.stage_pill(change.stage)} {fmt.utc(change.time)}{note}")
    if version.used_by:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.caption("Used by", width="content")
            for run_id in version.used_by:
                _run_link(run_id, short_id(run_id))


def _run_link(run_id: str, label: str) -> None:
    st.page_link(
        parts.page("run"),
        label=label,
        icon=":material/monitoring:",
        query_params={"iid": run_id},
        help=f"Run {run_id}",
    )
