"""The pictures of a run, over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final

import streamlit as st
from PIL import Image

from errors import ApiError
from schema import Artifact, RunReply
from views import artifact_source
from views import format as fmt
from views.artifact_source import Files
from views.downloads import file_button

_SHOWN_AT_FIRST: Final = 6
_ABREAST: Final = 3
_LARGEST_BYTES: Final = 8_000_000
# Smoothed, a picture of so few pixels is a blur.
_SMALL_PX: Final = 160


def show(run: RunReply, files: Files) -> None:
    """Draw the pictures of a step, and a slider over all of them."""
    by_name = group(files.artifacts)
    names = list(by_name)
    if len(names) > _SHOWN_AT_FIRST:
        names = st.multiselect(
            "Pictures",
            names,
            default=names[:_SHOWN_AT_FIRST],
            key=f"image_names:{run.run_id}",
            placeholder="Choose pictures to see",
        )
    step = _choose_step(run, {name: by_name[name] for name in names})
    abreast = max(2, min(_ABREAST, len(names)))
    for start in range(0, len(names), abreast):
        for column, name in zip(st.columns(abreast), names[start : start + abreast], strict=False):
            with column.container(border=True, height="stretch"):
                _panel(run, name, at_step(by_name[name], step))
    if files.is_cut:
        st.caption(f"The newest {fmt.count(len(files.artifacts))} pictures; older ones are left out.")


def group(images: Sequence[Artifact]) -> dict[str, list[Artifact]]:
    """Put the pictures of a name together, by step; those without one by version."""
    groups: dict[str, list[Artifact]] = {}
    for image in sorted(images, key=lambda image: (image.name, position(image), image.version)):
        groups.setdefault(image.name, []).append(image)
    return groups


def position(image: Artifact) -> int:
    """Return where a picture stands on the slider: its step, else how many of its name came before it."""
    return image.version - 1 if image.step is None else image.step


def at_step(images: Sequence[Artifact], step: int) -> Artifact | None:
    """Return what a name showed at a step: of that step or the last one before it; None before its first."""
    return next((image for image in reversed(images) if position(image) <= step), None)


def _choose_step(run: RunReply, by_name: Mapping[str, Sequence[Artifact]]) -> int:
    """Draw the slider; as long as it stands at the end, it stays there when more comes."""
    steps = sorted({position(image) for own in by_name.values() for image in own})
    if not steps:
        return 0
    key, end_key = f"image_step:{run.run_id}", f"image_end:{run.run_id}"
    if st.session_state.get(key) not in steps or st.session_state.get(key) == st.session_state.get(end_key):
        st.session_state[key] = steps[-1]
    st.session_state[end_key] = steps[-1]
    if len(steps) == 1:
        return steps[0]
    return int(st.select_slider("Step", steps, key=key, format_func=fmt.count))


def _panel(run: RunReply, name: str, image: Artifact | None) -> None:
    if image is None:
        st.caption(f"**{fmt.plain(name)}** · nothing up to this step")
        return
    where = f"version {image.version}" if image.step is None else f"step {fmt.count(image.step)}"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"**{fmt.plain(name)}** · {where}", width="content")
        file_button(image, key=f"image:{run.run_id}:{name}", is_quiet=True)
    if image.size_bytes > _LARGEST_BYTES:
        st.caption(f"{fmt.size(image.size_bytes)} are too much to show here.")
        return
    try:
        content = artifact_source.fetch_image(run.run_id, name, image.version, image.sha256)
    except ApiError as error:
        st.caption(fmt.plain(str(error)))
        return
    width, height = Image.open(BytesIO(content)).size
    look = "pixels" if max(width, height) <= _SMALL_PX else "picture"
    with st.container(key=f"{look}:{run.run_id}:{name}"):
        st.image(content, width="stretch", alt=f"{name}, {where}, {width} by {height} pixels")
