"""Links to the files that the page hands out, and how it knows its own again.

A link says all that is needed to answer it and is the same each time it is drawn within an hour: nothing is
kept, so that a click on what was drawn long ago downloads as well.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
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
# Nobody logs in to follow a link: one that was passed on, or is in a log, is of no use on the next day.
LASTS_S: Final = 12 * 3600
# A link that is another at each drawing would be drawn anew each second.
_ROUNDED_TO_S: Final = 3600


@dataclass(frozen=True)
class Offer:
    """A file that the page offers: one of the API's, by its path there, or one about a run, by its id."""

    source: Source
    of: str
    file_name: str


@dataclass(frozen=True)
class Link:
    """What a link stands for, and until when."""

    offer: Offer
    until_s: int

    def is_over(self) -> bool:
        """Whether it is too old."""
        return time.time() >= self.until_s


def link_to(offer: Offer, *, now_s: float | None = None) -> str:
    """Return the address of a file, on the page's own server, good for LASTS_S or up to an hour less."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    hour = int(time.time() if now_s is None else now_s) // _ROUNDED_TO_S
    until = str(hour * _ROUNDED_TO_S + LASTS_S)
    query = urlencode({"source": offer.source, "of": offer.of, "until": until, "seal": _seal(offer, until)})
    path = PATH.format(file_name=quote(offer.file_name, safe=""))
    return f"{f'/{base}' if base else ''}{path}?{query}"


def find_link(file_name: str, query: Mapping[str, str]) -> Link | None:
    """Return what a link stands for; None when this page has not made it since it was started."""
    source = query.get("source")
    if source not in get_args(Source):
        return None
    offer = Offer(cast("Source", source), query.get("of", ""), file_name)
    until, given = query.get("until", ""), query.get("seal", "").encode()
    if not hmac.compare_digest(_seal(offer, until).encode(), given):
        return None
    return Link(offer, int(until))


def _seal(offer: Offer, until: str) -> str:
    return hmac.new(_KEY, json.dumps([*astuple(offer), until]).encode(), hashlib.sha256).hexdigest()
