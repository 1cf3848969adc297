"""Which queues a worker takes runs from, the most urgent first."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scheduling.zones import read_requires
from schema import DEFAULT_QUEUE, QUEUE_PATTERN, Requires, Worker, can_take

_MAKERS = re.compile(r"^(nvidia|amd|tesla|geforce|quadro)\s+", re.IGNORECASE)


def default_queues(*, host: str, gpu_name: str | None, zone: str | None) -> tuple[str, ...]:
    """Return the queues of a worker that was given none: its host's, its kind of GPU's, its zone's, default.

    Such as ``host-node-7``, ``gpu-h200``, ``zone-deu``. What cannot name a queue gives none.
    """
    named = [("host", host), ("gpu", gpu_name), ("zone", zone)]
    queues = [f"{kind}-{_slug(name)}" for kind, name in named if name]
    return (*(queue for queue in queues if re.fullmatch(QUEUE_PATTERN, queue)), DEFAULT_QUEUE)


def _slug(name: str) -> str:
    previous = ""
    while previous != name:
        previous, name = name, _MAKERS.sub("", name.strip())
    return re.sub(r"[^a-z0-9_.]+", "-", name.lower()).strip("-")[:48]


def list_queues(worker: Worker, requirements: Mapping[str, tuple[str, Requires]]) -> list[str]:
    """Return the worker's queues, before each of them those of its runs that need what this worker has.

    Before, because such runs have fewer workers to wait for. A claim takes the urgent ones of all of them
    first.
    """
    return [
        name
        for queue in worker.queues
        for name in (
            *(
                special
                for special, (general, requires) in requirements.items()
                if general == queue and special != queue and can_take(worker, queue, read_requires(requires))
            ),
            queue,
        )
    ]
