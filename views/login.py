"""Logging in to the page with OpenID Connect, where Streamlit's secrets have ``[auth]``; docs/security.md."""

from __future__ import annotations

import logging
from typing import Final

import streamlit as st

from schema.access import Scope
from settings import load_settings
from views import login_secrets, may, people

log = logging.getLogger(__name__)

_MAY: Final = {
    Scope.READ: "may look, and change nothing.",
    Scope.SUBMIT: "may queue and steer runs.",
    Scope.ADMIN: "may do everything.",
}


def admit() -> bool:
    """Say whether the page may be drawn; where it may not, draw how to log in, or why that did not help."""
    if not people.is_login_asked_for():
        return True
    if not people.can_log_in():
        _say_that_nobody_can_log_in()
        return False
    if not st.user.get("is_logged_in"):
        st.title("Wattle")
        st.write("This page is for people who are known here.")
        st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
        return False
    person = people.current()
    if person is not None and person.role is not None:
        return True
    st.title("Wattle")
    settings = load_settings()
    if settings.page_users or settings.page_roles:
        st.error(f"{_reason()} Ask whoever runs this page to let it in.")
    else:
        st.error(
            "Nobody is let in: set WATTLE_PAGE_USERS to mail addresses and domains, or WATTLE_PAGE_ROLES, "
            "and restart the page."
        )
    _offer_logout()
    return False


def show_account() -> None:
    """Draw in the sidebar who is logged in and what may be done; nothing where everybody may everything."""
    person = people.current()
    scope = may.scope()
    if person is not None:
        with st.sidebar:
            st.text(person.name)  # Markdown would make a link of an address
            st.caption(_MAY[scope])
            _offer_logout()
    elif scope is not Scope.ADMIN:
        st.sidebar.caption(f"Who opens this page {_MAY[scope]} Its API token has the scope {scope}.")


def _say_that_nobody_can_log_in() -> None:
    """Draw what to do; what a file has in it, or where it is, is for the log."""
    st.title("Wattle")
    if login_secrets.find_auth() is login_secrets.Auth.UNREADABLE:
        log.error("Nobody can log in to the page: its secrets cannot be read. %s", login_secrets.complaint())
        st.error(
            "Nobody is let in: the secrets that say how to log in cannot be read. Whoever runs this page "
            "finds the reason in its log: mend .streamlit/secrets.toml and restart the page."
        )
    else:
        log.error("Nobody can log in to the page: its secrets have no [auth]. %s", login_secrets.complaint())
        st.error(
            "Nobody is let in: WATTLE_PAGE_USERS or WATTLE_PAGE_ROLES asks for a login, and no secrets say "
            "how. Write [auth] into .streamlit/secrets.toml and restart the page, or take the settings away."
        )


def _reason() -> str:
    claims = st.user.to_dict()
    if people.verified_address(claims) or not claims.get("email"):
        return f"The account {_as_code(people.name_of(claims))} is not let in here."
    address = _as_code(str(claims["email"]))
    return f"The address {address} is not verified by its provider, and counts for nothing here."


def _as_code(text: str) -> str:
    """Write a text so that it is no Markdown, and an address no link."""
    return f"`{' '.join(text.replace('`', ' ').split())}`"


def _offer_logout() -> None:
    st.button("Log out", icon=":material/logout:", on_click=st.logout, type="tertiary")
