"""The buttons of a run: what is asked for is seen at once, and the truth as soon as the API has answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from errors import ApiError, ApiRefused
from schema import DeletionReply, RunReply
from views import actions, commands, may, parts
from views import format as fmt
from views.actions import Action
from views.look import run_name, short_id
from views.submit import rerun

_ASKED = "control:asked"
_REFUSED = "control:refused"
_DELETED = "control:deleted"
# Longer than a drawing takes that waits for a silent API: a click must not act when its page is opened again.
_CLICK_S = 15.0


@dataclass
class _Click:
    """What the last click asked for."""

    iid: str
    action: Action
    time_s: float
    is_taken: bool = False
    """Whether it was done, or tried."""


def buttons(run: RunReply) -> None:
    """Draw a button for everything that can be asked of the run."""
    with st.container(horizontal=True, gap="small", key="actions"):
        for action in actions.offered(run):
            _button(run, action)
    _refusal(run)


def is_asked(iid: str) -> bool:
    """Tell whether the last click asked something of the run; a click that was overtaken is forgotten."""
    asked: _Click | None = st.session_state.get(_ASKED)
    if asked is None:
        return False
    if asked.iid == iid and not asked.is_taken and time.monotonic() - asked.time_s < _CLICK_S:
        return True
    st.session_state.pop(_ASKED)
    return False


def obey(iid: str, pill: DeltaGenerator) -> None:
    """Do what was asked for by the last click; the pill says so meanwhile."""
    asked: _Click = st.session_state[_ASKED]
    action = asked.action
    pill.badge(f"{action.doing} …", icon=":material/pending:", color="orange")
    # Whatever is drawn, and each look into the session, may end this drawing for a newer one: before this
    # mark the newer one does what was asked, after it it must not do it twice.
    asked.is_taken = True
    try:
        commands.act(iid, action)
    except ApiError as error:
        _note_refusal(iid, action, error)


def deletion_text(deletion: DeletionReply) -> str:
    """List what goes with a run, one line each."""
    rows = (
        ("epoch", deletion.epochs),
        ("line of its log", deletion.log_lines),
        ("attempt", deletion.attempts),
        ("point of its metrics", deletion.points),
        ("note", deletion.notes),
        ("artifact", deletion.artifacts),
    )
    lines = [f"{fmt.count(count)} {_plural(name, count)}" for name, count in rows if count]
    sizes = (
        ("models", deletion.model_bytes),
        ("checkpoints", deletion.checkpoint_bytes),
        ("artifacts", deletion.artifact_bytes),
    )
    lines += [f"its {name}, {fmt.size(size_bytes)}" for name, size_bytes in sizes if size_bytes]
    return "\n".join(f"- {line}" for line in lines or ["the run itself: it has left nothing else"])


def kept_text(deletion: DeletionReply) -> str:
    """Say what stays: what was used was used."""
    if not deletion.energy_kwh:
        return "This cannot be undone."
    co2 = f" and {fmt.co2(deletion.co2_g)} of CO₂" if deletion.co2_g else ""
    return f"This cannot be undone. Its {fmt.energy(deletion.energy_kwh)}{co2} stay in the totals."


def _button(run: RunReply, action: Action) -> None:
    pressed = st.button(
        action.label,
        icon=action.icon,
        help=action.hint,
        key=f"control:{action.name}:{run.run_id}",
        disabled=not may.is_allowed(action.scope),
        on_click=_on_click(run, action),
    )
    if pressed and action is actions.DELETE:
        _confirm_deletion(run)


def _on_click(run: RunReply, action: Action) -> Callable[[], None]:
    if action is actions.DELETE:
        return _forget_refusal
    return partial(_open_rerun, run) if action is actions.RERUN else partial(_ask, run, action)


def _ask(run: RunReply, action: Action) -> None:
    st.session_state[_ASKED] = _Click(run.run_id, action, time.monotonic())
    _forget_refusal()


def _open_rerun(run: RunReply) -> None:
    rerun.open_form(run.run_id)
    _forget_refusal()


def _forget_refusal() -> None:
    st.session_state.pop(_REFUSED, None)


def _note_refusal(iid: str, action: Action, error: ApiError) -> None:
    text = f"It is not known whether it was {action.done}: the API does not answer. Look again when it does."
    if isinstance(error, ApiRefused):
        text = f"Not {action.done}: {error}"
    st.session_state[_REFUSED] = (iid, text)


def _refusal(run: RunReply) -> None:
    """Say why the last click came to nothing, until the next one."""
    iid, reason = st.session_state.get(_REFUSED, (None, ""))
    if iid == run.run_id:
        st.warning(fmt.plain_lines(reason), icon=":material/block:")


@st.dialog("Delete this run?", icon=":material/delete:")
def _confirm_deletion(run: RunReply) -> None:
    """List what would go, then delete it; when that was done or refused, close."""
    if st.session_state.pop(_DELETED, None) == run.run_id:
        parts.go_to("runs")
    if _REFUSED in st.session_state:
        st.rerun()
    st.markdown(f"**{fmt.plain(run_name(run))}**, {run.status}. With it go:")
    try:
        deletion = commands.get_deletion(run.run_id)
    except ApiError as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        return
    st.markdown(deletion_text(deletion))
    st.caption(kept_text(deletion))
    st.caption("Files in a folder of another host are not seen here, and stay.")
    if deletion.files_left:
        st.warning(
            fmt.plain(f"Some files cannot be read: {deletion.files_left}"), icon=":material/folder_off:"
        )
    st.button("Delete it", type="primary", icon=actions.DELETE.icon, on_click=_delete, args=(run,))


def _delete(run: RunReply) -> None:
    _forget_refusal()
    try:
        gone = commands.delete_run(run.run_id)
    except ApiError as error:
        _note_refusal(run.run_id, actions.DELETE, error)
        return
    st.session_state[_DELETED] = run.run_id
    left = f" These files are left: {fmt.plain(gone.files_left)}." if gone.files_left else ""
    parts.give_notice(f"Run {short_id(run.run_id)} is deleted.{left}", icon=actions.DELETE.icon)


def _plural(name: str, count: int) -> str:
    first, space, rest = name.partition(" ")
    return name if count == 1 else f"{first}s{space}{rest}"
