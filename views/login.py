"""Logging in to the page with OpenID Connect, where Streamlit's secrets have ``[auth]``; docs/security.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from settings import load_settings


def admit() -> bool:
    """Say whether the page may be drawn; where it may not, draw how to log in, or why that did not help."""
    if not _is_asked_for():
        return True
    if not st.user.get("is_logged_in"):
        st.title("Wattle")
        st.write("This page is for people who are known here.")
        st.button("Log in", type="primary", icon=":material/login:", on_click=st.login)
        return False
    allowed = load_settings().page_users
    if is_let_in(st.user.to_dict(), allowed):
        return True
    st.title("Wattle")
    if allowed:
        st.error("This account is not let in here. Ask whoever runs this page to add its address.")
    else:
        st.error(
            "Nobody is let in: set WATTLE_PAGE_USERS to mail addresses and domains, and restart the page."
        )
    _offer_logout()
    return False


def show_account() -> None:
    """Draw who is logged in, in the sidebar; nothing where nobody has to be."""
    if _is_asked_for():
        with st.sidebar:
            st.caption(str(st.user.get("email")))
            _offer_logout()


def is_let_in(claims: Mapping[str, object], allowed: Collection[str]) -> bool:
    """Whether a person is one of those who are let in, by an address that their provider has verified.

    allowed: addresses, and domains as @example.org.
    """
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") not in (True, "true"):
        return False
    name, at, domain = email.strip().lower().rpartition("@")
    known = {entry.lower() for entry in allowed}
    return bool(name and at and domain) and (f"{name}@{domain}" in known or f"@{domain}" in known)


def _is_asked_for() -> bool:
    try:
        return "auth" in st.secrets
    except StreamlitSecretNotFoundError:  # there is no file of secrets at all
        return False


def _offer_logout() -> None:
    st.button("Log out", icon=":material/logout:", on_click=st.logout, type="tertiary")
