"""Lines that come in at the end while somebody reads; what they scrolled to stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from schema import LogLine

_ASSETS = Path(__file__).parent.with_name("static")
_LOG = st.components.v2.component(
    "wattle_live_log",
    css=(_ASSETS / "live_log.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "live_log.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def live_log(lines: Sequence[LogLine], *, view: str, words: str, key: str) -> None:
    """Draw lines, with what they were searched for marked; the same view again adds what is new.

    view: another one begins anew, at its end.
    """
    rows = [[line.line_id, line.time.timestamp(), line.text] for line in lines]
    _LOG(data={"lines": rows, "view": view, "words": words}, key=key)
