"""The part of the page Access about quotas: limits and what is used of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st
from pydantic import ValidationError

from errors import ApiError
from schema import DEFAULT_PROJECT
from schema.access import Token
from schema.quotas import Owner, Quota, QuotaLimits, QuotaName
from views import format as fmt
from views import parts, source
from views.access import words

_REFUSED: Final = "access:quota_refused"
_OPENED: Final = "access:quota_opened"
_PROJECT_DAYS: Final = 366
_WHOLE: Final[tuple[QuotaName, ...]] = ("waiting_runs", "running_runs")
_QUESTIONS: Final = {
    "waiting_runs": "Waiting runs",
    "running_runs": "Running runs",
    "gpu_hours": "GPU-hours a day",
    "energy_wh": "Energy (Wh) a day",
    "co2_g": "CO₂ (g) a day",
}


@dataclass(frozen=True)
class _Opened:
    """The form since it was opened last, of a new quota or of one there is."""

    quota: Quota | None
    key: str


def show(tokens: Sequence[Token]) -> None:
    """Draw each quota with its bars."""
    quotas = source.fetch("quotas", source.api().list_quotas).value
    if quotas is None:
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption("Days are those of UTC; what was used today is forgotten at 00:00 UTC.", width="content")
        st.button("New quota", type="primary", icon=":material/add:", on_click=_open, args=(None,))
    if (opened := st.session_state.get(_OPENED)) is not None:
        _edit(opened, tokens)
    if refused := st.session_state.pop(_REFUSED, None):
        st.warning(fmt.plain_lines(refused), icon=":material/block:")
    if not quotas:
        st.info(
            "No quotas yet: every project and token may queue and use as much as there is. **New quota** "
            "limits what one may have waiting and running, and use in a day.",
            icon=":material/speed:",
        )
    for quota in quotas:
        with st.container(border=True, key=f"quota:{quota.owner}:{quota.name}"):
            _quota(quota, tokens)


def _quota(quota: Quota, tokens: Sequence[Token]) -> None:
    key = f"{quota.owner}:{quota.name}"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(words.quota_title(quota, tokens), width="content")
        with st.container(horizontal=True, width="content", gap="small"):
            st.button("Change", icon=":material/edit:", key=f"change:{key}", on_click=_open, args=(quota,))
            if st.button("Remove", icon=":material/delete:", key=f"remove:{key}"):
                _confirm(quota, words.quota_title(quota, tokens))
    bars = words.bars(quota)
    for start in range(0, len(bars), 2):
        for column, bar in zip(st.columns(2), bars[start : start + 2], strict=False):
            column.progress(bar.share, text=bar.text)


@st.dialog("Remove this quota?", icon=":material/delete:")
def _confirm(quota: Quota, title: str) -> None:
    """Say what becomes of it, then remove it."""
    st.markdown(f"{title} may then queue and use as much as there is.")
    if st.button("Remove it", type="primary", icon=":material/delete:", on_click=_remove, args=(quota,)):
        st.rerun()


def _remove(quota: Quota) -> None:
    try:
        source.api().set_quota(quota.owner, quota.name, QuotaLimits())
    except ApiError as error:
        st.session_state[_REFUSED] = f"The quota was not removed: {error}"
    else:
        parts.give_notice("The quota is removed.", icon=":material/delete:")


def _open(quota: Quota | None) -> None:
    st.session_state[_OPENED] = _Opened(quota, uuid.uuid4().hex)


def _close() -> None:
    st.session_state.pop(_OPENED, None)


@st.dialog("Quota", icon=":material/speed:", on_dismiss=_close)
def _edit(opened: _Opened, tokens: Sequence[Token]) -> None:
    """Ask for the limits of a new quota, or of one there is."""
    quota = opened.quota
    owner, name = (quota.owner, quota.name) if quota else _choose_owner(tokens, opened.key)
    if quota:
        st.markdown(words.quota_title(quota, tokens))
    st.caption("What is left empty is not limited.")
    limits = {field: _number(field, quota, opened.key) for field in words.LIMITS}
    if not st.button("Save", type="primary", icon=":material/save:"):
        return
    if not name or all(value is None for value in limits.values()):
        parts.field_error("Say whose quota it is, and one limit at least.")
        return
    try:
        source.api().set_quota(owner, name, QuotaLimits(**limits))
    except ValidationError as error:
        parts.field_error(str(error.errors()[0]["msg"]))
    except ApiError as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
    else:
        _close()
        parts.give_notice("The quota is kept.")
        st.rerun()


def _choose_owner(tokens: Sequence[Token], key: str) -> tuple[Owner, str | None]:
    owner = st.segmented_control(
        "Of",
        ["project", "token"],
        default="project",
        required=True,
        format_func=str.capitalize,
        key=f"owner:{key}",
    )
    if owner == "token":
        names = {token.token_id: f"{token.name} · {token.token_id}" for token in tokens}
        chosen = st.selectbox("Token", list(names), index=None, format_func=lambda each: names[each])
        return "token", chosen
    totals = source.fetch("access:projects", lambda: source.list_totals("project", _PROJECT_DAYS)).value
    known = sorted({DEFAULT_PROJECT, *(total.name for total in (totals.totals if totals else ()))})
    project = st.selectbox(
        "Project", known, index=None, accept_new_options=True, placeholder="Choose or write"
    )
    return "project", project


def _number(field: QuotaName, quota: Quota | None, key: str) -> Any:
    key = f"{field}:{key}"
    known = getattr(quota.limits, field) if quota else None
    if field in _WHOLE:
        return st.number_input(_QUESTIONS[field], 0, 1_000_000, known, placeholder="no limit", key=key)
    return st.number_input(_QUESTIONS[field], 0.0, 1e12, known, format="%g", placeholder="no limit", key=key)
