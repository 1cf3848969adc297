"""What stands below a run's curves: epochs, hyperparameters, attempts, environment, log."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from schema import Attempt, EpochsReply, RunReply
from views import downloads
from views import format as fmt
from views.columns import scaled
from views.download_links import Offer
from views.form import number_text
from views.look import requirement_text
from views.run import log, system
from views.run import words as run_words

EPOCHS_PER_PAGE = 200


def show(run: RunReply, epochs: EpochsReply) -> None:
    """Draw the tabs."""
    names = ["Epochs", "Hyperparameters", "Attempts", "Environment", "Log", "Notes", "System"]
    tabs = st.tabs(names, key=f"tabs:{run.run_id}", on_change="rerun")
    with tabs[0]:
        _epochs(run, epochs)
    with tabs[1]:
        parameters(run)
    with tabs[2]:
        attempts(epochs)
    with tabs[3]:
        environment(run)
    with tabs[4]:
        log.show(run)
    with tabs[5]:
        run_words.notes(run)
    with tabs[6]:
        # To ask for them takes reading all epochs: only where somebody looks.
        if tabs[6].open:
            system.show(run)


def parameters(run: RunReply) -> None:
    """Draw what is trained; what is nested is one value."""
    _pairs({name: number_text(value) for name, value in run.hyper_params.items()})


def _epochs(run: RunReply, epochs: EpochsReply) -> None:
    if not epochs.epochs:
        text = "No epoch was recorded." if run.status.is_final else "The first epoch is not finished yet."
        st.caption(text)
        return
    table, remarks = st.container(), st.container()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        _download(run)
        page = _choose_page(run, epochs)
    frame, columns = epochs_table(epochs, page)
    table.dataframe(
        frame, column_config=columns, hide_index=True, placeholder=fmt.MISSING, key=f"epochs:{run.run_id}"
    )
    with remarks:
        _energy_remarks(epochs)


def _download(run: RunReply) -> None:
    offer = Offer("epochs", run.run_id, f"wattle-{run.run_id}-epochs.csv")
    downloads.button("Download CSV", offer, key=f"csv:{run.run_id}")


def _choose_page(run: RunReply, epochs: EpochsReply) -> int:
    """Let the reader turn the pages of a long table; the first has the newest epochs."""
    pages = math.ceil(len(epochs.epochs) / EPOCHS_PER_PAGE)
    return st.pagination(pages, key=f"epochs_page:{run.run_id}") if pages > 1 else 1


def epochs_table(epochs: EpochsReply, page: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Newest epoch first, so that a live table shows what is new without scrolling; all pages in one unit."""
    energy = fmt.energy_unit(result.energy_kwh for result in epochs.epochs)
    co2 = fmt.co2_unit(result.co2_g for result in epochs.epochs)
    results = epochs.epochs[::-1][(page - 1) * EPOCHS_PER_PAGE : page * EPOCHS_PER_PAGE]
    frame = pd.DataFrame(
        {
            "epoch": [result.epoch for result in results],
            "train_loss": [result.train_loss for result in results],
            "test_loss": [result.test_loss for result in results],
            "train_accuracy": [100 * result.train_accuracy for result in results],
            "test_accuracy": [100 * result.test_accuracy for result in results],
            "energy": scaled([result.energy_kwh for result in results], energy.factor),
            "co2": scaled([result.co2_g for result in results], co2.factor),
            "duration_s": [result.duration_s for result in results],
            "attempt": [result.attempt for result in results],
        }
    )
    number = st.column_config.NumberColumn
    cost = {name: f"%.{fmt.decimals(frame[name].dropna())}f" for name in ("energy", "co2")}
    return frame, {
        "epoch": number("Epoch", format="%d", width="small"),
        "train_loss": number("Train loss", format="%.4f"),
        "test_loss": number("Test loss", format="%.4f"),
        "train_accuracy": number("Train accuracy %", format="%.2f"),
        "test_accuracy": number("Test accuracy %", format="%.2f"),
        "energy": number(f"Energy {energy.label}", format=cost["energy"]),
        "co2": number(f"CO₂ {co2.label}", format=cost["co2"]),
        "duration_s": number("Duration s", format="%.2f"),
        "attempt": number("Attempt", format="%d", width="small"),
    }


