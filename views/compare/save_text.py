"""A button that saves a text which the page has computed, from the browser that shows it.

A link to the page's server, as for other files, would have to say all settings of the page that the text is
computed from; and what ``st.download_button`` registers is gone with the next drawing (decision 57).
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_ASSETS = Path(__file__).parent.with_name("static")
_BUTTON = st.components.v2.component(
    "wattle_save_text",
    css=(_ASSETS / "page_button.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "save_text.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def save_text(label: str, text: str, *, file_name: str, key: str) -> None:
    """Draw the button. The text goes to the browser at once: at most some hundred kilobytes."""
    _BUTTON(data={"label": label, "text": text, "name": file_name}, key=key, width="content")
