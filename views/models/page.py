"""The Models page: every model with its versions and stages, and what is kept of old files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import streamlit as st

from views import artifact_source, parts, source
from views import format as fmt
from views.artifact_source import Versions
from views.models import forms, retention
from views.models import versions as model_versions
from views.models.words import Family, families, figures_text

_ROWS_PER_PAGE: Final = 20
_MODELS, _RETENTION = "Models", "Retention"
_TAB: Final = "tab"
_STAGE: Final = "stage"


def show() -> None:
    """Show the page."""
    found = source.fetch("versions", artifact_source.list_versions)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Models", width="content")
        st.caption(f"updated {fmt.clock(found.time, parts.reader_zone())}", width="content")
    parts.silence_banner(found.problem)
    if found.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    forms.show_outcome()
    tabs = st.tabs([_MODELS, _RETENTION], key=_TAB, bind="query-params")
    if tabs[0].open:
        with tabs[0], parts.grey_area(found):
            _models(found.value)
            if found.value.is_cut:
                count = fmt.count(len(found.value.models))
                st.caption(f"The newest {count} versions of all models; older ones are left out.")
    if tabs[1].open:
        with tabs[1]:
            retention.show()


def _models(versions: Versions) -> None:
    known = families(versions.models)
    if not known:
        st.info(
            "No models yet. **Register** on a run's page makes a checkpoint or a saved model the first "
            "version of one; from a script it is `monitor.register_model(…)`.",
            icon=":material/deployed_code:",
        )
        st.page_link(parts.page("runs"), label="All runs", icon=":material/table_rows:")
        return
    name = st.query_params.get("model")
    if name is None:
        _overview(known)
        return
    if versions.is_cut:
        known = families(artifact_source.list_versions(name[:100]).models)
    family = next((own for own in known if own.name == name), None)
    st.button("All models", icon=":material/arrow_back:", type="tertiary", on_click=_leave)
    if family is None:
        st.info(fmt.plain(f"There is no model {name[:100]} here."), icon=":material/search_off:")
        return
    model_versions.show(family)


def _overview(known: Sequence[Family]) -> None:
    """List the models, each with what is in production."""
    with st.container(horizontal=True, vertical_alignment="center"):
        words = st.text_input(
            "Search",
            key="search",
            bind="query-params",
            placeholder="Search models",
            icon=":material/search:",
            label_visibility="collapsed",
            width=320,
        )
        stage = st.segmented_control(
            "With a version that is",
            forms.STAGES,
            key=_STAGE,
            bind="query-params",
            label_visibility="collapsed",
        )
    shown = [
        family
        for family in known
        if (words or "").strip().lower() in family.name.lower()
        and (stage is None or any(version.stage == stage for version in family.versions))
    ]
    if not shown:
        st.caption("No models match.")
    pages = -(-len(shown) // _ROWS_PER_PAGE)
    page = st.pagination(pages, key=f"models_page:{pages}") if pages > 1 else 1
    for family in shown[(page - 1) * _ROWS_PER_PAGE : page * _ROWS_PER_PAGE]:
        with st.container(border=True, key=f"model:{family.name}"):
            _row(family)


def _row(family: Family) -> None:
    left, right = st.columns([7, 1.4], vertical_alignment="center")
    production, newest = family.production, family.newest
    with left:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f":material/deployed_code: **{fmt.plain(family.name)}**", width="content")
            if production:
                pill = forms.stage_pill("production")
                st.markdown(f"{pill} version {production.version}", width="content")
        shown = production or newest
        facts = [
            "one version" if len(family.versions) == 1 else f"{fmt.count(len(family.versions))} versions",
            f"newest {newest.version}, registered {fmt.ago(newest.created_at, datetime.now(UTC))}",
        ]
        if text := figures_text(shown.metrics):
            facts.append(f"version {shown.version}: {text}")
        st.caption(fmt.plain(" · ".join(facts)))
    with right.container(horizontal=True, horizontal_alignment="right"):
        st.button(
            "Versions",
            icon=":material/arrow_forward:",
            key=f"open:{family.name}",
            on_click=_open,
            args=(family.name,),
        )


def _open(name: str) -> None:
    st.query_params["model"] = name


def _leave() -> None:
    st.query_params.pop("model", None)
