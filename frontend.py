"""The page. Start it with ``streamlit run frontend.py``; it needs nothing but the API."""

from __future__ import annotations

import streamlit as st

from views.download_route import DOWNLOADS
from views.headers import HEADERS

# Streamlit imports this file once to serve it, and runs it as a script each time a page is drawn.
app = st.App(__file__, routes=[DOWNLOADS], middleware=[HEADERS])

if __name__ == "__main__":
    # Not above: what the pages keep between two drawings has no place before the server runs.
    from views import site

    site.show()
