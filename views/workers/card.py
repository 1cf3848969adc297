"""One worker: what it is, how it stands, what it trains; and for one that is gone, who has its run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import streamlit as st

from schema import GpuState, Status, WorkerReply, WorkerRun
from views import format as fmt
from views import parts
from views.look import PillColor, short_id

_GIB = 2**30
_POINTS = 60
_TOLD_QUEUES = 6


class Sample(NamedTuple):
    """What a heartbeat said."""

    at: datetime
    utilisation: float | None
    power_w: float | None


class _History:
    """The last heartbeats of the workers that live; shared by all who look at the page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[str, deque[Sample]] = {}

    def add(self, live: Sequence[WorkerReply]) -> Mapping[str, Sequence[Sample]]:
        with self._lock:
            for worker in live:
                kept = self._samples.setdefault(worker.worker_id, deque(maxlen=_POINTS))
                if not kept or kept[-1].at != worker.seen_at:
                    kept.append(Sample(worker.seen_at, _utilisation(worker), worker.power_w))
            for name in self._samples.keys() - {worker.worker_id for worker in live}:
                del self._samples[name]
            return {name: tuple(kept) for name, kept in self._samples.items()}


@st.cache_resource(show_spinner=False)
def _history() -> _History:
    return _History()


def remember(live: Sequence[WorkerReply]) -> Mapping[str, Sequence[Sample]]:
    """Keep what the last heartbeats said, as long as somebody looks; return all that is kept."""
    return _history().add(live)


def show(worker: WorkerReply, samples: Sequence[Sample]) -> None:
    """Draw a worker that lives, without its button."""
    word, icon, color = state(worker)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{fmt.plain(title(worker))}**", width="content")
        st.badge(word, icon=icon, color=color)
    st.caption(" · ".join(map(fmt.plain, describe(worker))))
    _load(worker, samples)
    if worker.gpu is not None:
        _memory(worker.gpu)
    _run(worker)
    more = f" and {len(worker.queues) - _TOLD_QUEUES} more" if len(worker.queues) > _TOLD_QUEUES else ""
    st.caption(f"Queues: {fmt.plain(', '.join(worker.queues[:_TOLD_QUEUES]))}{more}")
    st.caption(
        f"Heartbeat {age(worker.heartbeat_age_s)} · started {fmt.ago(worker.started_at, datetime.now(UTC))}"
    )


def show_gone(worker: WorkerReply) -> None:
    """Draw a worker whose heartbeat has expired, and what became of its run."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{fmt.plain(title(worker))}** on {fmt.plain(worker.host)}", width="content")
        st.badge("gone", icon=":material/heart_broken:", color="red")
    line = worker.status_line
    if worker.run is not None:
        line = line.replace(worker.run.iid, short_id(worker.run.iid))
    st.caption(fmt.plain(f"{line[:1].upper()}{line[1:]} · last heartbeat {age(worker.heartbeat_age_s)}"))
    if worker.run is not None:
        _run_link(worker.run)


def title(worker: WorkerReply) -> str:
    """Name a worker by its own name and what it trains on."""
    if worker.gpu is not None:
        return f"{worker.name} · {worker.gpu.name}"
    return f"{worker.name} · {worker.threads} {'thread' if worker.threads == 1 else 'threads'}"


def state(worker: WorkerReply) -> tuple[str, str, PillColor]:
    """Return what a worker that lives is doing: a word, its icon and its colour."""
    if worker.is_draining:
        return "draining", ":material/water_drop:", "orange"
    if trains(worker):
        return "busy", ":material/play_circle:", "blue"
    return "idle", ":material/check_circle:", "green"


def trains(worker: WorkerReply) -> bool:
    """Tell whether a worker has a run now; what its last heartbeat said of it may be over."""
    run = worker.run
    return run is not None and run.status is Status.RUNNING and run.taken_by is None


def describe(worker: WorkerReply) -> list[str]:
    """Say where a worker is and what it can do."""
    facts = [worker.host, worker.device]
    if worker.gpus > 1:
        facts.append(f"{worker.gpus} GPUs")
    if worker.zone:
        facts.append(f"zone {worker.zone}")
    if worker.torch is None:
        facts.append("without torch")
    facts.append(f"pid {worker.pid}")
    return facts


def age(seconds: float) -> str:
    """Write the age of a heartbeat; whole seconds, as it is looked at every two."""
    if seconds < 1:
        return "just now"
    return f"{round(seconds)}\u00a0s ago" if seconds < 60 else f"{fmt.duration(seconds)} ago"


def _load(worker: WorkerReply, samples: Sequence[Sample]) -> None:
    """Draw utilisation and power, with what they were while somebody looked."""
    gpu = worker.gpu
    used = _utilisation(worker)
    left, right = parts.tiles(2, f"load-{worker.worker_id}")
    left.metric(
        "Utilisation",
        fmt.MISSING if used is None else f"{100 * used:.0f}\u00a0%",
        help="Of its GPU, in the last second." if gpu else "Read of GPUs alone.",
        chart_data=_line([sample.utilisation for sample in samples]),
    )
    power = fmt.MISSING if worker.power_w is None else f"{fmt.significant(worker.power_w)}\u00a0W"
    right.metric(
        "Power",
        power,
        help=fmt.plain(worker.energy_source or "Nothing on its host can be read."),
        chart_data=_line([sample.power_w for sample in samples]),
    )


def _line(values: Sequence[float | None]) -> list[float] | None:
    """Return the points of a curve; None before there are two of them."""
    known = [value for value in values if value is not None]
    return known if len(known) > 1 else None


def _memory(gpu: GpuState) -> None:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    if used is None or not total:
        return
    st.progress(min(1.0, used / total), text=f"Memory {used / _GIB:.1f} of {total / _GIB:.1f} GiB")


def _run(worker: WorkerReply) -> None:
    if worker.run is not None and trains(worker):
        _run_link(worker.run)
    else:
        st.caption("Has no run and ends now." if worker.is_draining else "Waits for a run.")


def _run_link(run: WorkerRun) -> None:
    st.page_link(
        parts.page("run"),
        label=f"Run {short_id(run.iid)} · epoch {fmt.count(run.epochs_done)} of {fmt.count(run.num_epochs)}",
        icon=":material/monitoring:",
        query_params={"iid": run.iid},
    )


def _utilisation(worker: WorkerReply) -> float | None:
    return worker.gpu.utilisation if worker.gpu is not None else None
