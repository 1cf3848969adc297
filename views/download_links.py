"""Links to the files that the page hands out, and how it knows its own again.

A link says all that is needed to answer it and is the same each time it is drawn: nothing is kept, so that a
click on what was drawn an hour ago downloads as well.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Final, Literal, cast, get_args
from urllib.parse import quote, urlencode

import streamlit as st

PATH: Final = "/download/{file_name}"
Source = Literal["api", "log", "epochs"]
# Only who is shown a page gets its links: another site's page, even one whose name was re-bound to this
# machine, can make none, and no link leads to what the page has not offered.
_KEY: Final = secrets.token_bytes(32)


@dataclass(frozen=True)
class Offer:
    """A file that the page offers: one of the API's, by its path there, or one about a run, by its id."""

    source: Source
    of: str
    file_name: str


def link_to(offer: Offer) -> str:
    """Return the address of a file, on the page's own server."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    query = urlencode({"source": offer.source, "of": offer.of, "seal": _seal(offer)})
    path = PATH.format(file_name=quote(offer.file_name, safe=""))
    return f"{f'/{base}' if base else ''}{path}?{query}"


def find_offer(file_name: str, query: Mapping[str, str]) -> Offer | None:
    """Return what a link stands for; None when this page has not made it since it was started."""
    source = query.get("source")
    if source not in get_args(Source):
        return None
    offer = Offer(cast("Source", source), query.get("of", ""), file_name)
    given = query.get("seal", "").encode()
    return offer if hmac.compare_digest(_seal(offer).encode(), given) else None


def _seal(offer: Offer) -> str:
    return hmac.new(_KEY, json.dumps(astuple(offer)).encode(), hashlib.sha256).hexdigest()
