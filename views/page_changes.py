"""A page that was asked for comes, whatever parts of the page before still ask for: docs/decisions/040."""

from __future__ import annotations

import weakref
from functools import cache
from typing import Final

from streamlit.navigation.page import Page
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType

_request: Final = AppSession.request_rerun
# By session: the page that was asked for last, by its hash.
_wanted: Final[dict[str, str]] = {}


@cache
def refuse_late_parts() -> None:
    """Have each session refuse what a part of a page asks for once another page was asked for.

    Streamlit makes one request of those that wait, and takes the page from the newest: the old page would
    come back. After the new page was begun, the browser would take it off for the part of the old one.
    """
    AppSession.request_rerun = _request_if_wanted  # type: ignore[assignment, method-assign] # on purpose


def want(page: Page) -> None:
    """Note that the page is drawn, or goes to be, unless the browser has asked for another one meanwhile."""
    context = get_script_run_ctx()
    if context is None or context.script_requests is None:
        return
    if context.script_requests._state is not ScriptRequestType.STOP:
        _wanted[context.session_id] = page._script_hash


def _request_if_wanted(session: AppSession, asked: ClientState | None) -> None:
    """Pass on what is asked of a session, but for a late part."""
    if asked is not None and asked.page_script_hash:
        if session.id not in _wanted:
            weakref.finalize(session, _wanted.pop, session.id, None)
        if not asked.fragment_id:
            _wanted[session.id] = asked.page_script_hash
        elif asked.page_script_hash != _wanted.get(session.id, asked.page_script_hash):
            return
    _request(session, asked)
