"""Registering a model and moving a version to another stage: small forms that a button opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

import streamlit as st

from errors import ApiError
from schema import ModelVersion, Stage
from views import artifact_source, may, source
from views import format as fmt
from views.look import STAGE_COLORS, STAGE_ICONS
from views.models import commands
from views.models.words import consequence

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
_SAID: Final = "models:said"
_REFUSED: Final = "models:refused"
_MAX_NOTE_CHARACTERS: Final = 500


def stage_pill(stage: Stage) -> str:
    """Return the stage of a version as its word in its colour."""
    return f":{STAGE_COLORS[stage]}-badge[{STAGE_ICONS[stage]} {stage}]"


def show_outcome() -> None:
    """Say once what the last click did."""
    if said := st.session_state.pop(_SAID, None):
        st.toast(said, icon=":material/check_circle:")


def register_button(run_id: str, artifact: str, version: int | None) -> None:
    """Draw the button that makes a file of a run a version of a model, with its form."""
    key = f"register:{run_id}:{artifact}:{version}"
    with st.popover("Register", icon=":material/deployed_code:", key=key, on_change=_forget_refusal) as form:
        if not form.open:
            return
        versions = source.fetch("versions", artifact_source.list_versions).value
        names = sorted({known.name for known in versions.models}) if versions else []
        name = st.selectbox(
            "Model",
            names,
            index=None,
            accept_new_options=True,
            placeholder="Write or choose a name",
            help="Letters, digits and . _ - only.",
            key=f"{key}:name",
        )
        if name:
            st.caption(f"It becomes {_next_words(name.strip())} of {fmt.plain(name)}, a candidate.")
        st.button(
            "Register it",
            type="primary",
            icon=":material/check:",
            key=f"{key}:go",
            disabled=not name or not may.can_submit(),
            on_click=_register,
            args=(key, run_id, artifact, version),
        )
        _refusal(key)


def stage_button(version: ModelVersion, versions: Sequence[ModelVersion]) -> None:
    """Draw the button that moves a version to another stage, with its form."""
    key = f"stage:{version.name}:{version.version}"
    with st.popover("Stage", icon=":material/swap_horiz:", key=key, on_change=_forget_refusal) as form:
        if not form.open:
            return
        wanted = st.segmented_control(
            "Stage",
            STAGES,
            default=version.stage,
            required=True,
            format_func=lambda stage: f"{STAGE_ICONS[stage]} {stage}",
            key=f"{key}:to:{version.stage}",
        )
        st.text_input(
            "Why",
            max_chars=_MAX_NOTE_CHARACTERS,
            placeholder="for the history; may be left empty",
            key=f"{key}:note",
        )
        if text := consequence(versions, version, wanted or version.stage):
            st.caption(f":material/info: {fmt.plain(text)}")
        st.button(
            "Change it",
            type="primary",
            icon=":material/check:",
            key=f"{key}:go",
            disabled=wanted in (None, version.stage) or not may.can_submit(),
            on_click=_set_stage,
            args=(key, version, wanted),
        )
        _refusal(key)


def delete_button(version: ModelVersion) -> None:
    """Draw the button that forgets a version, with the question whether that is meant."""
    key = f"unregister:{version.name}:{version.version}"
    is_used = version.stage == "production"
    with st.popover(
        "Delete",
        icon=":material/delete:",
        key=key,
        disabled=is_used or not may.can_administer(),
        help="A version in production is archived first." if is_used else None,
        on_change=_forget_refusal,
    ) as form:
        if not form.open:
            return
        st.markdown(f"Delete version {version.version} of **{fmt.plain(version.name)}**?")
        st.caption("Its history goes, too. The file stays with its run, and its number is not given again.")
        st.button(
            "Delete it",
            type="primary",
            icon=":material/delete:",
            key=f"{key}:go",
            on_click=_delete,
            args=(key, version),
        )
        _refusal(key)


def _next_words(name: str) -> str:
    # Asked for, not counted: the number of a version that was deleted is not given again.
    asked = source.fetch("next_version", lambda: artifact_source.next_version(name[:100]), of=name)
    return f"version {asked.value}" if asked.value else "the next version"


def _register(key: str, run_id: str, artifact: str, version: int | None) -> None:
    name = str(st.session_state.get(f"{key}:name") or "").strip()
    try:
        made = commands.register(name, run_id, artifact, version)
    except ApiError as error:
        st.session_state[_REFUSED] = (key, f"Not registered: {error}")
        return
    _close(key, f"{made.name} has version {made.version}, a candidate.")


def _set_stage(key: str, version: ModelVersion, stage: Stage) -> None:
    note = str(st.session_state.get(f"{key}:note") or "").strip()
    try:
        commands.set_stage(version.name, version.version, stage, note or None)
    except ApiError as error:
        st.session_state[_REFUSED] = (key, f"Not changed: {error}")
        return
    st.session_state[f"{key}:note"] = ""
    _close(key, f"Version {version.version} of {version.name} is {_becomes(stage)}.")


def _delete(key: str, version: ModelVersion) -> None:
    try:
        commands.delete_version(version.name, version.version)
    except ApiError as error:
        st.session_state[_REFUSED] = (key, f"Not deleted: {error}")
        return
    _close(key, f"Version {version.version} of {version.name} is deleted.")


def _becomes(stage: Stage) -> str:
    return {"candidate": "a candidate", "production": "in production", "archived": "archived"}[stage]


def _close(key: str, said: str) -> None:
    st.session_state[key] = False
    st.session_state[_SAID] = fmt.plain(said)


def _forget_refusal() -> None:
    st.session_state.pop(_REFUSED, None)


def _refusal(key: str) -> None:
    """Say why the last click in this form came to nothing."""
    of, reason = st.session_state.get(_REFUSED, (None, ""))
    if of == key:
        st.warning(fmt.plain_lines(reason), icon=":material/block:")
