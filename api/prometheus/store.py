"""What the store knows as metrics of Prometheus; labels are few, and never the id of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from errors import StoreTooNew, StoreUnavailable
from redis_db import RedisDB
from schema import ArchiveFigures, Cost, GpuState, Spread, StoreFigures, Worker, WorkerFigures

JOULES_PER_KWH = 3_600_000
_GPU = ("worker", "host", "device", "uuid")
_PLACE = ("worker", "host")


class StoreCollector(Collector):
    """Reads the store whenever Prometheus asks."""

    def __init__(self, db: RedisDB, *, version: str) -> None:
        self._db = db
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; while Redis is away, that it is."""
        yield InfoMetricFamily("wattle_build", "The version of this API.", value={"version": self._version})
        up = GaugeMetricFamily("wattle_store_up", "1 while Redis answers.")
        try:
            figures = self._db.figures.read()
        except (StoreTooNew, StoreUnavailable):
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield from _store(figures)
        yield from _archive(figures.archive)
        yield from _queue(figures)
        yield from _counts(figures)
        yield from _times(figures)
        yield from _workers(figures.workers)
        yield from _gpus(figures.workers)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(
    name: str, text: str, label: str, values: Mapping[str, int] | Mapping[str, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _store(figures: StoreFigures) -> Iterator[Metric]:
    yield _gauge("wattle_store_round_trip_seconds", "Time Redis took to answer a PING.", figures.round_trip_s)
    if figures.memory.used_bytes is not None:
        yield _gauge("wattle_store_memory_bytes", "Memory that Redis uses.", figures.memory.used_bytes)
    if figures.memory.limit_bytes is not None:
        yield _gauge(
            "wattle_store_memory_limit_bytes",
            "Its maxmemory; absent without one.",
            figures.memory.limit_bytes,
        )


def _archive(figures: ArchiveFigures) -> Iterator[Metric]:
    yield _gauge("wattle_archive_runs", "Runs in the archive.", figures.runs)
    rounds = CounterMetricFamily(
        "wattle_archive_rounds", "Rounds of archiving by how they ended.", labels=("result",)
    )
    for result, count in figures.rounds.items():
        rounds.add_metric((result,), count)
    yield rounds
    for name, text, value in (
        ("wattle_archive_bytes", "What they take there, at the end of the last round.", figures.bytes),
        ("wattle_archive_round_age_seconds", "Time since the last round.", figures.last_age_s),
        (
            "wattle_archive_good_round_age_seconds",
            "Time since the last round without a problem; before the first one, since the first start.",
            figures.good_age_s,
        ),
    ):
        if value is not None:
            yield _gauge(name, text, value)


def _queue(figures: StoreFigures) -> Iterator[Metric]:
    yield _labelled(
        "wattle_runs",
        "Runs by status.",
        "status",
        {status.value: count for status, count in figures.runs.items()},
    )
    yield _gauge("wattle_queue_demand_runs", "Runs that wait or run: what to scale by.", figures.demand)
    yield _labelled(
        "wattle_queue_waiting_runs",
        "Runs that wait in a queue.",
        "queue",
        {queue.name: queue.waiting for queue in figures.queues},
    )
    yield _labelled(
        "wattle_queue_oldest_seconds",
        "How long the run has waited that has waited longest, of those that are next; 0 without any.",
        "queue",
        {queue.name: queue.oldest_s for queue in figures.queues},
    )


def _counts(figures: StoreFigures) -> Iterator[Metric]:
    events = CounterMetricFamily("wattle_events", "What happened to runs.", labels=("kind",))
    for kind, count in figures.events.items():
        events.add_metric((kind,), count)
    yield events
    for name, text, count in (
        ("wattle_metric_points", "Points of metrics that scripts reported.", figures.metric_points),
        ("wattle_log_lines", "Lines added to the logs of runs.", figures.log_lines),
        ("wattle_lease_losses", "Runs taken from workers that stopped answering.", figures.lease_losses),
    ):
        yield CounterMetricFamily(name, text, value=count)
    costs = {"false": figures.real, "true": figures.simulated}
    yield _cost(
        "wattle_energy_joules",
        "Energy that runs used, where it is known.",
        {label: JOULES_PER_KWH * (cost.energy_kwh or 0) for label, cost in costs.items()},
    )
    yield _cost(
        "wattle_co2_grams",
        "CO2 of that energy, as it was recorded first.",
        {label: cost.co2_g or 0 for label, cost in costs.items()},
    )
    yield _cost("wattle_epochs", "Epochs that were recorded.", {k: c.epochs for k, c in costs.items()})
    yield _cost("wattle_unmeasured_parts", "Epochs and other parts of unknown energy.", _unmeasured(costs))


def _unmeasured(costs: Mapping[str, Cost]) -> dict[str, float]:
    return {label: cost.unknown_energy_epochs for label, cost in costs.items()}


def _cost(name: str, text: str, values: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=("simulated",))
    for label, value in values.items():
        family.add_metric((label,), value)
    return family


def _times(figures: StoreFigures) -> Iterator[Metric]:
    starts = HistogramMetricFamily(
        "wattle_start_latency_seconds", "Time from the submission of a run to its first start.", labels=()
    )
    starts.add_metric((), *_buckets(figures.starts))
    yield starts
    epochs = HistogramMetricFamily(
        "wattle_epoch_duration_seconds", "Time of an epoch.", labels=("simulated",)
    )
    epochs.add_metric(("false",), *_buckets(figures.epochs))
    epochs.add_metric(("true",), *_buckets(figures.simulated_epochs))
    yield epochs


def _buckets(spread: Spread) -> tuple[list[tuple[str, float]], float]:
    names = ["+Inf" if bound == float("inf") else str(bound) for bound, _ in spread.buckets]
    return [(name, count) for name, (_, count) in zip(names, spread.buckets, strict=True)], spread.sum_s


def _state(known: WorkerFigures) -> str:
    if known.worker.is_draining:
        return "draining"
    return "idle" if known.worker.run_id is None else "busy"


def _workers(known: tuple[WorkerFigures, ...]) -> Iterator[Metric]:
    states = {state: sum(_state(one) == state for one in known) for state in ("idle", "busy", "draining")}
    yield _labelled("wattle_workers", "Live workers by what they do.", "state", {**states})
    spool = GaugeMetricFamily(
        "wattle_worker_spool_bytes",
        "Writes that wait on disk for Redis; workers that share a folder say the same.",
        labels=_PLACE,
    )
    power = GaugeMetricFamily("wattle_worker_power_watts", "A worker's part of its machine.", labels=_PLACE)
    for place, one in _by_place(known).items():
        if one.spool_bytes is not None:
            spool.add_metric(place, one.spool_bytes)
        if one.worker.power_w is not None:
            power.add_metric(place, one.worker.power_w)
    yield spool
    yield power


def _by_place(known: tuple[WorkerFigures, ...]) -> dict[tuple[str, str], WorkerFigures]:
    """Return workers by name and host; of two that somebody gave one name the last one."""
    return {(one.worker.name, one.worker.host): one for one in known}


def _gpus(known: tuple[WorkerFigures, ...]) -> Iterator[Metric]:
    families = {
        "utilisation": GaugeMetricFamily(
            "wattle_gpu_utilisation_ratio", "Share of the last second in which it computed.", labels=_GPU
        ),
        "memory_used_bytes": GaugeMetricFamily("wattle_gpu_memory_used_bytes", "Memory in use.", labels=_GPU),
        "memory_total_bytes": GaugeMetricFamily("wattle_gpu_memory_size_bytes", "Its memory.", labels=_GPU),
        "power_w": GaugeMetricFamily("wattle_gpu_power_watts", "Power it draws.", labels=_GPU),
        "temperature_c": GaugeMetricFamily("wattle_gpu_temperature_celsius", "Its temperature.", labels=_GPU),
    }
    for place, one in _by_place(known).items():
        for gpu, device in _list_gpus(one.worker):
            for field, family in families.items():
                if (value := getattr(gpu, field)) is not None:
                    family.add_metric((*place, device, gpu.uuid or ""), value)
    yield from families.values()


def _list_gpus(worker: Worker) -> Iterator[tuple[GpuState, str]]:
    """Yield the worker's GPUs with what CUDA calls them there."""
    if worker.gpu is not None:
        yield worker.gpu, worker.device
    for gpu in worker.other_gpus:
        yield gpu, f"cuda:{gpu.index}"
