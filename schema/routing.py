"""Which worker may take which run: by queue, and by what the run needs."""

from __future__ import annotations

from schema.carbon import CarbonPlan
from schema.records import Requires, RunOptions, Worker

NOTHING = Requires()


def requirement_queue(queue: str, requires: Requires | None) -> str:
    """Name the queue in which runs of ``queue`` wait that need this: itself when they need nothing.

    Such as ``default.gpus-2.mem-40.zone-de``. Equal requirements always have the same name, others another.
    """
    needs = requires or NOTHING
    parts = [queue]
    if needs.gpus:
        parts.append(f"gpus-{needs.gpus}")
    if needs.min_gpu_memory_gib:
        parts.append(f"mem-{_digits(needs.min_gpu_memory_gib)}")
    if needs.zone:
        parts.append(f"zone-{needs.zone.lower()}")
    return ".".join(parts)


def planned_queue(options: RunOptions, plan: CarbonPlan | None) -> str:
    """Name the queue of a run, without what it requires: with several zones that of the planned one."""
    zones = options.carbon and options.carbon.zones
    if plan is not None and plan.zone is not None and zones and len(zones) > 1:
        return f"zone-{plan.zone.lower()}"
    return options.queue


def can_take(worker: Worker, queue: str, requires: Requires | None) -> bool:
    """Say whether a worker takes the runs of ``queue`` that need this.

    What it does not know of itself it does not have.
    """
    needs = requires or NOTHING
    has_zone = needs.zone is None or needs.zone.lower() == (worker.zone or "").lower()
    has_memory = needs.min_gpu_memory_gib <= (worker.gpu_memory_gib or 0.0)
    return queue in worker.queues and needs.gpus <= worker.gpus and has_memory and has_zone


def _digits(number: float) -> str:
    return repr(number).removesuffix(".0")