def _energy_remarks(epochs: EpochsReply) -> None:
    """Explain missing energies, and epochs that share one step of the meter."""
    reasons = {result.energy_reason for result in epochs.epochs if result.energy_kwh is None}
    for reason in sorted(filter(None, reasons)):
        st.caption(f"Energy “{fmt.MISSING}”: {fmt.plain(reason)}")
    shared = max((result.energy_window_epochs or 0 for result in epochs.epochs), default=0)
    if shared > 1:
        st.caption(
            f"Epochs are shorter than one step of the energy counter: up to {shared} epochs share one, "
            "each with its part by time. Sums are exact."
        )


def attempts(epochs: EpochsReply) -> None:
    """Draw a table of the attempts, with how each ended."""
    if not epochs.attempts:
        st.caption("No worker has taken this run yet.")
        return
    st.dataframe(
        [
            {
                "Attempt": str(attempt.attempt),
                "Worker": attempt.worker,
                "Started": fmt.utc(attempt.started_at),
                "Ended": fmt.utc(attempt.ended_at),
                "End": _ending(attempt),
                "Duration": fmt.duration(attempt.duration_s),
                "Energy": fmt.energy(attempt.energy_kwh),
                "CO₂": fmt.co2(attempt.co2_g),
            }
            for attempt in epochs.attempts
        ],
        hide_index=True,
        height="content",
    )


def _ending(attempt: Attempt) -> str:
    if attempt.end_reason is None:
        return fmt.MISSING
    words = attempt.end_reason.replace("_", " ")
    return f"{words}: {attempt.error}" if attempt.error else words


def environment(run: RunReply) -> None:
    """Draw where and how the run is run."""
    now = datetime.now(UTC)
    options = run.options
    of_queue = {"queue": options.queue, "priority": options.priority, "worker": run.worker or fmt.MISSING}
    _pairs(
        {
            "run id": run.run_id,
            **({"last heard of": fmt.utc(run.heard_at)} if run.is_external else of_queue),
            "project": options.project,
            "tags": ", ".join(options.tags) or fmt.MISSING,
            **_wishes(run),
            "added": f"{fmt.utc(run.time_added)} ({fmt.ago(run.time_added, now)})",
            "started": f"{fmt.utc(run.started_at)}",
            "ended": f"{fmt.utc(run.ended_at)}",
            **{
                name.replace("_", " "): number_text(value)
                for name, value in run.environment.items()
                if name != "packages"
            },
        }
    )
    _packages(str(run.environment.get("packages") or ""))


def _packages(listed: str) -> None:
    """Draw what the run was trained with, each package in a row."""
    rows = [
        dict(zip(("Package", "Version"), part.split("==", 1), strict=False)) for part in listed.split(", ")
    ]
    if listed:
        st.dataframe(rows, hide_index=True, height="content", column_config={"Package": {"width": 220}})


def _wishes(run: RunReply) -> dict[str, str]:
    """List what was asked for beyond the ordinary when the run was submitted."""
    options, wishes = run.options, {}
    if options.requires:
        wishes["needs"] = requirement_text(options.requires)
    if options.start_at:
        wishes["not before"] = fmt.utc(options.start_at)
    if options.timeout_s:
        wishes["time limit"] = fmt.duration(options.timeout_s)
    if run.rerun_of:
        wishes["repeats"] = run.rerun_of
    return wishes


def _pairs(values: dict[str, str]) -> None:
    rows = [{"Name": name, "Value": value} for name, value in values.items()]
    st.dataframe(rows, hide_index=True, height="content", column_config={"Name": {"width": 220}})
