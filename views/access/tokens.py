"""The part of the page Access about API tokens. A secret is drawn once and kept nowhere."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import streamlit as st
from pydantic import ValidationError

from errors import ApiError
from schema.access import MAX_DAYS, NewToken, Scope, Token, TokenRequest
from views import format as fmt
from views import parts, source
from views.access import words

_AT_ONCE: Final = 25
_SHOWN: Final = "access:shown"
_REFUSED: Final = "access:refused"
_OPENED: Final = "access:opened"


def show(tokens: Sequence[Token]) -> None:
    """Draw the tokens, each with its revocation."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        wanted = st.text_input(
            "Find", key="find", bind="query-params", placeholder="name, id, scope, project"
        )
        st.button("New token", type="primary", icon=":material/key:", on_click=_open)
    if _OPENED in st.session_state:
        _make()
    if refused := st.session_state.pop(_REFUSED, None):
        st.warning(fmt.plain_lines(refused), icon=":material/block:")
    if not tokens:
        st.info(
            "No tokens yet. **New token** makes one for a program or a person; a good first one is for this "
            "page itself, as its `WATTLE_API_TOKEN`.",
            icon=":material/key:",
        )
        return
    found = [token for token in tokens if words.matches(token, wanted)]
    if not found:
        st.caption("No token matches.")
    most = int(st.session_state.get(_SHOWN, _AT_ONCE))
    for token in found[:most]:
        with st.container(border=True, key=f"token:{token.token_id}"):
            _token(token)
    if len(found) > most:
        st.button(
            f"Show more of {fmt.count(len(found))}",
            icon=":material/expand_more:",
            on_click=lambda: st.session_state.update({_SHOWN: most + _AT_ONCE}),
        )


def _token(token: Token) -> None:
    now = datetime.now(UTC)
    left, right = st.columns([7, 1.5], vertical_alignment="center")
    with left.container(horizontal=True, vertical_alignment="center", gap="small"):
        state = words.token_state(token, now)
        st.markdown(f"**{fmt.plain(token.name)}** `{token.token_id}`", width="content")
        st.badge(state, icon=words.STATE_ICONS[state], color=words.STATE_COLORS[state])
        st.badge(token.scope.value, icon=":material/shield_person:", color="blue")
    left.caption(words.token_facts(token, now))
    with right.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Revoke", icon=":material/key_off:", key=f"revoke:{token.token_id}"):
            _confirm(token)


@st.dialog("Revoke this token?", icon=":material/key_off:")
def _confirm(token: Token) -> None:
    """Say what stops working, then revoke it."""
    reach = fmt.plain(token.project or "all projects")
    st.markdown(f"**{fmt.plain(token.name)}** `{token.token_id}`, {token.scope} of {reach}.")
    st.caption("Who uses it is refused from the next request on. Its quota goes, too. This cannot be undone.")
    if st.button("Revoke it", type="primary", icon=":material/key_off:", on_click=_revoke, args=(token,)):
        st.rerun()


def _revoke(token: Token) -> None:
    try:
        source.api().revoke_token(token.token_id)
    except ApiError as error:
        st.session_state[_REFUSED] = f"{token.name} was not revoked: {error}"
    else:
        parts.give_notice(f"{fmt.plain(token.name)} is revoked.", icon=":material/key_off:")


def _open() -> None:
    st.session_state[_OPENED] = uuid.uuid4().hex


def _close() -> None:
    st.session_state.pop(_OPENED, None)


@st.dialog("New token", icon=":material/key:", on_dismiss=_close)
def _make() -> None:
    """Ask what the token is for; once it is made, show its secret in place of the questions."""
    if _OPENED not in st.session_state:  # the secret was shown, and is no longer
        st.rerun()
    questions = st.empty()
    with questions.container():
        request = _form()
    if request is None:
        return
    try:
        made = source.api().create_token(request)
    except ApiError as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        return
    _close()
    questions.empty()
    _show_secret(made)


def _form() -> TokenRequest | None:
    """Draw the questions; return what is asked for once the button is pressed and it is valid."""
    key = st.session_state[_OPENED]
    name = st.text_input(
        "Name", max_chars=80, placeholder="who or what uses it, such as ci", key=f"name:{key}"
    )
    scope = st.selectbox(
        "Scope", list(Scope), format_func=lambda each: words.SCOPES[each], key=f"scope:{key}"
    )
    left, right = st.columns(2)
    project = left.text_input("Project", max_chars=64, placeholder="all projects", key=f"project:{key}")
    days = right.number_input("Valid for (days)", 1, MAX_DAYS, 90, key=f"days:{key}")
    is_endless = st.toggle("It never expires", value=False, key=f"endless:{key}")
    names_people = st.toggle(
        "It may name people",
        value=False,
        key=f"people:{key}",
        help="The audit log believes it who it asks for. For a page with a login, and nothing else.",
    )
    if not st.button("Make it", type="primary", icon=":material/key:"):
        return None
    try:
        return TokenRequest(
            name=name,
            scope=scope,
            project=project.strip() or None,
            expires_in_days=None if is_endless else int(days),
            names_people=names_people,
        )
    except ValidationError as error:
        for item in error.errors():
            parts.field_error(f"{item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}")
        return None


def _show_secret(made: NewToken) -> None:
    with st.container(key="secret"):
        st.markdown(f"**{fmt.plain(made.name)}** is made. This is its secret, shown this once:")
        st.code(made.secret, language=None, wrap_lines=True)
        st.caption(
            "Copy it now: only a hash of it is kept, and nobody can show it again. Programs of "
            "Wattle take it from `WATTLE_API_TOKEN`, others send `Authorization: Bearer …`."
        )
        st.button("Done", type="primary", icon=":material/check:")
