"""Adding results of elsewhere: a leaderboard.csv is looked at first, and added once the reader says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import streamlit as st

from errors import ApiError, ApiRefused, FieldError
from schema.leaderboard import ImportReply, StatedResult
from views import format as fmt
from views import may, parts, source

_TURN: Final = "leaderboard:upload"
# What the API takes in one request; make import sends longer ones in parts.
_MOST_CHARACTERS: Final = 1_000_000
_MOST_MB: Final = 2


def show_upload() -> None:
    """Draw where a file is put, and what is in it."""
    turn = int(st.session_state.get(_TURN, 0))
    with st.expander("Add results from elsewhere", icon=":material/upload_file:"):
        st.caption(
            "A CSV file as `results/leaderboard.csv` is one: `run_id`, `accuracy` (0 to 1) and "
            "`training_time_sec`, and where they are known `network`, `dataset`, `energy_kwh`, `co2_g` and "
            "`simulated`. At most 2,000 rows; `make import` takes any number."
        )
        file = st.file_uploader(
            "File of results", type="csv", max_upload_size=_MOST_MB, key=f"leaderboard:file:{turn}"
        )
        if file is None:
            return
        text = _read(file.getvalue())
        if text is not None:
            _look_at(text)


def _read(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        st.error("The file is not text in UTF-8. Save it as CSV UTF-8.", icon=":material/error:")
        return None
    if len(text) > _MOST_CHARACTERS:
        st.error("The file is too long for the page: use `make import FILE=…`.", icon=":material/error:")
        return None
    return text


def _look_at(text: str) -> None:
    """Say what would become of the rows, with the button that does it; or what is wrong, and where."""
    try:
        found = source.api().import_results(text, check=True)
    except ApiRefused as error:
        _mistakes(error)
        return
    except ApiError as error:
        parts.silence_banner(error)
        return
    known = f", {fmt.count(found.known)} known already" if found.known else ""
    st.markdown(f"**{fmt.count(found.imported)} new**{known}.")
    st.dataframe(
        [_row(each) for each in found.rows], hide_index=True, height="content", placeholder=fmt.MISSING
    )
    if found.imported + found.known > len(found.rows):
        st.caption(f"The first {len(found.rows)} rows.")
    label = "Add 1 run" if found.imported == 1 else f"Add {fmt.count(found.imported)} runs"
    is_locked = not found.imported or not may.can_submit()
    if st.button(label, type="primary", icon=":material/upload:", disabled=is_locked):
        _add(text)


def _mistakes(error: ApiRefused) -> None:
    st.error("The file is not valid: nothing of it is added.", icon=":material/error:")
    if error.details:
        st.dataframe(_rows_of(error.details), hide_index=True, height="content")
    else:
        st.caption(fmt.plain_lines(str(error)))


def _rows_of(details: Sequence[FieldError]) -> list[dict[str, str]]:
    return [{"Where": detail.field, "What is wrong": detail.message} for detail in details]


def _row(result: StatedResult) -> dict[str, Any]:
    return {
        "Run": result.run_id,
        "Network": result.network,
        "Dataset": result.dataset,
        "Accuracy": fmt.percent(result.accuracy),
        "Energy": None if result.energy_kwh is None else fmt.energy(result.energy_kwh),
        "CO₂": None if result.co2_g is None else fmt.co2(result.co2_g),
        "Duration": fmt.duration(result.duration_s),
        "Simulated": result.simulated,
    }


def _add(text: str) -> None:
    try:
        found: ImportReply = source.api().import_results(text)
    except ApiRefused as error:
        _mistakes(error)
    except ApiError as error:
        parts.silence_banner(error)
    else:
        # Another uploader is empty again.
        st.session_state[_TURN] = int(st.session_state.get(_TURN, 0)) + 1
        runs = "1 run was" if found.imported == 1 else f"{fmt.count(found.imported)} runs were"
        parts.give_notice(f"{runs} added.")
        st.rerun()
