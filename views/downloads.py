"""Buttons that download a file of a run, small ones through the page and large ones from the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal
from urllib.parse import quote

import streamlit as st

from schema import Artifact, ModelVersion
from settings import load_settings
from views import artifact_source
from views import format as fmt

# A page holds what it passes on in memory, whole.
_LARGEST_BYTES: Final = 64_000_000
_ENDINGS: Final = {"image/png": "png", "image/jpeg": "jpg"}


def file_button(file: Artifact, *, key: str, is_quiet: bool = False) -> None:
    """Draw the button."""
    label = "Download" if is_quiet else f"Download · {fmt.size(file.size_bytes)}"
    note = None if is_quiet else f"SHA-256 {file.sha256}"
    _button(
        label,
        file.url,
        file.size_bytes,
        partial(artifact_source.fetch_file, file.run_id, file.name, file.version),
        file_name=download_name(file),
        content_type=file.content_type,
        is_quiet=is_quiet,
        note=note,
        key=key,
    )


def version_button(version: ModelVersion, *, key: str) -> None:
    """Draw the button for the file of a version of a model."""
    file = version.artifact
    address = f"/api/models/{quote(version.name)}/{version.version}/file"
    _button(
        "Download",
        address,
        file.size_bytes,
        partial(artifact_source.fetch_version, version.name, version.version),
        file_name=f"{version.name}-v{version.version}.safetensors",
        note=f"{fmt.size(file.size_bytes)}" + (f", SHA-256 {file.sha256}" if file.sha256 else ""),
        key=key,
    )


def download_name(file: Artifact) -> str:
    """Return what a file is called once it has left its run: with its version before its ending."""
    name = file.name.replace("/", "-")
    stem, dot, ending = name.rpartition(".")
    if dot and stem:
        return f"{stem}-v{file.version}.{ending}"
    ending = _ENDINGS.get(file.content_type, "")
    return f"{name}-v{file.version}" + (f".{ending}" if ending else "")


def _button(
    label: str,
    address: str,
    size_bytes: int,
    fetch: Callable[[], bytes],
    *,
    file_name: str,
    key: str,
    content_type: str = "application/octet-stream",
    is_quiet: bool = False,
    note: str | None = None,
) -> None:
    kind: Literal["tertiary", "secondary"] = "tertiary" if is_quiet else "secondary"
    if size_bytes > _LARGEST_BYTES:
        whole = f"{load_settings().effective_live_url}{address}"
        st.link_button(label, whole, icon=":material/download:", type=kind, help=note)
        return
    st.download_button(
        label,
        data=fetch,
        file_name=file_name,
        mime=content_type,
        icon=":material/download:",
        type=kind,
        help=note,
        on_click="ignore",
        key=key,
    )
