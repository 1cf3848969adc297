"""How a run is run: the part of the form that is the same for every trainer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

import streamlit as st
from pydantic import ValidationError

from schema import DEFAULT_PROJECT, RunOptions
from views import format as fmt
from views import parts
from views.look import requirement_text

_MINUTE_S = 60


def show(errors: Mapping[str, str]) -> RunOptions | None:
    """Draw the options; None, with the reason below, when they are not valid."""
    values = _place() | _needs() | _times()
    if message := errors.get("options"):
        parts.field_error(message)
    try:
        return RunOptions.model_validate(values)
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        parts.field_error("; ".join(reasons))
        return None


def describe(options: RunOptions, zone: tzinfo) -> str:
    """Say in sentences where a run waits, what it needs and when it starts; times in the reader's zone."""
    sentences = [f"It waits in queue **{fmt.plain(options.queue)}**"]
    sentences[0] += ", ahead of normal runs." if options.priority == "high" else "."
    if options.requires is not None:
        sentences.append(f"Its worker needs **{fmt.plain(requirement_text(options.requires))}**.")
    if options.start_at is not None:
        sentences.append(f"It does not start before **{options.start_at.astimezone(zone):%Y-%m-%d %H:%M}**.")
    if options.timeout_s is not None:
        sentences.append(f"It may train for **{fmt.duration(options.timeout_s)}**.")
    if options.project != DEFAULT_PROJECT:
        sentences.append(f"Project **{fmt.plain(options.project)}**.")
    if options.tags:
        sentences.append("Tags: " + ", ".join(map(fmt.plain, options.tags)) + ".")
    return " ".join(sentences)


def _place() -> dict[str, Any]:
    left, middle, third, right = st.columns(4)
    queue = left.text_input(
        "Queue", value="default", key="submit:queue", help="Workers choose the queues they serve."
    )
    priority = middle.segmented_control(
        "Priority",
        ["normal", "high"],
        default="normal",
        required=True,
        key="submit:priority",
        help="High runs are taken before normal ones of the same queue.",
    )
    project = third.text_input(
        "Project", value=DEFAULT_PROJECT, key="submit:project", help="Energy and CO₂ are summed by project."
    )
    tags = right.text_input(
        "Tags", key="submit:tags", placeholder="baseline, paper", help="Separated by commas."
    )
    names = [tag.strip() for tag in tags.split(",") if tag.strip()]
    return {"queue": queue.strip(), "priority": priority, "project": project, "tags": names}


def _needs() -> dict[str, Any]:
    """Draw what the worker has to have; nothing where nothing is asked for."""
    left, middle, third, right = st.columns(4)
    gpus = left.number_input(
        "GPUs of its worker",
        min_value=0,
        max_value=64,
        value=0,
        key="submit:gpus",
        help="Only a worker with at least as many takes the run.",
    )
    memory_gib = middle.number_input(
        "Memory of each GPU (GiB)",
        min_value=0.0,
        max_value=4096.0,
        value=0.0,
        step=8.0,
        format="%g",
        key="submit:gpu_memory",
        help="Only a worker whose GPUs all have at least as much takes the run.",
    )
    zone = third.text_input(
        "Zone", key="submit:zone", placeholder="any, or DE", help="Only workers of that zone take the run."
    ).strip()
    tries = right.number_input(
        "Tries after a failure",
        min_value=0,
        max_value=10,
        value=3,
        key="submit:max_failures",
        help="Only after failures that may pass, such as a full disk; later each time.",
    )
    needs = {"gpus": gpus, "min_gpu_memory_gib": memory_gib, "zone": zone or None}
    return {"requires": needs if any(needs.values()) else None, "max_failures": tries}


def _times() -> dict[str, Any]:
    left, middle, _ = st.columns([1, 1, 2])
    start: datetime | None = left.datetime_input(
        "Not before",
        value=None,
        key="submit:start_at",
        format="YYYY-MM-DD",
        help="The run is deferred until then. Your own time zone.",
    )
    limit_min = middle.number_input(
        "Time limit (min)",
        min_value=1.0,
        value=None,
        step=30.0,
        format="%g",
        key="submit:timeout",
        placeholder="none",
        help="The longest it may train, all attempts together; then it fails.",
    )
    return {
        "start_at": None if start is None else start.replace(tzinfo=parts.reader_zone()),
        "timeout_s": None if limit_min is None else limit_min * _MINUTE_S,
    }
