"""The checkpoints and models that a run's script has sent, and what was registered of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from schema import Artifact, ModelVersion, RunReply
from views import format as fmt
from views import parts
from views.downloads import file_button
from views.models import forms as model_forms
from views.models.words import file_text

_TABLE_PX = 380
_ROWS_WITHOUT_SCROLLING = 10
_METRIC_COLUMNS = 4


def show_files(run: RunReply, files: Sequence[Artifact]) -> None:
    """Draw a table of the files, and what can be done with one of them."""
    st.dataframe(
        files_table(files),
        hide_index=True,
        placeholder=fmt.MISSING,
        height="content" if len(files) <= _ROWS_WITHOUT_SCROLLING else _TABLE_PX,
        column_config={
            "Version": st.column_config.NumberColumn(format="%d", width="small"),
            "Step": st.column_config.NumberColumn(format="localized", width="small"),
            "Size": st.column_config.TextColumn(alignment="right"),
        },
        key=f"files:{run.run_id}",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        chosen = _choose(run, files)
        file_button(chosen, key=f"file:{run.run_id}")
        model_forms.register_button(run.run_id, chosen.name, chosen.version)


def show_versions(versions: Sequence[ModelVersion]) -> None:
    """List what was registered of the run, each with its stage."""
    for version in versions:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", border=True):
            st.markdown(model_forms.stage_pill(version.stage), width="content")
            st.page_link(
                parts.page("models"),
                label=f"**{fmt.plain(version.name)}** version {version.version}",
                icon=":material/deployed_code:",
                query_params={"model": version.name},
            )
            which = f" v{version.artifact.version}" if version.artifact.version else ""
            st.caption(
                fmt.plain(
                    f"from {version.artifact.name}{which} · "
                    f"registered {fmt.ago(version.created_at, datetime.now(UTC))}"
                )
            )
            model_forms.stage_button(version, versions)


def files_table(files: Sequence[Artifact]) -> pd.DataFrame:
    """Return a row for each file, with the figures that most of them have."""
    names = list(dict.fromkeys(name for file in files for name in file.metrics))[:_METRIC_COLUMNS]
    now = datetime.now(UTC)
    frame = pd.DataFrame(
        {
            "File": [file.name for file in files],
            "Version": [file.version for file in files],
            "Kind": [file.kind for file in files],
            "Step": pd.Series([file.step for file in files], dtype="Int64"),
            **{name: [file.metrics.get(name) for file in files] for name in names},
            "Size": [fmt.size(file.size_bytes) for file in files],
            "Made": [fmt.ago(file.created_at, now) for file in files],
            "SHA-256": [file.sha256[:12] for file in files],
        }
    )
    is_of_one_kind = frame["Kind"].nunique() == 1
    return frame.drop(columns="Kind") if is_of_one_kind else frame


def _choose(run: RunReply, files: Sequence[Artifact]) -> Artifact:
    """Let the reader choose a file, the newest one at first; more files do not change the choice."""
    known = {f"{file.name}:{file.version}": file for file in files}
    key = f"file_choice:{run.run_id}"
    if st.session_state.get(key) not in known:
        st.session_state[key] = next(iter(known))
    chosen = st.selectbox(
        "File",
        list(known),
        format_func=lambda name: file_text(known[name]),
        key=key,
        label_visibility="collapsed",
        width=420,
    )
    return known[chosen]
