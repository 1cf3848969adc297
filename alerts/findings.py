"""What a rule finds in a scene: what happened, and what holds for as long as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from alerts import texts
from alerts.scene import Scene, is_chosen
from alerts.states import Holding
from schema import AlertRule, GpuState, Run, Worker
from schema.alerts import (
    Co2Budget,
    DiskFull,
    GpuHot,
    GpuIdle,
    MemoryFull,
    MetricCrossed,
    NotFinite,
    RunFailed,
    RunFinished,
    RunStalled,
    WorkerLost,
)

# The sentence of a training whose loss was no number; tests keep it in step with the trainers.
NO_NUMBER: Final = "no longer a number"
# Rules on these are looked at where a run has moved; what they do not see stands as it stood.
_OF_EVENTS: Final = ("metric", "nan")


@dataclass(frozen=True)
class Words:
    """What an alert says, and about whom."""

    title: str
    text: str
    run_id: str | None = None
    worker_id: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a rule found; holding: None for what happened once, and is raised as it is."""

    subject: str
    say: Callable[[], Words]
    holding: Holding | None = None


def is_polled(rule: AlertRule) -> bool:
    """Tell whether a rule looks at all there is: what it finds no more has ended."""
    condition = rule.condition
    if isinstance(condition, Co2Budget):
        return condition.of != "run"
    return condition.kind not in (*_OF_EVENTS, "run_finished", "run_failed")


def hold_s(rule: AlertRule) -> float:
    """Return how long a condition has to hold."""
    return float(getattr(rule.condition, "for_s", 0.0))


def find(rule: AlertRule, scene: Scene, page_url: str) -> Iterator[Finding]:
    """Yield what a rule finds; of polled ones that hold, and of others also those that hold no more."""
    match rule.condition:
        case RunFinished():
            yield from _ended(rule, scene, "done", page_url)
        case RunFailed():
            yield from _ended(rule, scene, "failed", page_url)
        case RunStalled() as condition:
            yield from _stalled(rule, condition, scene, page_url)
        case MetricCrossed() as condition:
            yield from _crossed(rule, condition, scene, page_url)
        case NotFinite():
            yield from _not_finite(rule, scene, page_url)
        case Co2Budget() as condition:
            yield from _over_budget(rule, condition, scene, page_url)
        case WorkerLost():
            yield from _lost(rule, scene, page_url)
        case GpuIdle() | GpuHot() | MemoryFull() | DiskFull() as condition:
            yield from _workers(condition, scene, page_url)


def _ended(rule: AlertRule, scene: Scene, kind: str, page_url: str) -> Iterator[Finding]:
    for event, run in scene.ended(rule, kind):
        yield Finding(f"{run.run_id}:{event.event_id}", _run_words(run, kind, page_url))


def _run_words(run: Run, kind: str, page_url: str) -> Callable[[], Words]:
    what, why = ("Run done", "") if kind == "done" else ("Run failed", f"{texts.error_text(run)}\n\n")

    def say() -> Words:
        return Words(
            f"{what}: {texts.run_label(run)}", f"{why}{texts.run_facts(run, page_url)}", run_id=run.run_id
        )

    return say


def _stalled(rule: AlertRule, condition: RunStalled, scene: Scene, page_url: str) -> Iterator[Finding]:
    for run in scene.running:
        if not is_chosen(rule, run):
            continue
        holding = _standstill(run, condition, scene)
        if holding is None:
            continue

        def say(run: Run = run) -> Words:
            what = "Its script was not heard of" if run.is_external else "No epoch"
            return Words(
                f"Run stalled: {texts.run_label(run)}",
                f"{what} for {texts.span(condition.for_s)}. {texts.run_facts(run, page_url)}",
                run_id=run.run_id,
            )

        yield Finding(run.run_id, say, holding)


