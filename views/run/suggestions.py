"""What a run's readings suggest: the phases of a step, how its GPU stands, and advice."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import streamlit as st

from carbon_aware_trainer.advice import Gpu, Readings, StepTimes, advise
from schema import EpochsReply, HealthReply, RunReply, Scalar, Status
from views import format as fmt
from views import parts, source

_PHASES = ("data", "forward", "backward", "optimizer")


def show(run: RunReply, epochs: EpochsReply) -> None:
    """Draw the section; nothing where nothing was read."""
    if run.simulated:
        return
    health = source.fetch("health", source.get_health).value if run.status is Status.RUNNING else None
    readings = read(run, epochs, health)
    if readings.step is None and readings.gpu is None:
        return
    st.subheader("What the readings suggest", anchor=False)
    if readings.gpu is not None:
        _gpu_tiles(readings.gpu)
    if readings.step is not None:
        st.caption(describe_step(readings.step))
    sentences = advise(readings)
    for sentence in sentences:
        st.info(fmt.plain(sentence), icon=":material/lightbulb:")
    if not sentences:
        st.caption("Nothing stands out. Wattle reads devices and never changes their settings.")


def read(run: RunReply, epochs: EpochsReply, health: HealthReply | None) -> Readings:
    """Gather what is known of a run and, while it runs, of its worker's GPU."""
    facts = run.environment
    durations_s = [result.duration_s for result in epochs.epochs][1:]
    last = epochs.attempts[-1] if epochs.attempts else None
    # Without the last attempt's extras, and without what an earlier one trained of a resumed epoch.
    own_s = [
        result.duration_s - (result.resumed_after_s or 0.0)
        for result in epochs.epochs
        if last is not None and result.attempt == last.attempt
    ]
    return Readings(
        step=_read_step(facts),
        gpu=_find_gpu(run, health),
        batch_size=_whole(facts.get("chosen_batch_size")) or _whole(run.hyper_params.get("batch_size")),
        train_images=_whole(facts.get("train_images")),
        data_on=str(facts.get("data_on") or "") or None,
        epoch_s=statistics.median(durations_s) if durations_s else None,
        epochs_s=sum(own_s) if last is not None and last.ended_at is not None else None,
        attempt_s=(last.ended_at - last.started_at).total_seconds() if last and last.ended_at else None,
    )


def describe_step(step: StepTimes) -> str:
    """Write the phases of a step in milliseconds and shares."""
    times = (step.data_ms, step.forward_ms, step.backward_ms, step.optimizer_ms)
    shares = (
        f"{name} {ms:.3g} ms ({100 * ms / step.whole_ms:.0f} %)"
        for name, ms in zip(_PHASES, times, strict=True)
    )
    return f"A step takes {step.whole_ms:.3g} ms: {', '.join(shares)}."


def _read_step(facts: Mapping[str, Scalar]) -> StepTimes | None:
    times = [facts.get(f"step_{phase}_ms") for phase in _PHASES]
    known = [float(ms) for ms in times if isinstance(ms, int | float) and ms >= 0]
    return StepTimes(*known) if len(known) == len(_PHASES) and sum(known) > 0 else None


def _find_gpu(run: RunReply, health: HealthReply | None) -> Gpu | None:
    workers = health.workers if health is not None else []
    return next((worker.gpu for worker in workers if worker.worker_id == run.worker), None)


def _gpu_tiles(gpu: Gpu) -> None:
    figures = (
        ("GPU utilisation", None if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %"),
        ("GPU power", _of(gpu.power_w, gpu.power_limit_w, "W")),
        ("GPU clock", None if gpu.sm_clock_mhz is None else f"{gpu.sm_clock_mhz:,.0f} MHz"),
        ("GPU memory", _of(_gib(gpu.memory_used_bytes), _gib(gpu.memory_total_bytes), "GiB")),
        ("GPU temperature", None if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"),
    )
    for column, (label, value) in zip(parts.tiles(len(figures), "gpu"), figures, strict=True):
        column.metric(label, value or fmt.MISSING, border=True, height="stretch")


def _of(part: float | None, whole: float | None, unit: str) -> str | None:
    if part is None:
        return None
    return f"{part:.3g} {unit}" if whole is None else f"{part:.3g} of {whole:.3g} {unit}"


def _gib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / 2**30


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
