"""The page. Start it with ``streamlit run frontend.py``; it needs nothing but the API."""

from __future__ import annotations

import logging

import streamlit as st

from logs import configure
from settings import load_settings
from views.download_route import DOWNLOADS
from views.headers import HEADERS

# This file runs at each drawing, the log is set up once.
if not logging.getLogger().handlers:
    configure(load_settings(), "page")
# Streamlit imports this file once to serve it, and runs it as a script each time a page is drawn.
app = st.App(__file__, routes=[DOWNLOADS], middleware=[HEADERS])

if __name__ == "__main__":
    # Not above: what the pages keep between two drawings has no place before the server runs.
    from views import site

    site.show()