def _standstill(run: Run, condition: RunStalled, scene: Scene) -> Holding | None:
    """Return since when nothing is known of a running run; None for a script that was heard of lately."""
    if run.is_external:
        heard_s = (run.heard_at or run.time_added).timestamp()
        is_long = scene.now_s - heard_s >= condition.for_s
        return Holding(is_true=True, since_s=heard_s) if is_long else None
    # What no round has seen yet began when the attempt did, or is taken to begin now.
    started = run.started_at if run.epochs_done == 0 else None
    since_s = None if started is None else started.timestamp()
    return Holding(is_true=True, mark=f"{run.attempt}:{run.epochs_done}", since_s=since_s)


def _crossed(rule: AlertRule, condition: MetricCrossed, scene: Scene, page_url: str) -> Iterator[Finding]:
    for run, moved in scene.moved(rule):
        values = scene.tail.list_tail(run, condition.metric, condition.points + moved - 1)

        def say(run: Run = run, last: float = values[-1] if values else 0.0) -> Words:
            times = f" for {condition.points} points in a row" if condition.points > 1 else ""
            return Words(
                f"{condition.metric} {condition.relation} {condition.threshold:g}: {texts.run_label(run)}",
                f"{condition.metric} was {condition.relation} {condition.threshold:g}{times}; "
                f"it is {last:.6g} now. {texts.run_facts(run, page_url)}",
                run_id=run.run_id,
            )

        yield Finding(run.run_id, say, Holding(is_true=is_crossed(condition, values)))


def is_crossed(condition: MetricCrossed, values: Sequence[float]) -> bool:
    """Tell whether so many values in a row, anywhere among them, lie beyond the threshold; NaN does not."""
    row = 0
    for value in values:
        is_beyond = (
            value > condition.threshold if condition.relation == "above" else value < condition.threshold
        )
        row = row + 1 if is_beyond else 0
        if row == condition.points:
            return True
    return False


def _not_finite(rule: AlertRule, scene: Scene, page_url: str) -> Iterator[Finding]:
    for event, run in scene.ended(rule, "failed"):
        if run.error is not None and NO_NUMBER in run.error.message:
            yield Finding(f"{run.run_id}:{event.event_id}", _nan_words(run, "The loss", page_url))
    for run, _ in scene.moved(rule):
        metric = scene.tail.find_not_finite(run)
        words = _nan_words(run, metric or "", page_url)
        yield Finding(run.run_id, words, Holding(is_true=metric is not None, mark=metric or ""))


def _nan_words(run: Run, metric: str, page_url: str) -> Callable[[], Words]:
    def say() -> Words:
        return Words(
            f"Not a number: {texts.run_label(run)}",
            f"{metric} is no longer a number. A smaller learning rate is the usual remedy. "
            f"{texts.run_facts(run, page_url)}",
            run_id=run.run_id,
        )

    return say


def _over_budget(rule: AlertRule, condition: Co2Budget, scene: Scene, page_url: str) -> Iterator[Finding]:
    if condition.of == "run":
        for run, _ in scene.moved(rule):
            if not run.simulated and run.co2_g is not None and run.co2_g >= condition.budget_g:
                yield _budget(condition, run.run_id, texts.run_label(run), run.co2_g, page_url, run.run_id)
        return
    for subject, name, co2_g in _sums(rule, condition, scene):
        if co2_g >= condition.budget_g:
            yield _budget(condition, subject, name, co2_g, page_url)


def _sums(rule: AlertRule, condition: Co2Budget, scene: Scene) -> list[tuple[str, str, float]]:
    """List the sums that a budget is for: subject, name and grams."""
    day, month = f"{scene.now:%Y-%m-%d}", f"{scene.now:%Y-%m}"
    match condition.of:
        case "day":
            return [(day, f"all runs on {day}", scene.today_g)]
        case "month":
            return [(month, f"all runs in {month}", scene.month_g)]
        case _:
            wanted = scene.projects_g if rule.project is None else [rule.project]
            return [(f"p:{name}", f"project {name}", scene.projects_g.get(name, 0.0)) for name in wanted]


