"""The page Access: API tokens, quotas and the audit log."""

from __future__ import annotations

from typing import Final

import streamlit as st

from errors import ApiRefused
from views import may, parts, people, source
from views.access import audit, quotas, words
from views.access import tokens as access_tokens

_PARTS: Final = ("Tokens", "Quotas", "Audit")


def show() -> None:
    """Show the page; ``?show=`` leads to one of its parts."""
    st.title("Access")
    try:
        tokens = source.fetch("tokens", source.api().list_tokens)
    except ApiRefused as error:
        person = people.current()
        st.info(words.refusal(error, may.caller(), person.role if person else None), icon=":material/lock:")
        return
    parts.silence_banner(tokens.problem)
    if tokens.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    caller = may.caller()
    if caller is not None and not caller.has_token:
        st.info(words.OPEN, icon=":material/lock_open:")
    part = st.segmented_control(
        "Show",
        _PARTS,
        default=_PARTS[0],
        required=True,
        key="show",
        bind="query-params",
        label_visibility="collapsed",
    )
    with parts.grey_area(tokens):
        match part:
            case "Quotas":
                quotas.show(tokens.value)
            case "Audit":
                audit.show()
            case _:
                access_tokens.show(tokens.value)
