"""A button that copies the address of the page, in which all of its settings are."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_ASSETS = Path(__file__).parent.with_name("static")
_BUTTON = st.components.v2.component(
    "wattle_copy_link",
    css=(_ASSETS / "page_button.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "copy_link.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def copy_link(*, key: str) -> None:
    """Draw the button."""
    _BUTTON(key=key, width="content")