def _budget(
    condition: Co2Budget, subject: str, name: str, co2_g: float, page_url: str, run_id: str | None = None
) -> Finding:
    def say() -> Words:
        place = f"run?iid={run_id}" if run_id else "totals"
        return Words(
            f"CO₂ budget reached: {name}",
            f"{texts.grams(co2_g)} of CO₂ by {name}; the budget is {texts.grams(condition.budget_g)}.\n"
            f"{page_url.rstrip('/')}/{place}",
            run_id=run_id,
        )

    # Another budget is another thing to reach.
    return Finding(subject, say, Holding(is_true=True, mark=f"{condition.budget_g:g}"))


def _lost(rule: AlertRule, scene: Scene, page_url: str) -> Iterator[Finding]:
    for worker in scene.workers:
        if worker.gone_at is None or worker.gone_at < rule.active_since:
            continue

        def say(worker: Worker = worker) -> Words:
            had = f" It had the run {worker.run_id[:8]}." if worker.run_id else " It had no run."
            return Words(
                f"Worker lost: {texts.worker_label(worker)}",
                f"Its last heartbeat was at {worker.seen_at:%H:%M:%S} UTC; it did not say good-bye.{had} "
                f"A run that was lost goes on with another worker.\n{page_url.rstrip('/')}/workers",
                run_id=worker.run_id,
                worker_id=worker.worker_id,
            )

        yield Finding(worker.worker_id, say, Holding(is_true=True))


def _workers(
    condition: GpuIdle | GpuHot | MemoryFull | DiskFull, scene: Scene, page_url: str
) -> Iterator[Finding]:
    for worker in scene.workers:
        found = _trouble(condition, worker) if worker.gone_at is None else None
        if found is None:
            continue

        def say(worker: Worker = worker, found: tuple[str, str] = found) -> Words:
            title, text = found
            return Words(
                f"{title}: {texts.worker_label(worker)}",
                f"{text} for {texts.span(condition.for_s)}.\n{page_url.rstrip('/')}/workers",
                run_id=worker.run_id,
                worker_id=worker.worker_id,
            )

        yield Finding(worker.worker_id, say, Holding(is_true=True))


def _trouble(condition: GpuIdle | GpuHot | MemoryFull | DiskFull, worker: Worker) -> tuple[str, str] | None:
    """Return what is wrong with a worker's machine, as a title and the begin of a sentence; None: nothing."""
    gpus = [gpu for gpu in (worker.gpu, *worker.other_gpus) if gpu is not None]
    match condition:
        case GpuIdle():
            shares = [gpu.utilisation for gpu in gpus if gpu.utilisation is not None and worker.run_id]
            if shares and (used := min(shares)) < condition.below:
                return "GPU idle", f"It has a run and its GPU computed {100 * used:.0f} % of the time, and so"
        case GpuHot():
            temperatures_c = [gpu.temperature_c for gpu in gpus if gpu.temperature_c is not None]
            if temperatures_c and (hottest_c := max(temperatures_c)) >= condition.above_c:
                return "GPU too hot", f"Its GPU has {hottest_c:.0f} °C, and {condition.above_c:g} or more"
        case MemoryFull():
            share = _gpu_memory(gpus) if condition.of == "gpu" else worker.memory_share
            if share is not None and share >= condition.above:
                name = "GPU memory" if condition.of == "gpu" else "Memory"
                return f"{name} nearly full", f"{100 * share:.0f} % are used, and it was nearly full"
        case DiskFull():
            share = worker.disk_share
            if share is not None and share >= condition.above:
                return (
                    "Disk nearly full",
                    f"{100 * share:.0f} % of its data disk are used, and it was nearly full",
                )
    return None


def _gpu_memory(gpus: Sequence[GpuState]) -> float | None:
    """Return the used share of the fullest one's memory; None where no driver says."""
    shares = [
        gpu.memory_used_bytes / gpu.memory_total_bytes
        for gpu in gpus
        if gpu.memory_used_bytes is not None and gpu.memory_total_bytes
    ]
    return min(1.0, max(shares)) if shares else None
