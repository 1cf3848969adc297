"""A page that was asked for comes, whatever timers of the page before still ask for: docs/decisions/040."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import streamlit as st
from streamlit.navigation.page import Page
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests, ScriptRequestType

_SHOWN: Final = "page:shown"
_fold: Final = ScriptRequests._request_rerun_locked


@cache
def protect_page_changes() -> None:
    """Let what waits to be drawn whole keep its page.

    Streamlit makes one request of those that wait, and takes the page and the address from the newest: a part
    of the old page that is asked for after a click on a link would bring the old page back.
    """
    ScriptRequests._request_rerun_locked = _fold_into_the_page  # type: ignore[method-assign] # as above


def enter(page: Page) -> None:
    """Begin to draw a page: parts of another one are not drawn after it."""
    if st.session_state.get(_SHOWN) != page.url_path:
        st.session_state[_SHOWN] = page.url_path
        forget_parts()


def forget_parts() -> None:
    """Have the server refuse what timers ask for until the next page is drawn."""
    context = get_script_run_ctx()
    if context is not None:
        context.fragment_storage.clear()


def _fold_into_the_page(requests: ScriptRequests, asked: RerunData) -> bool:
    """Add a request to the one that waits."""
    waiting = requests._rerun_data
    is_whole = requests._state is ScriptRequestType.RERUN and not waiting.fragment_id_queue
    if is_whole and asked.fragment_id:
        asked = replace(
            asked,
            query_string=waiting.query_string,
            page_script_hash=waiting.page_script_hash,
            page_name=waiting.page_name,
            context_info=waiting.context_info,
        )
    return _fold(requests, asked)
