"""Buttons that download a file.

Links, and no ``st.download_button``: what that registers at one drawing is gone with the next, and a page
that is drawn each second loses a click in between (decision 57).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import streamlit as st

from schema import Artifact, ModelVersion
from views import format as fmt
from views.download_links import Offer, link_to

_ENDINGS: Final = {"image/png": "png", "image/jpeg": "jpg"}


def button(label: str, offer: Offer, *, key: str, note: str | None = None, is_quiet: bool = False) -> None:
    """Draw a button that downloads what is offered."""
    st.link_button(
        label,
        link_to(offer),
        icon=":material/download:",
        type="tertiary" if is_quiet else "secondary",
        help=note,
        key=key,
    )


def file_button(file: Artifact, *, key: str, is_quiet: bool = False) -> None:
    """Draw the button for a file of a run."""
    label = "Download" if is_quiet else f"Download · {fmt.size(file.size_bytes)}"
    note = None if is_quiet else f"SHA-256 {file.sha256}"
    button(label, Offer("api", file.url, download_name(file)), note=note, is_quiet=is_quiet, key=key)


def version_button(version: ModelVersion, *, key: str) -> None:
    """Draw the button for the file of a version of a model."""
    file = version.artifact
    path = f"/api/models/{quote(version.name)}/{version.version}/file"
    note = f"{fmt.size(file.size_bytes)}" + (f", SHA-256 {file.sha256}" if file.sha256 else "")
    name = f"{version.name}-v{version.version}.safetensors"
    button("Download", Offer("api", path, name), note=note, key=key)


def download_name(file: Artifact) -> str:
    """Return what a file is called once it has left its run: with its version before its ending."""
    name = file.name.replace("/", "-")
    stem, dot, ending = name.rpartition(".")
    if dot and stem:
        return f"{stem}-v{file.version}.{ending}"
    ending = _ENDINGS.get(file.content_type, "")
    return f"{name}-v{file.version}" + (f".{ending}" if ending else "")
