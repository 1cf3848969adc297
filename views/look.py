"""What looks the same on every page: a status and its colour, a run and its colour and its name."""

from __future__ import annotations

import zlib
from typing import Final, Literal

from schema import Requires, Run, RunReply, Stage, Status

PillColor = Literal["blue", "gray", "green", "red", "violet", "orange", "yellow"]

SIMULATED: Final = "simulated"
SIMULATED_COLOR: Final[PillColor] = "yellow"
SIMULATED_ICON: Final = ":material/theater_comedy:"

STATUS_COLORS: Final[dict[Status, PillColor]] = {
    Status.DEFERRED: "violet",
    Status.WAITING: "gray",
    Status.RUNNING: "blue",
    Status.PAUSED: "orange",
    Status.DONE: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "gray",
}
STATUS_ICONS: Final[dict[Status, str]] = {
    Status.DEFERRED: ":material/schedule:",
    Status.WAITING: ":material/hourglass_empty:",
    Status.RUNNING: ":material/play_circle:",
    Status.PAUSED: ":material/pause_circle:",
    Status.DONE: ":material/check_circle:",
    Status.FAILED: ":material/error:",
    Status.CANCELLED: ":material/cancel:",
}

STAGE_COLORS: Final[dict[Stage, PillColor]] = {
    "candidate": "blue",
    "production": "green",
    "archived": "gray",
}
STAGE_ICONS: Final[dict[Stage, str]] = {
    "candidate": ":material/science:",
    "production": ":material/rocket_launch:",
    "archived": ":material/inventory_2:",
}

# Each has a contrast of at least 3:1 with both backgrounds of .streamlit/config.toml; a test computes it.
RUN_COLORS: Final = (
    "#2f7de1",
    "#c9601a",
    "#12906f",
    "#a87a00",
    "#c7509a",
    "#5f8f1f",
    "#7d68d8",
    "#d2504a",
)


TOTAL_COLOR: Final = RUN_COLORS[2]
SOURCE_NAMES: Final = {
    "cpu": "CPU",
    "dram": "memory",
    "ram": "memory, constant",
    "building": "building (PUE)",
}


def source_color(source: str) -> str:
    """Return the colour of a source of energy; GPUs take theirs by number."""
    fixed = {"cpu": RUN_COLORS[0], "dram": RUN_COLORS[2], "ram": RUN_COLORS[5], "building": "#8a8f98"}
    if source in fixed:
        return fixed[source]
    number = source.rpartition(":")[2]
    gpus = (RUN_COLORS[1], RUN_COLORS[4], RUN_COLORS[6], RUN_COLORS[3])
    return gpus[int(number) % len(gpus)] if number.isdigit() else RUN_COLORS[7]


def run_color(run_id: str) -> str:
    """Return the colour of a run, the same on every page and in every session."""
    return RUN_COLORS[zlib.crc32(run_id.encode()) % len(RUN_COLORS)]


def run_swatch(run_id: str) -> str:
    """Return the run's colour as a picture for a table cell: a dot, as a data URL."""
    color = run_color(run_id).replace("#", "%23")
    return (
        "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='24' height='24'>"
        f"<circle cx='12' cy='12' r='7' fill='{color}'/></svg>"
    )


def run_title(run: Run) -> str:
    """Name a run as its script does, else network · dataset · optimizer, else its trainer."""
    if run.name is not None:
        return run.name
    parts = [run.hyper_params.get(name) for name in ("network", "dataset", "optimizer")]
    return " · ".join(str(part) for part in parts if part) or str(run.hyper_params.get("trainer", "run"))


def run_name(run: Run) -> str:
    """Name a run where there is no room for a pill: title and id, and that it is simulated if it is."""
    mark = f" ({SIMULATED})" if run.simulated else ""
    return f"{run_title(run)}{mark} — {short_id(run.run_id)}"


def requirement_text(requires: Requires) -> str:
    """Say what a run needs of its worker: 2 GPUs with 40 GiB each in zone de."""
    gpus = max(requires.gpus, 1 if requires.min_gpu_memory_gib else 0)
    words = []
    if gpus:
        words.append("a GPU" if gpus == 1 else f"{gpus} GPUs")
    if requires.min_gpu_memory_gib:
        words.append(f"with {requires.min_gpu_memory_gib:g} GiB" + (" each" if gpus > 1 else ""))
    if requires.zone:
        words.append(f"in zone {requires.zone}" if words else f"a place in zone {requires.zone}")
    return " ".join(words) or "nothing special"


def status_text(run: RunReply) -> str:
    """Say where a run stands without the word its pill says."""
    return run.status_line.removeprefix(f"{run.status}: ")


def short_id(run_id: str) -> str:
    """Shorten a run id for a list; the whole one is in the link."""
    return run_id[:8]
