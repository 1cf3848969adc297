"""How a run is run: the part of the form that is the same for every trainer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

import streamlit as st
from pydantic import ValidationError

from schema import DEFAULT_PROJECT, Requires, RunOptions
from views import format as fmt
from views import parts
from views.look import requirement_text
from views.submit import carbon

_MINUTE_S = 60


def show(errors: Mapping[str, str], *, prefix: str, first: RunOptions) -> RunOptions | None:
    """Draw the options, at first ``first``; None, with the reason below, when they are not valid."""
    values = _place(prefix, first) | _needs(prefix, first) | _times(prefix, first)
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
    has_zones = options.carbon is not None and len(options.carbon.zones or ()) > 1
    place = "the queue of its zone" if has_zones else f"queue **{fmt.plain(options.queue)}**"
    sentences = [f"It waits in {place}"]
    sentences[0] += ", ahead of normal runs." if options.priority == "high" else "."
    if options.requires is not None:
        sentences.append(f"Its worker needs **{fmt.plain(requirement_text(options.requires))}**.")
    if options.start_at is not None:
        sentences.append(f"It does not start before **{options.start_at.astimezone(zone):%Y-%m-%d %H:%M}**.")
    if options.timeout_s is not None:
        sentences.append(f"It may train for **{fmt.duration(options.timeout_s)}**.")
    if options.carbon is not None:
        sentences.append(carbon.describe(options.carbon, zone))
    if options.project != DEFAULT_PROJECT:
        sentences.append(f"Project **{fmt.plain(options.project)}**.")
    if options.tags:
        sentences.append("Tags: " + ", ".join(map(fmt.plain, options.tags)) + ".")
    return " ".join(sentences)


def texts(options: RunOptions, zone: tzinfo) -> dict[str, str]:
    """Write each option under its label in the form; times in the reader's zone."""
    start_at, timeout_s = options.start_at, options.timeout_s
    return {
        "Queue": options.queue,
        "Priority": options.priority,
        "Project": options.project,
        "Tags": ", ".join(options.tags) or fmt.MISSING,
        "Needs": requirement_text(options.requires or Requires()),
        "Tries after a failure": str(options.max_failures),
        "Not before": fmt.MISSING if start_at is None else f"{start_at.astimezone(zone):%Y-%m-%d %H:%M}",
        "Time limit": fmt.MISSING if timeout_s is None else fmt.duration(timeout_s),
        "Clean electricity": carbon.text(options.carbon, zone),
    }


def _place(prefix: str, first: RunOptions) -> dict[str, Any]:
    first_tags = ", ".join(first.tags)
    left, middle, third, right = st.columns(4)
    queue = left.text_input(
        "Queue", value=first.queue, key=f"{prefix}:queue", help="Workers choose the queues they serve."
    )
    priority = middle.segmented_control(
        "Priority",
        ["normal", "high"],
        default=first.priority,
        required=True,
        key=f"{prefix}:priority",
        help="High runs are taken before normal ones of the same queue.",
    )
    project = third.text_input(
        "Project", value=first.project, key=f"{prefix}:project", help="Energy and CO₂ are summed by project."
    )
    tags = right.text_input(
        "Tags",
        value=first_tags,
        key=f"{prefix}:tags",
        placeholder="baseline, paper",
        help="Separated by commas.",
    )
    # Left as it was, a tag may hold a comma.
    names = [tag.strip() for tag in tags.split(",") if tag.strip()] if tags != first_tags else first.tags
    return {"queue": queue.strip(), "priority": priority, "project": project, "tags": names}


def _needs(prefix: str, first: RunOptions) -> dict[str, Any]:
    """Draw what the worker has to have; nothing where nothing is asked for."""
    needed = first.requires or Requires()
    left, middle, third, right = st.columns(4)
    gpus = left.number_input(
        "GPUs of its worker",
        min_value=0,
        max_value=64,
        value=needed.gpus,
        key=f"{prefix}:gpus",
        help="Only a worker with at least as many takes the run.",
    )
    memory_gib = middle.number_input(
        "Memory of each GPU (GiB)",
        min_value=0.0,
        max_value=4096.0,
        value=needed.min_gpu_memory_gib,
        step=8.0,
        format="%g",
        key=f"{prefix}:gpu_memory",
        help="Only a worker whose GPUs all have at least as much takes the run.",
    )
    zone = third.text_input(
        "Zone",
        value=needed.zone or "",
        key=f"{prefix}:zone",
        placeholder="any, or DE",
        help="Only workers of that zone take the run.",
    ).strip()
    tries = right.number_input(
        "Tries after a failure",
        min_value=0,
        max_value=10,
        value=first.max_failures,
        key=f"{prefix}:max_failures",
        help="Only after failures that may pass, such as a full disk; later each time.",
    )
    needs = {"gpus": gpus, "min_gpu_memory_gib": memory_gib, "zone": zone or None}
    return {"requires": needs if any(needs.values()) else None, "max_failures": tries}


def _times(prefix: str, first: RunOptions) -> dict[str, Any]:
    """Draw when it starts and how long it may train; a start in the past is none.

    What is left as it was is returned to the digit, which the widgets do not show.
    """
    zone, start_at, timeout_s = parts.reader_zone(), first.start_at, first.timeout_s
    if start_at is not None and start_at <= datetime.now(UTC):
        start_at = None
    first_start = start_at and start_at.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)
    first_limit_min = timeout_s and timeout_s / _MINUTE_S
    left, middle, _ = st.columns([1, 1, 2])
    start: datetime | None = left.datetime_input(
        "Not before",
        value=first_start,
        key=f"{prefix}:start_at",
        format="YYYY-MM-DD",
        help="The run is deferred until then. Your own time zone.",
    )
    limit_min = middle.number_input(
        "Time limit (min)",
        min_value=min(1.0, first_limit_min or 1.0),
        value=first_limit_min,
        step=30.0,
        format="%g",
        key=f"{prefix}:timeout",
        placeholder="none",
        help="The longest it may train, all attempts together; then it fails.",
    )
    if start != first_start:
        start_at = start and start.replace(tzinfo=zone)
    if limit_min != first_limit_min:
        timeout_s = limit_min and limit_min * _MINUTE_S
    return {"start_at": start_at, "timeout_s": timeout_s}
